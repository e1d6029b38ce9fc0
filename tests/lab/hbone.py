"""A tunnel client for tests: TLS with any certificate, HTTP/2 with any frames."""

from __future__ import annotations

import pathlib
import socket
import ssl

import h2.config
import h2.connection
import h2.events

from tests.lab import identity, sockets


def tls_connect(namespace: str, address: tuple[str, int], certificate: tuple[str, str] | None,
                alpn: list[str] | None = None, max_version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(alpn if alpn is not None else ["h2"])
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # weak keys are for the proxy to refuse
    if max_version is not None:
        context.maximum_version = max_version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context.wrap_socket(sockets.connect(namespace, address))


class Tunnel:
    """One HTTP/2 connection to a proxy's port 15008."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False,
                                           normalize_outbound_headers=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()
        self.events: list[h2.events.Event] = []
        self._received = b""

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def receive(self) -> bool:
        """Takes what comes; False at the end of the connection."""
        data = self.sock.recv(1 << 16)
        if not data:
            return False
        self._received += data
        while len(self._received) >= 9:
            size = 9 + int.from_bytes(self._received[:3], "big")
            if len(self._received) < size:
                break
            self.events += self.h2.receive_data(self._received[:size])
            self._received = self._received[size:]
            # h2 takes any GOAWAY for the end of the connection, but more follows (RFC 9113 section 6.8).
            if self.h2.state_machine.state is h2.connection.ConnectionState.CLOSED:
                self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        self.flush()
        return True

    def request(self, headers: list[tuple[str, str]], end: bool = False) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=end)
        self.flush()
        return stream

    def connect(self, authority: str, **headers: str) -> int:
        return self.request([(":method", "CONNECT"), (":authority", authority), *headers.items()])

    def outcome(self, stream: int) -> str:
        """"200", "401" … or "RST 1" or "closed", whatever the proxy answers first."""
        while True:
            for event in self.events:
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.ResponseReceived):
                    return dict(event.headers)[":status"]
                if isinstance(event, h2.events.StreamReset):
                    return f"RST {int(event.error_code)}"
            if not self.receive():
                return "closed"

    def response_headers(self, stream: int) -> dict[str, str]:
        self.outcome(stream)
        return next(dict(e.headers) for e in self.events
                    if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def data(self, stream: int, size: int) -> bytes:
        """At least `size` bytes that came on the stream."""
        while True:
            got = b"".join(e.data for e in self.events
                           if isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
            if len(got) >= size:
                return got
            if not self.receive():
                raise EOFError(f"connection closed after {got!r}")

    def close(self) -> None:
        self.sock.close()


def open_tunnel(lab, source: str, destination: str, spiffe: str | None = None) -> Tunnel:
    """From a pod that is not captured, with a certificate of the lab's own CA, to a pod's port 15008."""
    uri = spiffe or lab.pod(source).identity
    leaf = identity.issue(identity.load_ca(lab.folder / "ca"), [uri])
    files = identity.write(lab.folder, "tunnel-client", leaf)
    return Tunnel(tls_connect(lab.ns(source), (lab.pod(destination).ip, 15008), files))
