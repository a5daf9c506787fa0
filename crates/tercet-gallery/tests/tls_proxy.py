"""Encrypts the connections of a PostgreSQL server that does not: for the TLS tests.

    python tls_proxy.py SOCKET CERTIFICATE KEY

listens at a free port of this machine, prints it, takes PostgreSQL's request for TLS, and passes what
comes on to the server's Unix socket. It prints `encrypted` or `plain` for each connection. Ends when its
standard input does.
"""

import select
import socket
import ssl
import struct
import sys
import threading

REQUEST = struct.pack("!ii", 8, 80877103)


def pass_on(client, server):
    """Both ways on one thread: a TLS connection must not be read and written at once."""
    while True:
        waiting = getattr(client, "pending", lambda: 0)()
        ready = [client] if waiting else select.select([client, server], [], [])[0]
        for source, target in ((client, server), (server, client)):
            if source in ready:
                data = source.recv(65536)
                if not data:
                    return
                target.sendall(data)


def serve(client, server_path, context):
    server = socket.socket(socket.AF_UNIX)
    server.connect(server_path)
    first = client.recv(8, socket.MSG_WAITALL)
    if first == REQUEST:
        client.sendall(b"S")
        try:
            client = context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            return  # the client does not trust the certificate
    else:
        server.sendall(first)
    print("encrypted" if first == REQUEST else "plain", flush=True)
    with client, server:
        try:
            pass_on(client, server)
        except OSError:
            pass


def accept(listener, server_path, context):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, server_path, context), daemon=True).start()


server_path, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener, server_path, context), daemon=True).start()
sys.stdin.read()
