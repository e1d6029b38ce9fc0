"""What a user sees: pods in and out of the mesh talk to each other, and what metrics and logs say of it."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.integration.mesh import (CLIENT, LEGACY, LOCAL_SERVER, OUTSIDER, REMOTE_SERVER, dial, fields, running_mesh,
                                    server, wait_for_access)
from tests.lab import sockets
from tests.lab.process import wait_until

PORT = 7000


@pytest.fixture(scope="module")
def lab():
    with running_mesh() as mesh:
        yield mesh


def exchange(lab, source: str, destination: str, port: int = PORT) -> str:
    """11 bytes out, 22 back (a server that answers everything twice); returns the source the server saw."""

    def twice(sock, _peer):
        while data := sock.recv(1 << 16):
            sock.sendall(data * 2)

    with server(lab, destination, port, twice) as app, dial(lab, source, destination, port) as sock:
        sock.sendall(b"hello world")
        assert sockets.receive_exactly(sock, 22) == b"hello worldhello world"
        sock.shutdown(1)
        assert sock.recv(1) == b""
        return app.peers[0][0]


@pytest.mark.parametrize("destination", [LOCAL_SERVER, REMOTE_SERVER])
def test_captured_to_captured(lab, destination):
    """The bytes, the identities on both sides, the client's own address at the server, and the counters."""
    source_proxy, target_proxy = lab.ztunnels["node1"], lab.ztunnels[lab.pod(destination).node]
    labels = {"destination_workload": lab.pod(destination).name, "connection_security_policy": "mutual_tls",
              "source_workload": "client"}
    before = {(p.name, m): p.metric(m, **labels) for p in (source_proxy, target_proxy)
              for m in ("istio_tcp_received_bytes_total",)}

    assert exchange(lab, CLIENT, destination) == lab.pod(CLIENT).ip

    outbound = fields(wait_for_access(source_proxy, f'hbone_addr={lab.pod(destination).ip}:{PORT}.*"outbound"')[-1])
    inbound = fields(wait_for_access(target_proxy, f'hbone_addr={lab.pod(destination).ip}:{PORT}.*"inbound"')[-1])
    for line in (outbound, inbound):
        assert line["src.identity"] == lab.pod(CLIENT).identity
        assert line["dst.identity"] == lab.pod(destination).identity
        assert line["src.workload"] == "client" and line["dst.workload"] == lab.pod(destination).name
        assert line["dst.addr"] == f"{lab.pod(destination).ip}:15008"
        assert "error" not in line
    assert (outbound["bytes_sent"], outbound["bytes_recv"]) == ("11", "22")
    assert (inbound["bytes_sent"], inbound["bytes_recv"]) == ("22", "11")
    for proxy, reporter in ((source_proxy, "source"), (target_proxy, "destination")):
        received = proxy.metric("istio_tcp_received_bytes_total", reporter=reporter, **labels)
        sent = proxy.metric("istio_tcp_sent_bytes_total", reporter=reporter, **labels)
        assert received % 11 == 0 and sent == 2 * received and received > 0
        assert proxy.metric("istio_tcp_connections_opened_total", reporter=reporter, **labels) == \
            proxy.metric("istio_tcp_connections_closed_total", reporter=reporter, **labels)
    assert target_proxy.metric("istio_tcp_received_bytes_total", **labels) > before[
        (target_proxy.name, "istio_tcp_received_bytes_total")]


def test_only_the_client_is_captured(lab):
    assert exchange(lab, CLIENT, LEGACY) == lab.pod(CLIENT).ip
    line = fields(wait_for_access(lab.ztunnels["node1"], f"dst.addr={lab.pod(LEGACY).ip}:{PORT}")[-1])
    assert line["dst.workload"] == "legacy"
    assert "src.identity" not in line and "dst.identity" not in line and "dst.hbone_addr" not in line


def test_only_the_server_is_captured(lab):
    assert exchange(lab, OUTSIDER, REMOTE_SERVER) == lab.pod(OUTSIDER).ip
    line = fields(wait_for_access(lab.ztunnels["node2"], f"dst.addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")[-1])
    assert line["src.workload"] == "outsider" and line["direction"] == "inbound"
    assert "src.identity" not in line


def from_ports(lab, ports) -> list[int]:
    """Plain connections of one client with these source ports, all open at a time, each of which works; returns the ports
    that the server saw, of the client's address."""
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(server(lab, REMOTE_SERVER, PORT))
        socks = []
        for port in ports:
            socks.append(stack.enter_context(
                sockets.connect(lab.ns(OUTSIDER), (lab.pod(REMOTE_SERVER).ip, PORT), source_port=port)))
            for sock in socks:
                sock.sendall(b"ping")
                assert sockets.receive_exactly(sock, 4) == b"ping"
        assert {address for address, _ in app.peers} == {lab.pod(OUTSIDER).ip}
        return [port for _, port in app.peers]


def test_ports_of_plain_clients_are_left_to_them(lab):
    """ztunnel dials the application from the client's address, in the namespace where the client's own connections arrive:
    with a port of one of them both would be one to the kernel, and break."""
    ports = range(40000, 40020)
    setting = "net.ipv4.ip_local_port_range"
    before = lab.exec(REMOTE_SERVER, ["sysctl", "-n", setting]).stdout.strip()

    def choose_from(range_of_ports: str) -> None:
        assert lab.exec(REMOTE_SERVER, ["sysctl", "-qw", f"{setting}={range_of_ports}"]).returncode == 0

    choose_from(f"{ports[0]} {ports[-1]}")  # the kernel would
    try:
        seen = from_ports(lab, ports)
        assert len(set(seen)) == len(ports) and not set(seen) & set(ports)
    finally:
        choose_from(before)


