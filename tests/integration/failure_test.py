"""What users see when something dies: the proxy of the other node, an application, a node, a pod. Everything ends within
its bound, nothing is taken for a good end that was not one, and afterwards the mesh works as before."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time

import pytest

from tests.integration.mesh import (CLIENT, LEGACY, LOCAL_SERVER, OUTSIDER, REMOTE_SERVER, dial, fields, running_mesh,
                                    server, wait_for_access)
from tests.lab import sockets
from tests.lab.netns import run
from tests.lab.process import wait_until

PORT = 7400


@pytest.fixture(scope="module")
def mesh():
    with running_mesh() as lab:
        yield lab


@pytest.fixture
def lab(mesh):
    """The mesh with both ztunnels running, whatever the test before did to them."""
    yield mesh
    for node in mesh.cluster.nodes:
        if not mesh.ztunnels[node].running:
            mesh.start_ztunnel(node)


def kill(lab, node: str) -> None:
    """kill -9; afterwards the agent no longer counts on it."""
    lab.ztunnels[node].kill()


def exchange(lab, source: str = CLIENT, destination: str = REMOTE_SERVER, timeout: float = 10.0) -> None:
    with server(lab, destination, PORT), dial(lab, source, destination, PORT, timeout) as sock:
        sock.sendall(b"ping")
        assert sockets.receive_exactly(sock, 4) == b"ping"


def expect_failure(sock) -> None:
    """The connection breaks: no answer, and not a byte of one."""
    with contextlib.suppress(ConnectionError):
        sock.sendall(b"ping")
        assert sock.recv(4) == b""


def nothing_left_open(lab) -> None:
    for node, proxy in lab.ztunnels.items():
        if proxy.running:
            wait_until(lambda p=proxy: p.metric("istio_tcp_sockets_open", reporter="source") == 0, 10,
                       f"no connection left on {node}")


@contextlib.contextmanager
def dropped(namespace: str, *rule: str):
    """A firewall that swallows packets."""
    chains = ("INPUT", "FORWARD")
    for chain in chains:
        run("ip", "netns", "exec", namespace, "iptables", "-w", "-I", chain, *rule, "-j", "DROP")
    try:
        yield
    finally:
        for chain in chains:
            run("ip", "netns", "exec", namespace, "iptables", "-w", "-D", chain, *rule, "-j", "DROP")


# ---- the other node's proxy

def test_killed_before_the_connection(lab):
    kill(lab, "node2")
    started = time.monotonic()
    with contextlib.suppress(ConnectionResetError), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        expect_failure(sock)
    assert time.monotonic() - started < 2
    line = wait_for_access(lab.ztunnels["node1"], f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")[-1]
    assert 'error="io error: Connection refused' in line
    lab.start_ztunnel("node2")
    exchange(lab)
    nothing_left_open(lab)


@pytest.mark.parametrize("source, destination", [(CLIENT, REMOTE_SERVER), (CLIENT, LEGACY), (OUTSIDER, REMOTE_SERVER)])
def test_a_client_that_only_listens_sees_a_failed_connection_as_a_reset(lab, source, destination):
    """The application refuses: in a tunnel, and in plain on either side. A FIN would look like an empty answer, to
    a client that has sent nothing."""
    with pytest.raises(ConnectionResetError), dial(lab, source, destination, 7406) as sock:
        sock.recv(1)


def test_a_client_that_only_listens_sees_a_missing_proxy_as_a_reset(lab):
    kill(lab, "node2")
    with pytest.raises(ConnectionResetError), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.recv(1)


def test_killed_during_the_handshake(lab):
    """The kernel takes the connection, a stopped process never answers the ClientHello."""
    exchange(lab)
    proxy = lab.ztunnels["node2"]
    pod = lab.ns(REMOTE_SERVER)

    def waiting() -> bool:
        listening = run("ip", "netns", "exec", pod, "ss", "-Htnl", "sport", "=", ":15008")
        return any(int(line.split()[1]) > 0 for line in listening.splitlines())

    # A tunnel of its own: the client's idle one would take the request.
    kill(lab, "node1")
    lab.start_ztunnel("node1")
    proxy.freeze()
    with dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        wait_until(waiting, 5, "a connection in the accept queue")
        proxy.kill()
        expect_failure(sock)
    line = wait_for_access(lab.ztunnels["node1"], f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")[-1]
    assert "\terror\t" in line and fields(line)["bytes_recv"] == "0"
    assert lab.ztunnels["node1"].metric("istio_tcp_connections_failed_total", reporter="source") == 1
    lab.start_ztunnel("node2")
    exchange(lab)


def test_a_peer_that_never_finishes_the_handshake_is_given_up(lab):
    """The reference waits for ever; here the handshake has a limit (10 s)."""
    kill(lab, "node1")
    lab.start_ztunnel("node1")
    proxy = lab.ztunnels["node2"]
    proxy.freeze()
    try:
        with dial(lab, CLIENT, REMOTE_SERVER, PORT, 20) as sock:
            expect_failure(sock)
    finally:
        proxy.signal(signal.SIGCONT)
    assert wait_for_access(lab.ztunnels["node1"], f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}.*error=")
    exchange(lab)


def test_killed_between_connect_and_answer(lab):
    """The application does not answer its connection, so the CONNECT has no answer yet."""
    proxy = lab.ztunnels["node2"]
    with dropped(lab.ns(REMOTE_SERVER), "-p", "tcp", "--dport", "7401", "-i", "lo"):
        before = proxy.metric("istio_tcp_connections_opened_total", reporter="destination")
        with dial(lab, CLIENT, REMOTE_SERVER, 7401) as sock:
            wait_until(lambda: proxy.metric("istio_tcp_connections_opened_total", reporter="destination") > before, 5,
                       "the CONNECT")
            proxy.kill()
            expect_failure(sock)
    assert "\terror\t" in wait_for_access(lab.ztunnels["node1"], "hbone_addr=10.244.2.10:7401")[-1]
    lab.start_ztunnel("node2")
    exchange(lab)
    nothing_left_open(lab)


def test_an_application_that_does_not_accept_is_503_after_the_connect_timeout(lab):
    with dropped(lab.ns(REMOTE_SERVER), "-p", "tcp", "--dport", "7402", "-i", "lo"), \
            dial(lab, CLIENT, REMOTE_SERVER, 7402, 20) as sock:
        started = time.monotonic()
        expect_failure(sock)
        assert 8 < time.monotonic() - started < 13
    assert "http status: 503 Service Unavailable" in wait_for_access(lab.ztunnels["node1"],
                                                                     "hbone_addr=10.244.2.10:7402")[-1]
    assert "connection failed: " in wait_for_access(lab.ztunnels["node2"], "hbone_addr=10.244.2.10:7402")[-1]


def test_killed_while_the_server_sends(lab):
    """A download that is cut must not look like one that is complete."""
    def flood(sock, _peer):
        while True:
            sock.sendall(b"x" * 65536)

    with server(lab, REMOTE_SERVER, 7403, flood), dial(lab, CLIENT, REMOTE_SERVER, 7403) as sock:
        sockets.receive_exactly(sock, 1 << 20)
        kill(lab, "node2")
        with pytest.raises(ConnectionResetError):
            sockets.receive_all(sock)
    assert "\terror\t" in wait_for_access(lab.ztunnels["node1"], "hbone_addr=10.244.2.10:7403")[-1]
    nothing_left_open(lab)


def test_killed_while_the_client_sends(lab):
    got = []

    def drain(sock, _peer):
        sock.sendall(b"go")
        with contextlib.suppress(ConnectionError):
            while sock.recv(1 << 20):
                pass
        got.append(True)

    with server(lab, REMOTE_SERVER, 7404, drain), dial(lab, CLIENT, REMOTE_SERVER, 7404) as sock:
        assert sockets.receive_exactly(sock, 2) == b"go"
        sock.sendall(b"x" * (1 << 20))
        kill(lab, "node2")
        with pytest.raises(ConnectionError):
            for _ in range(10_000):
                sock.sendall(b"x" * 65536)
        wait_until(lambda: got, 10, "the server learning the end")
    assert "\terror\t" in wait_for_access(lab.ztunnels["node1"], "hbone_addr=10.244.2.10:7404")[-1]
    nothing_left_open(lab)


def test_killed_while_nothing_is_sent(lab):
    with server(lab, REMOTE_SERVER, PORT), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        kill(lab, "node2")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("restarted", [True, False])
def test_an_idle_tunnel_whose_peer_died_is_not_used_again(lab, restarted):
    exchange(lab)
    kill(lab, "node2")
    if restarted:
        lab.start_ztunnel("node2")
        for _ in range(5):
            exchange(lab)
        return
    client, target = lab.pod(CLIENT).ip, (lab.pod(REMOTE_SERVER).ip, PORT)
    with contextlib.suppress(ConnectionResetError), sockets.connect(lab.ns(CLIENT), target, source_port=23456) as sock:
        expect_failure(sock)
    assert "Connection refused" in wait_for_access(lab.ztunnels["node1"], f"src.addr={client}:23456 .*error=")[-1]


def test_killed_source_proxy(lab):
    """The client loses its connections, the server learns it, and the other proxy keeps nothing."""
    ended = []

    def flood(sock, _peer):
        try:
            while True:
                sock.sendall(b"x" * 65536)
        finally:
            ended.append(True)

    target = lab.ztunnels["node2"]
    with server(lab, REMOTE_SERVER, 7405, flood), dial(lab, CLIENT, REMOTE_SERVER, 7405) as sock:
        sockets.receive_exactly(sock, 1 << 20)
        kill(lab, "node1")
        with contextlib.suppress(ConnectionError):
            sockets.receive_all(sock)  # how a killed process's sockets end is the kernel's choice
        wait_until(lambda: ended, 10, "the server's end")
    line = wait_for_access(target, "hbone_addr=10.244.2.10:7405")[-1]
    assert "\terror\t" in line
    wait_until(lambda: target.metric("istio_tcp_sockets_open", reporter="destination") == 0, 10, "no tunnel left")
    lab.start_ztunnel("node1")
    exchange(lab)


# ---- applications

CHATTER = """
import socket, sys
s = socket.socket()
if sys.argv[1] == "serve":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((sys.argv[2], int(sys.argv[3])))
    s.listen()
    print("listening", flush=True)
    s = s.accept()[0]
