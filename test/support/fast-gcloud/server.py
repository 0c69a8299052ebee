"""The real gcloud, loaded once: every call is a fork of this process, so that it need not be loaded again.

Usage: server.py SDK_ROOT SOCKET. A client sends one message: JSON of argv, env and cwd, with its stdin, stdout and stderr; it gets the
exit code back. The server ends with its own stdin.
"""
import array
import json
import os
import signal
import socket
import sys
import threading

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


def receive(connection):
  fds = array.array('i')
  data, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(3 * fds.itemsize))
  for level, kind, content in ancillary:
    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
      fds.frombytes(content[: 3 * fds.itemsize])
  size = int(data[:8])
  while len(data) < size + 8:
    data += connection.recv(1 << 20)
  return json.loads(data[8:]), list(fds)


def run(call, fds):
  for target, fd in enumerate(fds):
    os.dup2(fd, target)
  os.environ.clear()
  os.environ.update(call['env'])
  os.chdir(call['cwd'])
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  sys.argv[1:] = call['argv']
  sys.stdin, sys.stdout, sys.stderr = open(0), open(1, 'w'), open(2, 'w')
  try:
    sys.exit(gcloud_main.main())
  except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
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


def serve(connection, call, fds, pid):
  """Reports the end; ends the call with its client."""
  for fd in fds:
    os.close(fd)

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

  threading.Thread(target=watch, daemon=True).start()
  os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
  with over:
    ended.append(True)
  _, status = os.waitpid(pid, 0)
  try:
    connection.sendall(b'%d' % os.waitstatus_to_exitcode(status))
    connection.shutdown(socket.SHUT_RDWR)
  except OSError:
    pass
  connection.close()


warm()
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(PATH)
listener.listen(64)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print('ready', flush=True)
while True:
  client, _ = listener.accept()
  try:
    message, handles = receive(client)
  except (OSError, ValueError):
    # It was killed before it had said what it wanted.
    client.close()
    continue
  child = os.fork()
  if child == 0:
    listener.close()
    client.close()
    run(message, handles)
  threading.Thread(target=serve, args=(client, message, handles, child), daemon=True).start()
