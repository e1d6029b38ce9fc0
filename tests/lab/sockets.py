"""Sockets inside of namespaces, and small servers and clients on them, as threads of the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from tests.lab.netns import inside

Address = tuple[str, int]


def connect(namespace: str, address: Address, timeout: float = 10.0, source_port: int = 0) -> socket.socket:
    with inside(namespace):
        sock = socket.socket()
    sock.settimeout(timeout)
    try:
        if source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", source_port))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def listen(namespace: str, address: Address, share: bool = False) -> socket.socket:
    """`share`: also where a proxy listened, whose connections still linger in TIME_WAIT."""
    with inside(namespace):
        sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if share else socket.SO_REUSEADDR, 1)
    sock.bind(address)
    sock.listen(1024)
    return sock


def receive_all(sock: socket.socket) -> bytes:
    """Until the end of input; ConnectionResetError when it was a reset."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = sock.recv(min(missing, 1 << 16))
        if not part:
            raise EOFError(f"{missing} of {size} bytes missing")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def http_get(namespace: str, address: Address, path: str = "/", headers: dict[str, str] | None = None,
             method: str = "GET", body: bytes = b"", timeout: float = 10.0) -> tuple[int, dict[str, str], bytes]:
    """One HTTP/1.1 request on a connection of its own: status, headers in lower case, body."""
    fields = {"Host": f"{address[0]}:{address[1]}", "Connection": "close", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
    with connect(namespace, address, timeout) as sock:
        sock.sendall(head.encode() + body)
        answer = receive_all(sock)
    return parse_response(answer)


def parse_response(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    if fields.get("transfer-encoding") == "chunked":
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if length == 0:
                break
            whole, rest = whole + rest[:length], rest[length + 2:]
        body = whole
    return int(lines[0].split()[1]), fields, body


class Server:
    """Runs `handle(connection, peer)` in a thread for every accepted connection."""

    def __init__(self, namespace: str, address: Address, handle: Callable[[socket.socket, Address], None],
                 share: bool = False) -> None:
        self._listener = listen(namespace, address, share)
        self._handle = handle
        self.peers: list[Address] = []
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            self.connections.append(sock)
            threading.Thread(target=self._one, args=(sock, peer), daemon=True).start()

    def _one(self, sock: socket.socket, peer: Address) -> None:
        try:
            self._handle(sock, peer)
        except OSError:
            pass
        finally:
            sock.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def echo(sock: socket.socket, _peer: Address) -> None:
    while data := sock.recv(1 << 16):
        sock.sendall(data)


def _status_in(path: str) -> int:
    return int(path.split("/")[2].split("?")[0]) if path.startswith("/status/") else 200


def http_responder(name: str, status_of: Callable[[str], int] = _status_in) -> Callable[[socket.socket, Address], None]:
    """An HTTP/1.1 application: says who it is, what it was asked and by whom. `/status/N` answers with N."""

    def handle(sock: socket.socket, peer: Address) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(1 << 16)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            while len(buffer) < int(fields.get("content-length", "0")):
                buffer += sock.recv(1 << 16)
            buffer = buffer[int(fields.get("content-length", "0")):]
            method, path, _ = lines[0].split()
            status = status_of(path)
            body = "\n".join([f"server={name}", f"peer={peer[0]}", f"method={method}", f"path={path}",
                              *(f"header.{k}={v}" for k, v in sorted(fields.items())), ""]).encode()
            sock.sendall(f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n"
                         f"X-Server: {name}\r\n\r\n".encode() + body)
            if fields.get("connection") == "close":
                return

    return handle
