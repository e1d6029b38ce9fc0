"""What a byte, a request and an idle connection cost in the two ztunnels that carry it: numbers that hardly depend on the
machine's speed. `pytest -s` prints them; docs/performance.md has them for a release build."""

from __future__ import annotations

import contextlib
import pathlib
import re
import resource
import socket
import struct
import threading
import time

import pytest

from tests.integration.mesh import CLIENT, REMOTE_SERVER, SANITIZED, dial, running_mesh, server
from tests.lab import sockets
from tests.lab.process import wait_until
from tests.lab.syscalls import Counts, counting, threads

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers call the kernel and keep memory on their own account")
PORT, IDLE_PORT = 7800, 7801
NODES = ("node1", "node2")
KIB, MIB = 1 << 10, 1 << 20

# System calls per MiB of bulk. Measured 5 to 15 (reads), 5 to 7 (writes), 1 to 6 (waits), of a debug build, on a machine
# at rest and on one with four other programs for its two processors. A ztunnel that reads or writes one record of 16 KiB
# at a time needs 64.
BULK = 64 * MIB
PER_MIB = {"recv.*|readv?": 28, "send.*|writev?": 16, "epoll_.*": 16, "": 1}  # "": all others
# Each side waits, reads and writes once for the request and once for the answer: 6.
REQUESTS, PER_REQUEST = 500, 6.5
# Private memory of one side per idle connection: 25 % more than was measured of a debug build.
FEW, MANY, IDLE_BYTES = 500, 1500, {"node1": 2270, "node2": 2340}


@pytest.fixture(scope="module")
def lab():
    with running_mesh() as mesh, server(mesh, REMOTE_SERVER, PORT, serve):
        yield mesh


# ---- an application that does what each connection orders: a letter and a size

TAKE, SEND, ECHO = b"t", b"s", b"e"


def order(kind: bytes, size: int) -> bytes:
    return kind + struct.pack(">Q", size)


def serve(sock: socket.socket, _peer: sockets.Address) -> None:
    while len(head := sock.recv(9, socket.MSG_WAITALL)) == 9:
        kind, size = head[:1], struct.unpack(">Q", head[1:])[0]
        if kind == ECHO:
            sock.sendall(sockets.receive_exactly(sock, size))
        elif kind == TAKE:
            take(sock, size)
            sock.sendall(b".")
        else:
            send(sock, size)


def send(sock: socket.socket, size: int) -> None:
    for _ in range(size // MIB):
        sock.sendall(bytes(MIB))


def take(sock: socket.socket, size: int) -> None:
    buffer = bytearray(MIB)
    while size:
        count = sock.recv_into(buffer, min(size, MIB))
        assert count, "the end came early"
        size -= count


def upload(sock: socket.socket, size: int) -> None:
    sock.sendall(order(TAKE, size))
    send(sock, size)
    assert sock.recv(1) == b"."


def download(sock: socket.socket, size: int) -> None:
    sock.sendall(order(SEND, size))
    take(sock, size)


def requests(sock: socket.socket, count: int) -> None:
    """1 KiB there and back, and the order before it in the same segment."""
    for _ in range(count):
        sock.sendall(order(ECHO, KIB) + bytes(KIB))
        sockets.receive_exactly(sock, KIB)


# ---- system calls

@contextlib.contextmanager
def counted(lab):
    """The calls of the workers of each node's ztunnel."""
    with contextlib.ExitStack() as stack:
        yield {node: stack.enter_context(counting(threads(lab.ztunnels[node].pid, r"ztunnel-\d+"))) for node in NODES}


def per_mib(counts: Counts) -> dict[str, float]:
    found = {pattern: counts.of(pattern) for pattern in PER_MIB if pattern}
    return {name: count * MIB / BULK for name, count in {**found, "": counts.total - sum(found.values())}.items()}


@pytest.mark.parametrize("move", [upload, download])
def test_system_calls_per_mebibyte(lab, move):
    with dial(lab, CLIENT, REMOTE_SERVER, PORT, 60) as sock:
        move(sock, 8 * MIB)  # the windows have grown
        with counted(lab) as counts:
            move(sock, BULK)
    for node in NODES:
        found = per_mib(counts[node])
        print(f"{move.__name__}, {node}: {sum(found.values()):.1f} system calls per MiB, {dict(counts[node])}")
        assert {name: value for name, value in found.items() if value > PER_MIB[name]} == {}, (node, counts[node])


def test_system_calls_per_request(lab):
    with dial(lab, CLIENT, REMOTE_SERVER, PORT, 60) as sock:
        requests(sock, 10)
        with counted(lab) as counts:
            requests(sock, REQUESTS)
    for node in NODES:
        print(f"{node}: {counts[node].total / REQUESTS:.2f} system calls per request, {dict(counts[node])}")
        assert counts[node].total / REQUESTS < PER_REQUEST, (node, counts[node])


# ---- memory

def private_bytes(pid: int) -> int:
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) * KIB for kib in re.findall(r"^Private_(?:Dirty|Hugetlb):\s+(\d+) kB", rollup, re.MULTILINE))


def settled(lab) -> dict[str, int]:
    """Once it is the same for a while."""
    since, last = time.monotonic(), {}

    def stays() -> bool:
        nonlocal since, last
        now = {node: private_bytes(lab.ztunnels[node].pid) for node in NODES}
        if now != last:
            since, last = time.monotonic(), now
        return time.monotonic() - since > 0.5

    wait_until(stays, 20, "memory that stays as it is")
    return last


def answer_and_hold(listener: socket.socket, held: list[socket.socket]) -> None:
    """One thread for all of them: accepts, answers one byte and keeps the connection open."""
    with contextlib.suppress(OSError):
        while True:
            held.append(listener.accept()[0])
            held[-1].sendall(held[-1].recv(1))


def test_memory_of_an_idle_connection():
    """In processes that have carried nothing: what bulk has left free would be used first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(running_mesh())
        held: list[socket.socket] = []
        stack.callback(lambda: [sock.close() for sock in held])
        listener = stack.enter_context(sockets.listen(lab.ns(REMOTE_SERVER), (lab.pod(REMOTE_SERVER).ip, IDLE_PORT)))
        acceptor = threading.Thread(target=answer_and_hold, args=(listener, held), daemon=True)
        acceptor.start()
        stack.callback(acceptor.join, 5)
        stack.callback(listener.shutdown, socket.SHUT_RDWR)

        def grow(count: int) -> dict[str, int]:
            while len(held) < count:
                sock = stack.enter_context(dial(lab, CLIENT, REMOTE_SERVER, IDLE_PORT))
                sock.sendall(b"x")
                assert sock.recv(1) == b"x"
            return settled(lab)

        few, many = grow(FEW), grow(MANY)
    for node in NODES:
        each = (many[node] - few[node]) / (MANY - FEW)
        print(f"{node}: {each:.0f} bytes per idle connection, {many[node] / MIB:.1f} MiB with {MANY}")
        assert each < IDLE_BYTES[node], node
        assert each > KIB, f"{node}: is anything measured?"
