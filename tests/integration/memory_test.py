"""What a pod whose applications do not read costs: itself its budget, and nobody else anything."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import socket

import pytest

from tests.integration.mesh import (CLIENT, LOCAL_SERVER, OUTSIDER, REMOTE_SERVER, dial, running_mesh, server,
                                    wait_for_access)
from tests.lab import sockets
from tests.lab.lab import binary
from tests.lab.process import wait_until

FLOOD, ECHO = 7500, 7501
INTRUDER = "demo/intruder"
BUDGET = 1 << 20
# Each stalled connection holds its window, which is a little: so a pod comes close to all of its budget.
WINDOW = 65536
STALLED = 40
USED_UP = "memory budget of workload demo/client is used up"


@pytest.fixture(scope="module")
def lab():
    with running_mesh({"CULVERT_WORKLOAD_MEMORY_BUDGET": "1Mi", "HTTP2_STREAM_WINDOW_SIZE": str(WINDOW)}) as mesh:
        yield mesh


def flood(sock: socket.socket, _peer) -> None:
    """Once asked, sends for ever."""
    sock.recv(1)
    while True:
        sock.sendall(b"x" * 65536)


def exchange(sock: socket.socket, size: int = 100_000, at_a_time: int = 50_000) -> None:
    data = random.Random(size).randbytes(size)
    for begin in range(0, size, at_a_time):
        part = data[begin:begin + at_a_time]
        sock.sendall(part)
        assert sockets.receive_exactly(sock, len(part)) == part


def expect_reset(lab, source: str, destination: str, port: int = ECHO) -> None:
    with pytest.raises(ConnectionResetError), dial(lab, source, destination, port) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"", "served"
        raise AssertionError("ended well")


def expect_refusal(lab, source: str, destination: str) -> None:
    """By the proxy of the other side."""
    with contextlib.suppress(ConnectionResetError), dial(lab, source, destination, ECHO) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"", "served"


def held(proxy, pod: str = "client") -> float:
    return proxy.metric("culvert_workload_memory_held_bytes", pod=pod)


def shed(proxy, scope: str, what: str) -> float:
    return proxy.metric("culvert_shed_total", scope=scope, what=what)


def connected(lab, source: str, destination: str, port: int) -> socket.socket:
    """A connection that is served, in both directions."""
    sock = dial(lab, source, destination, port)
    exchange(sock, 1)
    return sock


@contextlib.contextmanager
def stalled(lab, number: int = STALLED):
    """Connections of the client pod which download and do not read."""
    with server(lab, REMOTE_SERVER, FLOOD, flood), contextlib.ExitStack() as open_sockets:
        socks = [open_sockets.enter_context(dial(lab, CLIENT, REMOTE_SERVER, FLOOD)) for _ in range(number)]
        proxy = lab.ztunnels["node1"]
        wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="source") >= number, 10, "all are open")
        for sock in socks:
            # The kernel's buffers stay as they are: else they grow for a while, and take what ztunnel holds.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"x")
        yield socks


def test_who_does_not_read_is_reset_and_nobody_else(lab):
    proxy = lab.ztunnels["node1"]
    assert proxy.metric("culvert_connection_memory_budget_bytes") == WINDOW
    with contextlib.ExitStack() as stack:
        for pod in (REMOTE_SERVER, CLIENT, LOCAL_SERVER):
            stack.enter_context(server(lab, pod, ECHO))
        # A flowing connection of the same pod, on the same tunnel; of another pod; one that comes in.
        flowing = [stack.enter_context(connected(lab, *ends, ECHO))
                   for ends in ((CLIENT, REMOTE_SERVER), (INTRUDER, REMOTE_SERVER), (REMOTE_SERVER, CLIENT))]
        assert held(proxy) == 0
        with stalled(lab) as socks:
            lines = wait_for_access(proxy, USED_UP + r": \d+ of 1048576 bytes are held for who does not read\"$")
            assert "dst.workload=\"server-v2\"" in lines[0] and "direction=\"outbound\"" in lines[0]
            wait_until(lambda: held(proxy) > BUDGET * 3 / 4, 10, lambda: f"a full account: {held(proxy)}")
            assert held(proxy) <= BUDGET
            wait_until(lambda: proxy.metric("culvert_memory_held_bytes") > BUDGET * 3 / 4, 10, "the process has it too")
            assert held(proxy, "intruder") == 0

            for sock in flowing:
                exchange(sock, 3_000_000, 8_000)  # what a socket takes at once: there may be nothing left to hold

            # Nothing new for this pod: outgoing, plain text, through a tunnel that is there, through a new one.
            expect_reset(lab, CLIENT, REMOTE_SERVER)
            expect_reset(lab, OUTSIDER, CLIENT)
            assert shed(proxy, "workload", "connection") == 2
            # Node 2 has a tunnel on the worker that opened it; the other one asks for a new one.
            for _ in range(40):
                expect_refusal(lab, REMOTE_SERVER, CLIENT)
                if shed(proxy, "workload", "stream") > 0:
                    break
            assert shed(proxy, "workload", "stream") == 1
            assert wait_for_access(lab.ztunnels["node2"], "http status: 503 Service Unavailable")
            expect_refusal(lab, LOCAL_SERVER, CLIENT)
            assert shed(proxy, "workload", "tunnel") >= 1
            assert wait_for_access(proxy, "connection failed.*" + USED_UP + ".*CULVERT_WORKLOAD_MEMORY_BUDGET")
            # For others there is.
            with connected(lab, INTRUDER, REMOTE_SERVER, ECHO) as sock:
                exchange(sock)

            resets = 0
            failed = proxy.access_log("connection complete.*" + USED_UP)
            for sock in socks:
                sock.setblocking(False)
                try:
                    while sock.recv(1 << 20):
                        pass
                    raise AssertionError("an end that looks good")
                except ConnectionResetError:
                    resets += 1
                except BlockingIOError:
                    pass
            assert resets >= len(failed) >= STALLED - BUDGET / WINDOW
            assert resets >= proxy.metric("culvert_workload_memory_resets_total", pod="client") >= len(failed)
            assert proxy.metric("culvert_workload_memory_resets_total", pod="intruder") == 0
            assert proxy.metric("culvert_memory_resets_total") >= len(failed)
        wait_until(lambda: held(proxy) == 0, 10, lambda: f"the memory back: {held(proxy)}")
        with connected(lab, CLIENT, REMOTE_SERVER, ECHO), connected(lab, REMOTE_SERVER, CLIENT, ECHO), \
                connected(lab, LOCAL_SERVER, CLIENT, ECHO):
            pass
        for sock in flowing:
            exchange(sock)


def test_a_slow_reader_within_the_budget_gets_everything(lab):
    """Backpressure is no reason for a reset."""
    size = 20_000_000
    data = random.Random(3).randbytes(size)
    proxy = lab.ztunnels["node1"]
    with server(lab, REMOTE_SERVER, FLOOD, lambda sock, _: sock.sendall(data)), \
            dial(lab, CLIENT, REMOTE_SERVER, FLOOD, 30) as sock:
        wait_until(lambda: held(proxy) > 0, 10, "something held")
        assert sockets.receive_exactly(sock, size) == data
    wait_until(lambda: held(proxy) == 0, 10, "the memory back")


class FakeCgroup:
    """A cgroup (version 2) as the kernel would show it to a container, by files of ours in its place."""

    def __init__(self, folder: pathlib.Path, limit: int) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 1000000\n")
        self.program = folder / "in-cgroup"
        self.program.write_text(f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {folder} /sys/fs/cgroup && "
                                f"exec \"$0\" \"$@\"' {binary('ztunnel')} \"$@\"\n")
        self.program.chmod(0o755)
        self.use(0)

    def use(self, size: int) -> None:
        new = self._folder / "new"
        new.write_text(f"{size + 1000000}\n")
        os.replace(new, self._folder / "memory.current")


def test_new_connections_are_refused_before_the_kernel_ends_us(lab):
    cgroup = FakeCgroup(lab.folder / "cgroup", 100_000_000)
    lab.ztunnels["node1"].stop()
    proxy = lab.start_ztunnel("node1", program=str(cgroup.program))
    assert json.loads(proxy.get(15000, "/config_dump")[2])["config"]["memoryBudget"] == 50_000_000
    assert proxy.metric("culvert_memory_budget_bytes") == 50_000_000
    with server(lab, REMOTE_SERVER, ECHO), connected(lab, CLIENT, REMOTE_SERVER, ECHO) as sock:
        cgroup.use(95_000_001)
        proxy.wait_for_log("warn\tmemory\tmemory: 95000001 of 100000000 bytes are in use")
        assert proxy.metric("culvert_memory_pressure") == 1
        expect_reset(lab, CLIENT, REMOTE_SERVER)
        expect_reset(lab, INTRUDER, REMOTE_SERVER)
        assert shed(proxy, "memory", "connection") == 2
        assert wait_for_access(proxy, "connection failed.*the memory that the process may use is nearly gone; raise the")
        exchange(sock, 1_000_000)
        cgroup.use(80_000_000)
        proxy.wait_for_log("memory: 80000000 of 100000000 bytes are in use; new connections are taken again")
        with connected(lab, CLIENT, REMOTE_SERVER, ECHO), connected(lab, INTRUDER, REMOTE_SERVER, ECHO):
            pass
        assert proxy.metric("culvert_memory_pressure") == 0