else:
    s.connect((sys.argv[2], int(sys.argv[3])))
while True:
    s.sendall(b"x" * 65536)
"""


def test_killed_server_application(lab):
    app = lab.start(lab.ns(REMOTE_SERVER), [sys.executable, "-c", CHATTER, "serve", lab.pod(REMOTE_SERVER).ip, "7406"],
                    "server-app")
    app.wait_for_log("listening")
    with dial(lab, CLIENT, REMOTE_SERVER, 7406) as sock:
        sock.sendall(b"unread by the application")  # so that its kernel resets, as after any crash
        sockets.receive_exactly(sock, 1 << 20)
        app.kill()
        with pytest.raises(ConnectionResetError):
            sockets.receive_all(sock)
    nothing_left_open(lab)


def test_killed_client_application(lab):
    ended = []

    def read(sock, _peer):
        with contextlib.suppress(ConnectionError):
            while sock.recv(1 << 20):
                pass
        ended.append(True)

    with server(lab, REMOTE_SERVER, 7407, read) as app:
        client = lab.start(lab.ns(CLIENT), [sys.executable, "-c", CHATTER, "dial", lab.pod(REMOTE_SERVER).ip, "7407"],
                           "client-app")
        wait_until(lambda: app.peers, 10, "the connection")
        client.kill()
        wait_until(lambda: ended, 10, "the server's end")
    nothing_left_open(lab)


# ---- nodes and networks

def test_an_unreachable_node_costs_one_connect_timeout(lab):
    """However many ask at once; and they are told what it probably is."""
    proxy = lab.ztunnels["node1"]
    kill(lab, "node2")  # no idle tunnel to use
    lab.start_ztunnel("node2")
    with dropped(lab.network.node_ns("node2"), "-p", "tcp", "--dport", "15008"):
        times = []

        def try_once():
            started = time.monotonic()
            with contextlib.suppress(ConnectionResetError), dial(lab, CLIENT, REMOTE_SERVER, 7408, 30) as sock:
                expect_failure(sock)
            times.append(time.monotonic() - started)

        threads = [threading.Thread(target=try_once) for _ in range(8)]
        for thread in threads:
            thread.start()
        exchange(lab, CLIENT, LOCAL_SERVER)  # the others work meanwhile
        for thread in threads:
            thread.join(40)
    assert len(times) == 8 and all(8 < t < 13 for t in times), times
    lines = wait_for_access(proxy, "hbone_addr=10.244.2.10:7408", 8)
    assert all("connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: " in line for line in lines)
    assert proxy.metric("istio_tcp_connections_failed_total", response_flags="NETWORK_POLICY") == 8
    exchange(lab)


def test_a_node_without_a_route_fails_at_once(lab):
    kill(lab, "node2")
    lab.start_ztunnel("node2")
    link = ("ip", "-n", lab.network.node_ns("node1"))
    run(*link, "route", "add", "unreachable", f"{lab.pod(REMOTE_SERVER).ip}/32")
    try:
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
            expect_failure(sock)
        assert time.monotonic() - started < 5
    finally:
        run(*link, "route", "del", "unreachable", f"{lab.pod(REMOTE_SERVER).ip}/32")
    wait_for_access(lab.ztunnels["node1"], f'hbone_addr=10.244.2.10:{PORT}.*error="io error: ')
    exchange(lab)


def test_a_silent_network_is_found_out_by_pings(lab):
    """PING every 10 s, answer within 20 s: both ends give up the tunnel on their own, and its streams with it."""
    ended = []

    def wait_for_end(sock, _peer):
        sock.sendall(sock.recv(1))
        with contextlib.suppress(ConnectionError):
            sock.recv(1)
        ended.append(time.monotonic())

    with server(lab, REMOTE_SERVER, 7409, wait_for_end), dial(lab, CLIENT, REMOTE_SERVER, 7409, 45) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        with dropped(lab.network.node_ns("node2"), "-s", lab.pod(CLIENT).ip), \
                dropped(lab.network.node_ns("node2"), "-d", lab.pod(CLIENT).ip):
            started = time.monotonic()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
            assert 15 < time.monotonic() - started < 35
            wait_until(lambda: ended, 20, "the server's side giving up")
    lab.ztunnels["node1"].wait_for_log("HBONE ping timeout/error")
    assert "\terror\t" in wait_for_access(lab.ztunnels["node1"], "hbone_addr=10.244.2.10:7409")[-1]
    assert "\terror\t" in wait_for_access(lab.ztunnels["node2"], "hbone_addr=10.244.2.10:7409")[-1]
    exchange(lab)


# ---- pods

def test_a_removed_pod_takes_its_connections_along(lab):
    """At once: nobody is left to talk to. New connections are taken by the client's proxy, and fail."""
    pod = lab.add_pod("doomed", "demo", "node2", "doomed", {"app": "doomed", "version": "v1"})
    with server(lab, pod.key, PORT), dial(lab, CLIENT, pod.key, PORT) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        lab.agents["node2"].remove_pod(pod.uid)
        started = time.monotonic()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert time.monotonic() - started < 2
        with contextlib.suppress(ConnectionResetError), sockets.connect(lab.ns(CLIENT), (pod.ip, PORT)) as again:
            expect_failure(again)
    lines = wait_for_access(lab.ztunnels["node2"], f"hbone_addr={pod.ip}:{PORT}")
    assert 'error="connection closed due to connection drain"' in lines[-1]
    lab.remove_pod(pod.key)
    exchange(lab)


def test_descriptors_are_not_lost(lab):
    """After everything: failures of all kinds in numbers, and as many descriptors as before."""
    proxy = lab.ztunnels["node1"]
    exchange(lab)
    before = proxy.descriptors()
    for _ in range(200):
        with contextlib.suppress(ConnectionResetError), dial(lab, CLIENT, REMOTE_SERVER, 7999) as sock:
            expect_failure(sock)  # nobody listens
    wait_until(lambda: proxy.descriptors() <= before + 4, 10, lambda: f"{proxy.descriptors()} of {before} descriptors")
