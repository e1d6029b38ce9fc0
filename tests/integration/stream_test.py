"""How bytes, ends and resets are carried through two proxies."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import threading
import time

import pytest

from tests.integration.mesh import CLIENT, REMOTE_SERVER, dial, running_mesh, server, wait_for_access
from tests.lab import sockets
from tests.lab.process import wait_until

PORT = 7100


@pytest.fixture(scope="module")
def lab():
    with running_mesh() as mesh:
        yield mesh


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_client_half_closes_and_still_gets_the_answer(lab):
    def answer_at_the_end(sock, _peer):
        data = sockets.receive_all(sock)
        sock.sendall(hashlib.sha256(data).digest())

    payload = random.Random(1).randbytes(3_000_000)
    with server(lab, REMOTE_SERVER, PORT, answer_at_the_end), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(payload)
        sock.shutdown(socket.SHUT_WR)
        assert sockets.receive_all(sock) == hashlib.sha256(payload).digest()


def test_server_half_closes_and_still_gets_the_rest(lab):
    got = []

    def close_first(sock, _peer):
        sock.sendall(b"bye")
        sock.shutdown(socket.SHUT_WR)
        got.append(hashlib.sha256(sockets.receive_all(sock)).digest())

    payload = random.Random(2).randbytes(3_000_000)
    with server(lab, REMOTE_SERVER, PORT, close_first), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        assert sockets.receive_all(sock) == b"bye"
        sock.sendall(payload)
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: got, 20, "the server reading all")
    assert got[0] == hashlib.sha256(payload).digest()


def test_a_large_answer_survives_a_server_that_closes_at_once(lab):
    """The server does not read the request to its end, answers 16 MB and closes; the client reads slowly."""
    answer = random.Random(3).randbytes(16 << 20)

    def answer_and_close(sock, _peer):
        sock.recv(10)
        sock.sendall(answer)

    with server(lab, REMOTE_SERVER, PORT, answer_and_close), dial(lab, CLIENT, REMOTE_SERVER, PORT, 30) as sock:
        sock.sendall(b"0123456789")
        digest, size = hashlib.sha256(), 0
        while data := sock.recv(1 << 16):
            digest.update(data)
            size += len(data)
            if size < 4 << 20:
                time.sleep(0.002)  # slow at first, so that the answer waits in every buffer on the way
    assert size == len(answer) and digest.digest() == hashlib.sha256(answer).digest()


def test_a_client_reset_reaches_the_server_as_a_reset(lab):
    seen = []

    def watch(sock, _peer):
        sock.sendall(sock.recv(1))
        try:
            seen.append(sock.recv(1))
        except ConnectionResetError:
            seen.append("reset")

    with server(lab, REMOTE_SERVER, PORT, watch):
        sock = dial(lab, CLIENT, REMOTE_SERVER, PORT)
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        reset(sock)
        wait_until(lambda: seen, 10, "the server seeing the end")
    assert seen == ["reset"]


def test_a_server_reset_reaches_the_client_as_a_reset(lab):
    def refuse(sock, _peer):
        sock.recv(1)
        reset(sock)

    with server(lab, REMOTE_SERVER, PORT, refuse), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    # Applications reset connections all day long; that is no failure of the mesh.
    assert "error" not in wait_for_access(lab.ztunnels["node1"], f"hbone_addr=10.244.2.10:{PORT}")[-1].split("\t")[1]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_one_gibibyte_with_checksum(lab, direction):
    size, chunk = 1 << 30, random.Random(4).randbytes(1 << 20)
    digests = {}

    def send(sock):
        digest = hashlib.sha256()
        for i in range(size // len(chunk)):
            part = struct.pack(">Q", i) + chunk[8:]
            digest.update(part)
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        digests["sent"] = digest.digest()

    def receive(sock):
        digest, got = hashlib.sha256(), 0
        while data := sock.recv(1 << 20):
            digest.update(data)
            got += len(data)
        digests["received"], digests["size"] = digest.digest(), got

    remote, local = (receive, send) if direction == "up" else (send, receive)
    finished = threading.Event()

    def handle(sock, _peer):
        remote(sock)
        finished.set()

    with server(lab, REMOTE_SERVER, PORT, handle), dial(lab, CLIENT, REMOTE_SERVER, PORT, 120) as sock:
        local(sock)
        assert finished.wait(120)
    assert digests["size"] == size and digests["sent"] == digests["received"]


def test_a_reader_that_stops_does_not_stop_the_others(lab):
    """Streams of one client to one server share a tunnel; one of them is not read, the others go on."""
    stop = threading.Event()

    def handle(sock, _peer):
        kind = sock.recv(1)
        if kind == b"s":  # stalls: never reads what the client sends
            stop.wait(60)
            return
        sockets.echo(sock, _peer)

    with server(lab, REMOTE_SERVER, PORT, handle):
        stalled = [dial(lab, CLIENT, REMOTE_SERVER, PORT) for _ in range(6)]
        for sock in stalled:
            sock.sendall(b"s")
            sock.setblocking(False)
            try:  # until every buffer on the way is full
                idle_since = time.monotonic()
                while time.monotonic() - idle_since < 0.5:
                    try:
                        sock.send(b"x" * 65536)
                        idle_since = time.monotonic()
                    except BlockingIOError:
                        time.sleep(0.01)
            except OSError as error:
                pytest.fail(f"a stalled stream broke: {error}")
        with dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
            sock.sendall(b"e")
            for _ in range(50):
                sock.sendall(b"y" * 20_000)
                assert len(sockets.receive_exactly(sock, 20_000)) == 20_000
        stop.set()
        for sock in stalled:
            sock.close()


def test_two_hundred_streams_share_tunnels(lab):
    with server(lab, REMOTE_SERVER, PORT):
        streams = [dial(lab, CLIENT, REMOTE_SERVER, PORT) for _ in range(200)]
        for i, sock in enumerate(streams):
            sock.sendall(struct.pack(">I", i) * 1000)
        for i, sock in enumerate(streams):
            assert sockets.receive_exactly(sock, 4000) == struct.pack(">I", i) * 1000
        tunnels = lab.ztunnels["node2"].metric("istio_tcp_sockets_open", reporter="destination")
        # 100 streams per tunnel, on two workers of the client's node.
        assert 2 <= tunnels <= 6
        for sock in streams:
            sock.close()
    wait_until(lambda: lab.ztunnels["node1"].metric("istio_tcp_sockets_open", reporter="source") == 0, 10,
               "all connections ending")


def test_ten_thousand_connections_leave_nothing_behind(lab):
    """Descriptors and memory of both proxies are what they were."""

    def burst(count: int) -> None:
        def work(n: int) -> None:
            for _ in range(n):
                with dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
                    sock.sendall(b"ping")
                    assert sockets.receive_exactly(sock, 4) == b"ping"

        threads = [threading.Thread(target=work, args=(count // 8,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    proxies = list(lab.ztunnels.values())

    def settled() -> bool:
        return all(p.metric("istio_tcp_sockets_open", reporter="source") == 0 for p in proxies)

    with server(lab, REMOTE_SERVER, PORT):
        burst(2000)  # fills pools, caches and the allocator
        wait_until(settled, 20, "connections ending")
        before = [(p.descriptors(), p.rss_bytes()) for p in proxies]
        burst(10_000)
        wait_until(settled, 20, "connections ending")
    for proxy, (descriptors, rss) in zip(proxies, before):
        assert proxy.descriptors() <= descriptors + 4, proxy.name
        # Sanitizers keep freed memory in quarantine; the plain build must not grow by more than noise.
        limit = (300 if "asan" in proxy.argv[0] else 8) << 20
        assert proxy.rss_bytes() - rss < limit, proxy.name
