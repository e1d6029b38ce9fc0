"""The node agent's side of ZDS: what istio-cni tells ztunnel about pods (package istio.workload.zds).

A SOCK_SEQPACKET socket, one protobuf message per packet, a pod's network namespace as a descriptor beside its Add.
The messages are few and small, so they are encoded by hand.
"""

from __future__ import annotations

import array
import os
import pathlib
import socket
import threading

ANSWER_TIMEOUT = 5.0


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    size, length = len(payload), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def add(uid: str, name: str, namespace: str, service_account: str) -> bytes:
    info = _field(1, name.encode()) + _field(2, namespace.encode()) + _field(3, service_account.encode())
    return _field(1, _field(1, uid.encode()) + _field(2, info))


def delete(uid: str) -> bytes:
    return _field(2, _field(2, uid.encode()))  # the uid of a DelWorkload is field 2


def snapshot_sent() -> bytes:
    return _field(3, b"")


def keep(uid: str) -> bytes:
    return _field(5, _field(1, uid.encode()))


def ack_error(packet: bytes) -> str:
    """The error of a WorkloadResponse; empty: acknowledged."""
    if packet[:1] != b"\x0a":
        raise ValueError(f"not an ack: {packet.hex()}")

    def read(data: bytes) -> bytes:
        length, shift, at = 0, 0, 1
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return data[at:at + length]

    ack = read(packet)
    return read(ack).decode() if ack else ""


class Connection:
    """One ztunnel that connected."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(ANSWER_TIMEOUT)
        self.hello = self.sock.recv(1024)

    def send(self, packet: bytes, fds: list[int] | None = None) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([packet], ancillary)

    def call(self, packet: bytes, fds: list[int] | None = None) -> str:
        """Sends and waits for the answer; returns its error."""
        self.send(packet, fds)
        answer = self.sock.recv(1024)
        if not answer:
            raise ConnectionError("ztunnel closed the connection")
        return ack_error(answer)

    def add_pod(self, uid: str, name: str, namespace: str, service_account: str, netns: str) -> str:
        fd = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self.call(add(uid, name, namespace, service_account), [fd])
        finally:
            os.close(fd)

    def close(self) -> None:
        self.sock.close()


class Agent:
    """Listens like istio-cni: every ztunnel that connects gets the snapshot of all pods; afterwards a new pod goes to
    the newest connection, a removed one to all. `pods` maps a uid to (name, namespace, service account, netns)."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.pods: dict[str, tuple[str, str, str, str]] = {}
        self.errors: list[str] = []  # what ztunnels answered besides success
        self.connections: list[Connection] = []
        self.changed = threading.Condition()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self.changed:
                    connection = Connection(sock)
                    for uid, pod in self.pods.items():
                        self._note(connection.add_pod(uid, *pod))
                    self._note(connection.call(snapshot_sent()))
                    self.connections.append(connection)
                    self.changed.notify_all()
            except OSError as error:
                self.errors.append(str(error))

    def _note(self, error: str) -> None:
        if error:
            self.errors.append(error)

    def add_pod(self, uid: str, name: str, namespace: str, service_account: str, netns: str) -> str:
        with self.changed:
            self.pods[uid] = (name, namespace, service_account, netns)
            return self.connections[-1].add_pod(uid, name, namespace, service_account, netns) if self.connections else ""

    def remove_pod(self, uid: str) -> None:
        with self.changed:
            self.pods.pop(uid, None)
            for connection in self.connections[:]:
                try:
                    self._note(connection.call(delete(uid)))
                except OSError:
                    self.connections.remove(connection)

    def wait_for_connections(self, count: int, timeout: float = 20.0) -> None:
        """Until `count` ztunnels have ever connected and taken their snapshot."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.connections) >= count, timeout):
                raise TimeoutError(f"{len(self.connections)} of {count} ztunnels connected to {self.path}; "
                                   f"errors: {self.errors}")

    def close(self) -> None:
        # A blocked accept() does not notice close(); shutdown() wakes it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(ANSWER_TIMEOUT)
        for connection in self.connections:
            connection.close()
        self.path.unlink(missing_ok=True)


class ScriptedAgent:
    """Listens and leaves everything else to the test: accept() a ztunnel, then call() what you like. Takes the place
    of Agent in Lab.agents."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.connections: list[Connection] = []
        self._listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen(8)

    def accept(self, timeout: float = 20.0) -> Connection:
        """The next ztunnel that connects; its hello is read."""
        self._listener.settimeout(timeout)
        sock, _ = self._listener.accept()
        connection = Connection(sock)
        self.connections.append(connection)
        return connection

    def stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        self.stop_listening()
        for connection in self.connections:
            connection.close()