def test_ports_that_are_taken_are_replaced(lab):
    # Two that would get the same one.
    first, second = from_ports(lab, [33000, 33000 + 22768])
    assert first != second
    with sockets.Server(lab.ns(REMOTE_SERVER), ("0.0.0.0", first + 1), sockets.echo):  # the application listens there
        assert from_ports(lab, [33001]) != [first + 1]
    assert from_ports(lab, [33002]) == [first + 2]


def test_nobody_is_captured(lab):
    assert exchange(lab, OUTSIDER, LEGACY) == lab.pod(OUTSIDER).ip


def test_service_address_spreads_over_its_endpoints(lab):
    vip = lab.cluster.services["demo/server"].vip
    seen = set()
    with server(lab, LOCAL_SERVER, 9090, lambda s, _: s.sendall(b"one")), \
            server(lab, REMOTE_SERVER, 9090, lambda s, _: s.sendall(b"two")):
        for _ in range(40):
            with sockets.connect(lab.ns(CLIENT), (vip, 9090)) as sock:
                seen.add(sockets.receive_all(sock))
    assert seen == {b"one", b"two"}
    line = fields(wait_for_access(lab.ztunnels["node1"], "dst.service=.*:9090|:9090.*dst.service=")[-1])
    assert line["dst.service"] == "server.demo.svc.cluster.local"
    for node, reporter in (("node1", "source"), ("node2", "destination")):
        assert lab.ztunnels[node].metric("istio_tcp_connections_opened_total", reporter=reporter,
                                         destination_service="server.demo.svc.cluster.local",
                                         destination_service_name="server",
                                         destination_service_namespace="demo") > 0


def test_server_speaks_first(lab):
    with server(lab, REMOTE_SERVER, PORT, lambda s, _: s.sendall(b"220 ready\r\n")), \
            dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        assert sockets.receive_all(sock) == b"220 ready\r\n"


def test_refused_by_the_application_is_a_failed_connection(lab):
    with pytest.raises(ConnectionError), dial(lab, CLIENT, REMOTE_SERVER, 7999) as sock:
        sock.sendall(b"x" * 100)
        sock.recv(1)
    line = wait_for_access(lab.ztunnels["node1"], "10.244.2.10:7999")[-1]
    assert "http status: 503 Service Unavailable" in line and "\terror\t" in line
    line = wait_for_access(lab.ztunnels["node2"], "10.244.2.10:7999")[-1]
    assert "connection failed: Connection refused" in line
    assert lab.ztunnels["node1"].metric("istio_tcp_connections_failed_total", response_flags="CONNECT") > 0


def test_service_without_endpoints_is_refused_not_passed_through(lab):
    vip = lab.cluster.services["plain/legacy"].vip
    # Its only pod does not accept tunnels and is reached in plain: the service works ...
    with server(lab, LEGACY, 8080), sockets.connect(lab.ns(CLIENT), (vip, 80)) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    # ... but a port it does not have is nobody's.
    with pytest.raises(ConnectionError), sockets.connect(lab.ns(CLIENT), (vip, 81)) as sock:
        sock.sendall(b"x")
        sock.recv(1)
    assert wait_for_access(lab.ztunnels["node1"], f"no healthy upstream: {vip}:81")


@pytest.mark.parametrize("port", [15001, 15006, 15008])
def test_our_own_ports_do_not_loop(lab, port):
    """A pod that dials its proxy's ports, on another pod or on loopback, is refused and nothing spins."""
    for address in (lab.pod(REMOTE_SERVER).ip, "127.0.0.1"):
        try:
            with sockets.connect(lab.ns(CLIENT), (address, port), 5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert sockets.receive_all(sock).startswith((b"", b"\x15")), "nothing but an alert comes back"
        except (ConnectionError, TimeoutError):
            pass
    proxy = lab.ztunnels["node1"]
    before = proxy.cpu_seconds()
    wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="source") == 0, 10, "no socket is left open")
    assert proxy.cpu_seconds() - before < 1
    assert proxy.is_ready()


def test_link_carries_only_tls_on_the_tunnel_port(lab):
    """What passes between the nodes for two pods of the mesh: TCP to 15008, and not a byte of payload."""
    secret = b"a secret that must not be seen on the wire" * 50
    capture = lab.capture("node1", "node2")
    with server(lab, REMOTE_SERVER, PORT), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(secret)
        assert sockets.receive_exactly(sock, len(secret)) == secret
    packets = [p for p in capture.stop() if p.payload]
    assert packets, "the capture saw the exchange"
    assert all(p.protocol == 6 and 15008 in (p.source_port, p.destination_port) for p in packets)
    assert all(b"secret" not in p.payload for p in packets)


def certified(ztunnel) -> set[str]:
    return {entry["identity"] for entry in json.loads(ztunnel.get(15000, "/config_dump")[2])["certificates"]}


def test_pods_come_and_go(lab):
    pod = lab.add_pod("late", "demo", "node2", "late", {"app": "late", "version": "v1"})
    assert exchange(lab, CLIENT, pod.key) == lab.pod(CLIENT).ip
    assert lab.ztunnels["node2"].metric("workload_manager_active_proxy_count") == 2
    assert certified(lab.ztunnels["node2"]) == {pod.identity, lab.pod(REMOTE_SERVER).identity}
    lab.remove_pod(pod.key)
    assert certified(lab.ztunnels["node2"]) == {lab.pod(REMOTE_SERVER).identity}
    wait_until(lambda: lab.ztunnels["node2"].metric("workload_manager_active_proxy_count") == 1, 5, "the proxy stopping")
    assert lab.ztunnels["node2"].is_ready()
