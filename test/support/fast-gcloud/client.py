"""Hands a call of gcloud to server.py, and ends as it ends. Usage: client.py SOCKET ARGUMENT…"""
import array
import json
import os
import socket
import sys

call = json.dumps({'argv': sys.argv[2:], 'env': dict(os.environ), 'cwd': os.getcwd()}).encode()
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect(sys.argv[1])
handles = array.array('i', [0, 1, 2])
data = b'%08d' % len(call) + call
sent = server.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
server.sendall(data[sent:])
answer = b''
while True:
  part = server.recv(64)
  if not part:
    break
  answer += part
code = int(answer or b'1')
sys.exit(code if code >= 0 else 128 - code)
