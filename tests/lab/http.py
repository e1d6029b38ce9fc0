"""HTTP clients and applications on plain sockets: HTTP/1.1 kept alive, and HTTP/2 with prior knowledge."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events

from tests.lab import sockets


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def lines(self) -> dict[str, str]:
        """What tests.lab.sockets.http_responder says of the request."""
        return dict(line.split("=", 1) for line in self.body.decode().splitlines() if "=" in line)


class _Reader:
    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.buffer = sock, b""

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError(f"closed after {self.buffer[:200]!r}")
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def exactly(self, size: int) -> bytes:
        parts = [self.buffer[:size]]
        self.buffer = self.buffer[size:]
        missing = size - len(parts[0])
        if missing:
            parts.append(sockets.receive_exactly(self.sock, missing))
        return b"".join(parts)

    def rest(self) -> bytes:
        data, self.buffer = self.buffer, b""
        return data + sockets.receive_all(self.sock)


class Http1:
    """One connection, one request after the other."""

    def __init__(self, namespace: str, address: tuple[str, int], timeout: float = 10.0) -> None:
        self.sock = sockets.connect(namespace, address, timeout)
        self.host = f"{address[0]}:{address[1]}"
        self._reader = _Reader(self.sock)
        self.answered = 0

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        fields = {"Host": self.host, **(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
        self.sock.sendall(head.encode() + body)

    def head(self) -> Answer:
        lines = self._reader.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        return Answer(int(lines[0].split()[1]), fields)

    def receive(self) -> Answer:
        answer = self.head()
        while 100 <= answer.status < 200 and answer.status != 101:
            answer = self.head()
        if answer.status in (101, 204, 304):
            return answer
        if answer.headers.get("transfer-encoding") == "chunked":
            while size := int(self._reader.until(b"\r\n"), 16):
                answer.body += self._reader.exactly(size)
                self._reader.exactly(2)
            while self._reader.until(b"\r\n"):
                pass
        elif "content-length" in answer.headers:
            answer.body = self._reader.exactly(int(answer.headers["content-length"]))
        else:
            answer.body = self._reader.rest()
        self.answered += 1
        return answer

    def request(self, method: str = "GET", path: str = "/", headers: dict[str, str] | None = None,
                body: bytes = b"") -> Answer:
        self.send(method, path, headers, body)
        return self.receive()

    def exactly(self, size: int) -> bytes:
        return self._reader.exactly(size)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Http1":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Http2:
    """One connection with prior knowledge; requests may overlap."""

    def __init__(self, namespace: str, address: tuple[str, int], timeout: float = 10.0) -> None:
        self.sock = sockets.connect(namespace, address, timeout)
        self.host = f"{address[0]}:{address[1]}"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.ended: set[int] = set()
        self.trailers: dict[int, dict[str, str]] = {}

    def send(self, method: str = "GET", path: str = "/", headers: dict[str, str] | None = None,
             body: bytes = b"") -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", self.host), (":path", path),
                  *(headers or {}).items()]
        if body:
            fields.append(("content-length", str(len(body))))
        self.h2.send_headers(stream, fields, end_stream=not body)
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self._receive()
                continue
            self.h2.send_data(stream, body[:room], end_stream=len(body) <= room)
            body = body[room:]
            self.sock.sendall(self.h2.data_to_send())
        self.sock.sendall(self.h2.data_to_send())
        return stream

    def _receive(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError("connection closed")
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                fields = dict(event.headers)
                self.answers[event.stream_id] = Answer(int(fields[":status"]), fields)
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                self.trailers[event.stream_id] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                raise ConnectionResetError(f"stream {event.stream_id} reset: {int(event.error_code)}")
        self.sock.sendall(self.h2.data_to_send())

    def receive(self, stream: int) -> Answer:
        while stream not in self.ended:
            self._receive()
        return self.answers[stream]

    def request(self, *args, **kwargs) -> Answer:
        return self.receive(self.send(*args, **kwargs))

    def __enter__(self) -> "Http2":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def http2_responder(name: str) -> Callable[[socket.socket, tuple[str, int]], None]:
    """An HTTP/2 application: says who it is and returns the request's body; gRPC gets a status in trailers."""

    def handle(sock: socket.socket, _peer: tuple[str, int]) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        sock.sendall(connection.data_to_send())
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while data := sock.recv(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    heads[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    head, body = heads[event.stream_id], bodies[event.stream_id]
                    grpc = head.get("content-type", "").startswith("application/grpc")
                    kind = "application/grpc" if grpc else "text/plain"
                    connection.send_headers(event.stream_id, [
                        (":status", "200"), ("x-server", name), ("x-path", head[":path"]), ("content-type", kind)])
                    connection.send_data(event.stream_id, body, end_stream=not grpc)
                    if grpc:
                        connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            sock.sendall(connection.data_to_send())

    return handle
