"""The real gcloud, loaded once: every call is a fork of this process, so that it need not be loaded again.

Usage: server.py SDK_ROOT SOCKET. A client sends one message: JSON of argv, env and cwd, with its stdin, stdout and stderr; it gets the
exit code back, and behind it what went wrong where gcloud could not even be called. The server ends with its own stdin.
"""
import array
import json
import os
import signal
import socket
import sys
import threading
import time

# A machine that is short of something for a moment is asked again.
TRIES = 100
PAUSE_SECONDS = 0.2
# A client sends all that it has to say at once.
CLIENT_SECONDS = 120

SDK, PATH = sys.argv[1:3]
sys.path[:0] = [SDK + '/lib', SDK + '/lib/third_party']
sys.argv = [SDK + '/lib/gcloud.py']
import gcloud  # pylint: disable=wrong-import-position

gcloud._fix_google_module()
from googlecloudsdk import gcloud_main  # pylint: disable=wrong-import-position


def warm():
  """Loads the commands that deployments use, by asking for their parsers."""
  top = gcloud_main.CreateCLI([])._TopElement()
  for command in (
      'functions deploy', 'functions list', 'functions delete', 'pubsub topics create', 'pubsub topics list',
      'pubsub topics get-iam-policy', 'pubsub topics set-iam-policy', 'pubsub subscriptions create',
      'pubsub subscriptions list', 'pubsub subscriptions get-iam-policy', 'run services get-iam-policy',
      'run services set-iam-policy', 'scheduler jobs create', 'scheduler jobs list', 'storage cp', 'storage cat',
      'storage objects describe', 'storage buckets list', 'iam service-accounts create', 'iam service-accounts list',
      'projects get-iam-policy', 'projects set-iam-policy', 'firestore indexes composite create', 'tasks queues list',
  ):
    node = top
    for word in command.split():
      node = node.LoadSubElement(word)


def receive(connection, handles):
  fds = array.array('i')
  data, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(3 * fds.itemsize))
  for level, kind, content in ancillary:
    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
      fds.frombytes(content[: 3 * fds.itemsize])
  handles.extend(fds)
  size = int(data[:8])
  while len(data) < size + 8:
    part = connection.recv(1 << 20)
    if not part:
      raise ValueError('the call is not whole')
    data += part
  if len(handles) != 3:
    raise ValueError('the call came without its handles')
  return json.loads(data[8:])


def run(call, fds):
  for target, fd in enumerate(fds):
    os.dup2(fd, target)
    os.close(fd)
  sys.stdin, sys.stdout, sys.stderr = open(0), open(1, 'w'), open(2, 'w')
  code = 1
  try:
    os.environ.clear()
    os.environ.update(call['env'])
    os.chdir(call['cwd'])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv[1:] = call['argv']
    sys.exit(gcloud_main.main())
  except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    if not isinstance(end.code, (int, type(None))):
      print(end.code, file=sys.stderr)
  except BaseException as error:  # pylint: disable=broad-except
    print('ERROR: gcloud crashed: %r' % error, file=sys.stderr)
    code = 1
  finally:
    for stream in (sys.stdout, sys.stderr):
      try:
        stream.flush()
      except (OSError, ValueError):
        pass
  os._exit(code)


def serve(connection, pid):
  """Reports the end; ends the call with its client."""
  over = threading.Lock()
  ended = []

  def watch():
    try:
      gone = connection.recv(1) == b''
    except OSError:
      gone = False
    with over:
      # A number that is free again may be another call's.
      if gone and not ended:
        os.kill(pid, signal.SIGKILL)

  insist(threading.Thread(target=watch, daemon=True).start)
  os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
  with over:
    ended.append(True)
  _, status = os.waitpid(pid, 0)
  answer(connection, os.waitstatus_to_exitcode(status))


def answer(connection, code, problem=''):
  with lock:
    open_connections.discard(connection)
  try:
    connection.sendall(('%d %s' % (code, problem)).strip().encode())
    # A call that was forked meanwhile may hold a copy.
    connection.shutdown(socket.SHUT_RDWR)
  except OSError:
    pass
  connection.close()


def insist(act):
  for left in reversed(range(TRIES)):
    try:
      return act()
    except (OSError, RuntimeError):
      if left == 0:
        raise
      time.sleep(PAUSE_SECONDS)


def handle(connection):
  fds = []
  try:
    connection.settimeout(CLIENT_SECONDS)
    call = receive(connection, fds)
    connection.settimeout(None)
  except (OSError, ValueError) as error:
    # Most often it was killed before it had said what it wanted.
    for fd in fds:
      os.close(fd)
    return answer(connection, 1, 'the call could not be read: %r' % error)
  with lock:
    others = list(open_connections)
    open_connections.add(connection)
  try:
    pid = insist(os.fork)
  except OSError as error:
    pid = None
    answer(connection, 1, 'gcloud could not be started: %r' % error)
  if pid == 0:
    # What another call holds open is not this one's: whoever reads it would wait for both.
    for other in [listener, connection, *others]:
      try:
        other.close()
      except OSError:
        pass
    run(call, fds)
  for fd in fds:
    os.close(fd)
  if pid is not None:
    insist(threading.Thread(target=serve, args=(connection, pid), daemon=True).start)


warm()
lock = threading.Lock()
open_connections = set()
# Below a deep folder the socket's whole path would be too long for a socket.
FOLDER, NAME = os.path.split(PATH)
os.chdir(FOLDER)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(NAME)
listener.listen(64)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print('ready', flush=True)
while True:
  client, _ = insist(listener.accept)
  handle(client)
