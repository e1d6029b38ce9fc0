"""Shutting a ztunnel down, and putting a new one in its place, under connections that are open and that keep coming."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest

from tests.integration.mesh import (CLIENT, OUTSIDER, REMOTE_SERVER, dial, fields, running_mesh, server,
                                    wait_for_access)
from tests.lab import sockets
from tests.lab.hbone import open_tunnel
from tests.lab.process import wait_until

PORT = 7500
# node1 has the long deadline of a test that must not meet it, node2's is set per test.
LONG = {"TERMINATION_GRACE_PERIOD_SECONDS": "45"}
SHORT = {"CONNECTION_TERMINATION_DEADLINE": "3s"}


@pytest.fixture
def lab():
    with running_mesh(LONG) as mesh:
        with server(mesh, REMOTE_SERVER, PORT):
            yield mesh


def carries(sock) -> None:
    sock.sendall(b"ping")
    assert sockets.receive_exactly(sock, 4) == b"ping"


def opened(lab, source: str = CLIENT):
    sock = dial(lab, source, REMOTE_SERVER, PORT, 20)
    carries(sock)
    return sock


def restart(lab, node: str, env=None):
    """The daemon of `node` is told to end while its successor is already there, as in a rolling update."""
    old = lab.ztunnels[node]
    new = lab.start_ztunnel(node, env)
    old.signal(signal.SIGTERM)
    return old, new


def test_without_connections_it_ends_at_once(lab):
    for node in lab.cluster.nodes:
        proxy = lab.ztunnels[node]
        started = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - started < 3
        proxy.wait_for_log("SIGTERM: drain started, waiting at most 40000 ms")
        proxy.wait_for_log("shutdown complete")


def test_open_connections_go_on_and_new_ones_are_refused(lab):
    """Nothing is cut before the deadline; the process ends when the last connection does."""
    target = lab.ztunnels["node2"]
    client, outsider = opened(lab), opened(lab, OUTSIDER)
    target.signal(signal.SIGTERM)
    target.wait_for_log("drain started")

    def refused() -> bool:
        try:
            with sockets.connect(lab.ns(OUTSIDER), (lab.pod(REMOTE_SERVER).ip, 15008), 5):
                return False
        except ConnectionRefusedError:
            return True

    wait_until(refused, 5, "the listeners closing")
    for sock in (client, outsider):
        carries(sock)
    with dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock, pytest.raises((ConnectionResetError, EOFError)):
        sock.sendall(b"ping")
        sockets.receive_exactly(sock, 4)
    assert target.running
    client.shutdown(1)
    assert client.recv(1) == b""
    outsider.close()
    assert target.wait(5) == 0
    for line in wait_for_access(target, f"{lab.pod(REMOTE_SERVER).ip}:{PORT}", 2):
        assert "\tinfo\t" in line and "error=" not in line


def test_tunnels_are_told_to_go_away(lab):
    """GOAWAY; the streams that run go on, a new one is not taken, and the tunnel closes with its last stream."""
    target = lab.ztunnels["node2"]
    tunnel = open_tunnel(lab, OUTSIDER, REMOTE_SERVER)
    stream = tunnel.connect(f"{lab.pod(REMOTE_SERVER).ip}:{PORT}")
    assert tunnel.outcome(stream) == "200"
    target.signal(signal.SIGTERM)
    while not any(type(event).__name__ == "ConnectionTerminated" for event in tunnel.events):
        assert tunnel.receive(), "closed without GOAWAY"
    assert {int(e.error_code) for e in tunnel.events if type(e).__name__ == "ConnectionTerminated"} == {0}
    assert target.running
    tunnel.close()
    assert target.wait(10) == 0


def test_a_stream_goes_on_behind_goaway(lab):
    with opened(lab) as sock:
        target = lab.ztunnels["node2"]
        target.signal(signal.SIGTERM)
        target.wait_for_log("drain started")
        for _ in range(100):
            carries(sock)
    assert target.wait(10) == 0


def test_the_deadline_cuts_what_is_left(lab):
    old = lab.ztunnels["node2"]
    assert old.stop() == 0
    target = lab.start_ztunnel("node2", SHORT)
    client, outsider = opened(lab), opened(lab, OUTSIDER)
    started = time.monotonic()
    target.signal(signal.SIGTERM)
    for sock in (client, outsider):
        with pytest.raises(ConnectionResetError):  # a FIN would look like a good end
            sock.recv(1)
    assert 2 < time.monotonic() - started < 6
    assert target.wait(5) == 0
    target.wait_for_log(r"drain duration expired with \d+ pending connections of demo/server-v2, closing them")
    lines = wait_for_access(target, f"{lab.pod(REMOTE_SERVER).ip}:{PORT}", 2)
    assert all('error="connection closed due to connection drain"' in line for line in lines)
    assert {fields(line)["src.workload"] for line in lines} == {"client", "outsider"}
    # To the client's proxy it is a failure of the tunnel or a reset, whichever came first.
    assert wait_for_access(lab.ztunnels["node1"], f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")


def test_cut_connections_are_counted_before_the_end(lab):
    """closed with the flag "-", as in the reference, and not failed."""
    old = lab.ztunnels["node1"]
    assert old.stop() == 0
    source = lab.start_ztunnel("node1", {"CONNECTION_TERMINATION_DEADLINE": "2s"})
    sock = opened(lab)
    seen: list[dict[str, float]] = []

    def scrape():
        while source.running:
            try:
                seen.append(source.metrics())
            except (OSError, IndexError, ValueError):
                return

    thread = threading.Thread(target=scrape)
    thread.start()
    source.signal(signal.SIGTERM)
    assert source.wait(10) == 0
    thread.join(10)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    assert seen, "the stats port answers while draining"
    assert all(not name.startswith("istio_tcp_connections_failed") for name in seen[-1])


@contextlib.contextmanager
def connections_that_keep_coming(lab):
    """One after the other without pause, of several clients. Gives what failed, and a list with how many worked."""
    done, failures, count = threading.Event(), [], [0]

    def keep_connecting(source):
        while not done.is_set():
            try:
                with opened(lab, source):
                    count[0] += 1
            except (OSError, EOFError) as error:
                failures.append((source, repr(error)))

    threads = [threading.Thread(target=keep_connecting, args=(source,)) for source in (CLIENT, CLIENT, OUTSIDER)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: count[0] > 50, 10, "connections before the change")
        yield failures, count
    finally:
        done.set()
        for thread in threads:
            thread.join(25)


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_a_successor_takes_over_without_a_refused_connection(lab, node):
    """Connections keep coming from both sides of the change, and each of them works."""
    long_lived = opened(lab)
    with connections_that_keep_coming(lab) as (failures, count):
        old, new = restart(lab, node)
        old.wait_for_log("drain started")
        carries(long_lived)
        at_change = count[0]
        wait_until(lambda: count[0] > at_change + 200, 20, "connections after the change")
    assert failures == []
    carries(long_lived)
    assert old.running
    long_lived.close()
    assert old.wait(10) == 0
    assert new.is_ready()
    wait_for_access(new, f"{lab.pod(REMOTE_SERVER).ip}:{PORT}")


def test_a_successor_that_is_taken_back_leaves_connections_to_the_older(lab):
    """An update that is undone: the newer of two processes ends, and from then on takes nothing new."""
    older = lab.ztunnels["node2"]
    with connections_that_keep_coming(lab) as (failures, count):
        newer = lab.start_ztunnel("node2")
        wait_for_access(newer, "", 20)
        newer.signal(signal.SIGTERM)
        assert newer.wait(10) == 0
        at_end = count[0]
        wait_until(lambda: count[0] > at_end + 100, 20, "connections after the end")
    assert failures == []
    ended = newer.log().partition("drain started")[2]
    assert ended.count("\taccess\t") <= 10  # those that were open; in the 100 ms more than that would have come
    lab.ztunnels["node2"] = older


def test_three_restarts_in_a_row_leave_one_process(lab):
    for _ in range(3):
        old, new = restart(lab, "node2")
        assert old.wait(10) == 0
        with opened(lab):
            pass
    assert new.metric("workload_manager_active_proxy_count") == 1


def test_quitquitquit(lab):
    proxy = lab.ztunnels["node2"]
    status, _, body = proxy.get(15000, "/quitquitquit")
    assert (status, body) == (405, b"")
    assert proxy.running
    with opened(lab) as sock:
        status, _, body = proxy.get(15000, "/quitquitquit", "POST")
        assert (status, body) == (200, b"shutdown now\n")
        proxy.wait_for_log("POST /quitquitquit: drain started")
        carries(sock)
    assert proxy.wait(10) == 0


def test_a_second_sigint_ends_it_now(lab):
    proxy = lab.ztunnels["node2"]
    with opened(lab) as sock:
        proxy.signal(signal.SIGINT)
        proxy.wait_for_log("SIGINT: drain started")
        carries(sock)
        proxy.signal(signal.SIGINT)
        assert proxy.wait(5) == 0


def test_a_second_sigterm_changes_nothing(lab):
    proxy = lab.ztunnels["node2"]
    with opened(lab) as sock:
        for _ in range(3):
            proxy.signal(signal.SIGTERM)
        proxy.wait_for_log("drain started")
        carries(sock)
    assert proxy.wait(10) == 0
    assert proxy.log().count("drain started") == 1
