"""Hands a call of gcloud to server.py, and ends as it ends. Usage: client.py SOCKET ARGUMENT…"""
import array
import json
import os
import socket
import sys

# Below a deep folder the socket's whole path would be too long for a socket.
folder, name = os.path.split(sys.argv[1])
call = json.dumps({'argv': sys.argv[2:], 'env': dict(os.environ), 'cwd': os.getcwd()}).encode()
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
os.chdir(folder)
server.connect(name)
handles = array.array('i', [0, 1, 2])
data = b'%08d' % len(call) + call
sent = server.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
# Most often all of it is on its way. Sending nothing would be refused where the call is over already.
if sent < len(data):
  try:
    server.sendall(data[sent:])
  except BrokenPipeError:
    pass
answer = b''
while True:
  part = server.recv(64)
  if not part:
    break
  answer += part
if not answer:
  sys.exit('ERROR: fast-gcloud: the process that holds gcloud ended before it answered')
code, _, problem = answer.partition(b' ')
if problem:
  print('ERROR: fast-gcloud: ' + problem.decode(), file=sys.stderr)
code = int(code)
if code < 0:
  print('ERROR: fast-gcloud: gcloud was ended by signal %d' % -code, file=sys.stderr)
sys.exit(code if code >= 0 else 128 - code)
