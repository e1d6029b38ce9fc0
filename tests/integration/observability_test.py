"""What operators see: metrics by their exact names and labels, the access log in both formats, the admin, stats and
readiness ports. Dashboards, istioctl and log pipelines were written for these."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re

import pytest

from tests.integration.mesh import (CLIENT, LEGACY, OUTSIDER, REMOTE_SERVER, dial, fields, running_mesh, server,
                                    wait_for_access)
from tests.lab import sockets
from tests.lab.hbone import open_tunnel
from tests.lab.process import wait_until

PORT = 7600
TRAFFIC_LABELS = [
    "reporter", "source_workload", "source_canonical_service", "source_canonical_revision",
    "source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster",
    "destination_service", "destination_service_namespace", "destination_service_name", "destination_workload",
    "destination_canonical_service", "destination_canonical_revision", "destination_workload_namespace",
    "destination_principal", "destination_app", "destination_version", "destination_cluster", "request_protocol",
    "response_flags", "connection_security_policy", "source_region", "source_zone", "destination_region",
    "destination_zone"]
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\t(error|warn|info|debug|trace)\t[\w:]+\t[^\t]*\t.*$")
# As bug-report of istioctl reads lines.
BUG_REPORT = re.compile(r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+Z)\s+(?:\w+\s+)?(\w+)\s+([\w\.:]+)(.*)")


@pytest.fixture(scope="module")
def lab():
    with running_mesh() as mesh:
        with server(mesh, REMOTE_SERVER, PORT), server(mesh, LEGACY, PORT), server(mesh, REMOTE_SERVER, 9090):
            yield mesh


def exchange(lab, source: str, address: tuple[str, int], data: bytes = b"hello") -> None:
    with sockets.connect(lab.ns(source), address) as sock:
        sock.sendall(data)
        assert sockets.receive_exactly(sock, len(data)) == data
        sock.shutdown(1)
        assert sock.recv(1) == b""


def fails(lab, source: str, address: tuple[str, int]) -> None:
    with contextlib.suppress(ConnectionError), sockets.connect(lab.ns(source), address) as sock:
        sock.sendall(b"hello")
        assert sock.recv(1) == b""


def labels_of(series: str) -> dict[str, str]:
    """In the order they are printed."""
    return dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series.partition("{")[2]))


def series(daemon, name: str, **labels: str) -> list[dict[str, str]]:
    found = [labels_of(s) for s in daemon.metrics() if s.startswith(name + "{")]
    return [s for s in found if all(s.get(k) == v for k, v in labels.items())]


def keys(line: str) -> list[str]:
    return [item.partition("=")[0] for item in re.findall(r'[\w.]+=(?:"[^"]*"|\S*)', line.split("\t")[4])]


# ---- metrics

def test_traffic_metrics_through_a_tunnel(lab):
    exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT))
    for node, reporter in (("node1", "source"), ("node2", "destination")):
        proxy = lab.ztunnels[node]
        wait_for_access(proxy, f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")
        for name in ("opened", "closed"):
            found = series(proxy, f"istio_tcp_connections_{name}_total", reporter=reporter,
                           destination_workload="server-v2", source_workload="client",
                           destination_service="unknown")
            assert len(found) == 1, name
            assert list(found[0]) == TRAFFIC_LABELS
            assert found[0] == {
                "reporter": reporter, "source_workload": "client", "source_canonical_service": "client",
                "source_canonical_revision": "v1", "source_workload_namespace": "demo",
                "source_principal": lab.pod(CLIENT).identity, "source_app": "client", "source_version": "v1",
                "source_cluster": "Kubernetes", "destination_service": "unknown",
                "destination_service_namespace": "unknown", "destination_service_name": "unknown",
                "destination_workload": "server-v2", "destination_canonical_service": "server",
                "destination_canonical_revision": "v2", "destination_workload_namespace": "demo",
                "destination_principal": lab.pod(REMOTE_SERVER).identity, "destination_app": "server",
                "destination_version": "v2", "destination_cluster": "Kubernetes", "request_protocol": "tcp",
                "response_flags": "-", "connection_security_policy": "mutual_tls", "source_region": "unknown",
                "source_zone": "unknown", "destination_region": "unknown", "destination_zone": "unknown"}
        for name in ("received", "sent"):
            assert proxy.metric(f"istio_tcp_{name}_bytes_total", reporter=reporter, source_workload="client",
                                destination_workload="server-v2") % 5 == 0


def test_traffic_metrics_in_plain(lab):
    exchange(lab, CLIENT, (lab.pod(LEGACY).ip, PORT))
    out = series(lab.ztunnels["node1"], "istio_tcp_connections_opened_total", destination_workload="legacy")[0]
    assert out["connection_security_policy"] == "unknown" and out["source_principal"] == "unknown"
    assert out["destination_principal"] == lab.pod(LEGACY).identity, "computed, not proven"
    exchange(lab, OUTSIDER, (lab.pod(REMOTE_SERVER).ip, PORT))
    inbound = series(lab.ztunnels["node2"], "istio_tcp_connections_opened_total", source_workload="outsider")[0]
    assert inbound["connection_security_policy"] == "unknown" and inbound["source_principal"] == "unknown"
    assert list(inbound) == list(out) == TRAFFIC_LABELS


def test_a_source_that_the_mesh_does_not_know_says_who_it_is(lab):
    """From a gateway of another network the address says nothing: baggage does, and the certificate."""
    tunnel = open_tunnel(lab, OUTSIDER, REMOTE_SERVER, "spiffe://cluster.local/ns/far/sa/gateway")
    baggage = ("k8s.cluster.name=c2,k8s.namespace.name=far,k8s.deployment.name=caller,service.name=svc,"
               "service.version=v9,cloud.region=r1,cloud.availability_zone=z1")
    stream = tunnel.connect(f"{lab.pod(REMOTE_SERVER).ip}:{PORT}", baggage=baggage, **{"x-forwarded-network": "net2"})
    assert tunnel.outcome(stream) == "200"
    found = series(lab.ztunnels["node2"], "istio_tcp_connections_opened_total", source_workload="caller")[0]
    assert {k: v for k, v in found.items() if k.startswith("source_")} == {
        "source_workload": "caller", "source_canonical_service": "svc", "source_canonical_revision": "v9",
        "source_workload_namespace": "far", "source_principal": "spiffe://cluster.local/ns/far/sa/gateway",
        "source_app": "caller", "source_version": "v9", "source_cluster": "c2", "source_region": "r1",
        "source_zone": "z1"}
    tunnel.close()


def test_flags_of_failures(lab):
    source, target = lab.ztunnels["node1"], lab.ztunnels["node2"]
    address = (lab.pod(REMOTE_SERVER).ip, 7999)
    fails(lab, CLIENT, address)
    wait_for_access(source, "hbone_addr=10.244.2.10:7999")
    for proxy, reporter in ((source, "source"), (target, "destination")):
        for name in ("closed", "failed"):
            assert series(proxy, f"istio_tcp_connections_{name}_total", reporter=reporter, response_flags="CONNECT")
        assert not series(proxy, "istio_tcp_connections_opened_total", response_flags="CONNECT")
        assert not series(proxy, "istio_tcp_received_bytes_total", response_flags="CONNECT")


def test_denied_early_is_not_counted(lab):
    proxy = lab.ztunnels["node1"]
    before = sum(v for k, v in proxy.metrics().items() if k.startswith("istio_tcp_connections_"))
    fails(lab, CLIENT, (lab.cluster.services["demo/server"].vip, 81))
    wait_for_access(proxy, "no healthy upstream")
    assert sum(v for k, v in proxy.metrics().items() if k.startswith("istio_tcp_connections_")) == before


def test_open_sockets_are_a_gauge(lab):
    proxy = lab.ztunnels["node1"]
    wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="source") == 0, 10, "no connection left")
    with dial(lab, CLIENT, REMOTE_SERVER, PORT), dial(lab, CLIENT, REMOTE_SERVER, PORT):
        wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="source") == 2, 5, "two connections")
    wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="source") == 0, 10, "no connection left")


def test_the_form_of_the_metrics(lab):
    proxy = lab.ztunnels["node1"]
    status, headers, body = proxy.get(15020, "/metrics")
    text = body.decode()
    assert status == 200 and headers["content-type"] == "text/plain; charset=utf-8"
    assert text.endswith("\n# EOF\n")
    for name, kind, help_text in (
            ("istio_tcp_connections_opened", "counter", "The total number of TCP connections opened."),
            ("istio_tcp_connections_closed", "counter", "The total number of TCP connections closed."),
            ("istio_tcp_received_bytes", "counter",
             "The size of total bytes received during request in case of a TCP connection."),
            ("istio_tcp_sent_bytes", "counter",
             "The size of total bytes sent during response in case of a TCP connection."),
            ("istio_tcp_connections_failed", "counter",
             "The total number of TCP connections that failed to establish (unstable)."),
            ("istio_tcp_sockets_open", "gauge", "The current number of open TCP sockets (unstable).")):
        assert f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" in text
    stable = {"istio_build", "istio_tcp_connections_opened", "istio_tcp_connections_closed",
              "istio_tcp_received_bytes", "istio_tcp_sent_bytes", "process_max_fds", "process_open_fds"}
    for name, help_text in re.findall(r"^# HELP (\S+) (.*)$", text, re.M):
        assert ("unstable" in help_text) == (name not in stable), name
    assert 'istio_build{component="ztunnel",tag="unknown"} 1' in text
    for name in ("workload_manager_active_proxy_count", "workload_manager_pending_proxy_count",
                 "workload_manager_proxies_started_total", "workload_manager_proxies_stopped_total"):
        assert re.search(rf"^{name} \d+$", text, re.M), name
    assert proxy.get(15020, "/stats/prometheus")[0] == 200
    assert proxy.get(15020, "/")[0] == 404
    _, headers, _ = sockets.http_get(proxy.namespace, ("127.0.0.1", 15020), "/metrics",
                                     {"Accept": "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"})
    assert headers["content-type"] == "application/openmetrics-text;charset=utf-8;version=1.0.0"
    _, headers, packed = sockets.http_get(proxy.namespace, ("127.0.0.1", 15020), "/metrics",
                                          {"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip" and gzip.decompress(packed).endswith(b"# EOF\n")


# ---- the access log

def test_access_log_lines(lab):
    """The fields in their order, for every kind of end."""
    source, target = lab.ztunnels["node1"], lab.ztunnels["node2"]
    with server(lab, REMOTE_SERVER, 8080):
        exchange(lab, CLIENT, (lab.cluster.services["demo/server-v2"].vip, 80))
    for proxy, direction in ((source, "outbound"), (target, "inbound")):
        line = wait_for_access(proxy, 'dst.service="server-v2.*')[-1]
        assert keys(line) == ["src.addr", "src.workload", "src.namespace", "src.identity", "src.cluster", "dst.addr",
                              "dst.hbone_addr", "dst.service", "dst.workload", "dst.namespace", "dst.identity",
                              "dst.cluster", "direction", "bytes_sent", "bytes_recv", "duration"]
        assert line.split("\t")[1:4] == ["info", "access", "connection complete"]
        found = fields(line)
        assert found["direction"] == direction and found["dst.hbone_addr"] == "10.244.2.10:8080"
        assert re.fullmatch(r"\d+ms", found["duration"])
    fails(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, 7998))
    line = wait_for_access(source, "hbone_addr=10.244.2.10:7998 ")[-1]
    assert keys(line)[-1] == "error" and line.split("\t")[1] == "error"
    fails(lab, CLIENT, (lab.cluster.services["demo/server"].vip, 81))
    line = wait_for_access(source, ":81 ")[-1]
    assert keys(line) == ["src.addr", "dst.addr", "direction", "error"]
    assert line.split("\t")[1:4] == ["warn", "access", "connection failed"]
    exchange(lab, CLIENT, (lab.pod(LEGACY).ip, PORT))
    assert keys(wait_for_access(source, 'dst.workload="legacy"')[-1]) == [
        "src.addr", "src.workload", "src.namespace", "src.cluster", "dst.addr", "dst.workload", "dst.namespace",
        "dst.cluster", "direction", "bytes_sent", "bytes_recv", "duration"]


def test_every_line_has_the_layout(lab):
    for proxy in lab.ztunnels.values():
        for line in proxy.lines():
            assert LINE.match(line), line
            assert BUG_REPORT.match(line), line


def test_json_lines(lab):
    lab.ztunnels["node1"].stop()
    proxy = lab.start_ztunnel("node1", {"LOG_FORMAT": "json", "RUST_LOG": "info,access=debug"})
    try:
        exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT))
        fails(lab, CLIENT, (lab.cluster.services["demo/server"].vip, 81))

        def lines():
            parsed = [json.loads(line) for line in proxy.lines()]
            return parsed if {p["message"] for p in parsed} >= {"connection complete", "connection failed"} else None

        parsed = wait_until(lines, 10, "the access log")
        assert all(list(p)[:4] == ["level", "time", "scope", "message"] for p in parsed)
        done = next(p for p in parsed if p["message"] == "connection complete")
        assert done["scope"] == "access" and done["level"] == "info"
        assert list(done)[4:] == ["src.addr", "src.workload", "src.namespace", "src.identity", "src.cluster",
                                  "dst.addr", "dst.hbone_addr", "dst.workload", "dst.namespace", "dst.identity",
                                  "dst.cluster", "direction", "bytes_sent", "bytes_recv", "duration"]
        assert (done["bytes_sent"], done["bytes_recv"]) == (5, 5)
        assert re.fullmatch(r"\d+ms", done["duration"]) and done["src.addr"].startswith("10.244.1.10:")
        opened = next(p for p in parsed if p["message"] == "connection opened")
        assert opened["level"] == "debug" and "bytes_sent" not in opened
        failed = next(p for p in parsed if p["message"] == "connection failed")
        assert list(failed)[4:] == ["src.addr", "dst.addr", "direction", "error"] and failed["level"] == "warn"
        assert any(p["scope"].startswith("ztunnel::") for p in parsed)
    finally:
        proxy.stop()
        lab.start_ztunnel("node1")


# ---- the admin port

def test_the_kernel_features_are_logged_once_at_start(lab):
    for proxy in lab.ztunnels.values():
        features = json.loads(proxy.get(15000, "/config_dump")[2])["kernelFeatures"]
        lines = [line for line in proxy.lines() if "\tapp\tkernel: " in line]
        assert len(lines) == 1 and lines[0].split("\t")[1] == "info"
        for name, one in features.items():
            state = "used" if one["used"] else "available, not used" if one["available"] else "absent"
            assert f"{name} {state}: {one['reason']}" in lines[0]


def test_config_dump_as_istioctl_reads_it(lab):
    proxy = lab.ztunnels["node2"]
    with dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock, dial(lab, OUTSIDER, REMOTE_SERVER, PORT) as plain:
        for one in (sock, plain):
            one.sendall(b"x")
            assert one.recv(1) == b"x"
        status, headers, body = proxy.get(15000, "/config_dump")
        sent = json.loads(lab.ztunnels["node1"].get(15000, "/config_dump")[2])
    assert status == 200 and headers["content-type"] == "application/json"
    dump = json.loads(body)
    assert list(dump) == sorted(["certificates", "config", "kernelFeatures", "policies", "services", "stagedServices", "staticConfig",
                                 "version", "workloads", "workloadState"])
    workload = next(w for w in dump["workloads"] if w["name"] == "server-v2")
    assert workload["uid"] == lab.pod(REMOTE_SERVER).uid and workload["workloadIps"] == ["10.244.2.10"]
    assert (workload["protocol"], workload["status"], workload["node"]) == ("HBONE", "Healthy", "node2")
    assert {"namespace", "serviceAccount", "workloadName", "canonicalName", "clusterId", "trustDomain",
            "capacity"} <= set(workload)
    service = next(s for s in dump["services"] if s["hostname"] == "server-v2.demo.svc.cluster.local")
    assert service["vips"] == ["/" + lab.cluster.services["demo/server-v2"].vip]
    assert service["ports"]["80"] == 8080
    endpoint = service["endpoints"][lab.pod(REMOTE_SERVER).uid]
    assert endpoint["workloadUid"] == lab.pod(REMOTE_SERVER).uid and endpoint["port"]["80"] == 8080
    certificate = next(c for c in dump["certificates"] if c["identity"] == lab.pod(REMOTE_SERVER).identity)
    assert certificate["state"] == "Available"
    leaf = certificate["certChain"][0]
    assert leaf["serialNumber"].isdecimal()
    assert base64.b64decode(leaf["pem"]).startswith(b"-----BEGIN CERTIFICATE-----")
    for when in ("validFrom", "expirationTime"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", leaf[when])
    assert certificate["rootCerts"]
    state = dump["workloadState"][lab.pod(REMOTE_SERVER).uid]
    assert state["state"] == "Up"
    assert state["info"] == {"name": "server-v2", "namespace": "demo", "serviceAccount": "server-v2"}
    inbound = state["connections"]["inbound"]
    assert {c["protocol"] for c in inbound} == {"HBONE", "TCP"}
    for connection in inbound:
        assert set(connection) == {"src", "originalDst", "actualDst", "protocol"}
        assert connection["actualDst"] == f"10.244.2.10:{PORT}"
    assert {"gitRevision", "version", "istioVersion", "buildStatus"} <= set(dump["version"])
    features = dump["kernelFeatures"]
    assert list(features) == ["ioUring", "kernelTls", "largePipes", "notSentLowat"]
    assert all(set(one) == {"available", "used", "reason"} and one["reason"] for one in features.values())
    assert features["notSentLowat"]["used"], "every kernel that runs this has it"
    assert not features["kernelTls"]["used"] and not features["ioUring"]["used"]
    outbound = [c for c in sent["workloadState"][lab.pod(CLIENT).uid]["connections"]["outbound"]
                if c["originalDst"] == f"10.244.2.10:{PORT}"]
    assert [(c["actualDst"], c["protocol"]) for c in outbound] == [("10.244.2.10:15008", "HBONE")]


def test_log_levels_at_run_time(lab):
    proxy = lab.ztunnels["node2"]

    def logging(query: str, method: str = "POST") -> tuple[int, str]:
        status, _, body = proxy.get(15000, "/logging" + query, method)
        return status, body.decode()

    try:
        assert logging("", "GET")[0] == 405
        status, text = logging("")
        assert (status, text) == logging("?level=")
        assert status == 200 and re.fullmatch(r"current log level is (hickory_server::server=off,)?info\n", text)
        for bad in ("foo", "debug,bar", "INFOO", "access", "access=loud"):
            status, text = logging(f"?level={bad}")
            assert status == 400 and text.startswith(f"Invalid level provided: {bad}\n"), bad
        exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT), b"last")
        wait_for_access(proxy, "bytes_sent=4 bytes_recv=4 ")
        assert logging("?level=access=off")[0] == 200
        before = len(proxy.access_log())
        closed = proxy.metric("istio_tcp_connections_closed_total")
        exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT))
        wait_until(lambda: proxy.metric("istio_tcp_connections_closed_total") > closed, 5, "its end on node2")
        status, text = logging("?level=access=debug")
        assert status == 200 and "access=debug" in text
        exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT))
        wait_until(lambda: len(proxy.access_log()) >= before + 2, 5, "the second connection's lines")
        assert [line.split("\t")[3] for line in proxy.access_log()[before:]] == [
            "connection opened", "connection complete"], "and none of the first one"
    finally:
        status, text = logging("?reset")
    assert status == 200 and "access" not in text


def test_the_admin_port_is_local(lab):
    """Stats and readiness are for the cluster, the admin port is for who can enter the proxy's namespace."""
    proxy = lab.ztunnels["node1"]
    slot = next(slot for slot in range(8) if lab.network.ztunnel_ns("node1", slot) == proxy.namespace)
    ip = lab.cluster.nodes["node1"].ztunnel_ip(slot)
    assert sockets.http_get(lab.ns(OUTSIDER), (ip, 15020), "/metrics")[0] == 200
    assert sockets.http_get(lab.ns(OUTSIDER), (ip, 15021), "/healthz/ready")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(lab.ns(OUTSIDER), (ip, 15000), 3)
    assert proxy.get(15000, "/")[0] == 200


# ---- readiness

def test_readiness_follows_the_node_agent(lab):
    proxy = lab.ztunnels["node2"]
    assert proxy.get(15021, "/healthz/ready")[::2] == (200, b"ready\n")
    assert proxy.get(15021, "/healthz/ready", "POST")[0] == 405
    assert proxy.get(15021, "/")[0] == 404
    agent = lab.agents["node2"]
    agent.connections[-1].close()
    wait_until(lambda: proxy.get(15021, "/healthz/ready")[::2] == (500, b"not ready, pending: workload proxy manager\n")
               or proxy.log().count("connected to the Istio CNI node agent") > 1, 5, "not ready without the agent")
    proxy.wait_ready()
    exchange(lab, CLIENT, (lab.pod(REMOTE_SERVER).ip, PORT))


def test_not_ready_before_the_first_snapshot(lab):
    """Nobody listens at the agent's socket: the mesh is loaded, the proxy works, its pods are not known."""
    proxy = lab.start_ztunnel("node1", {"INPOD_UDS": str(lab.folder / "nobody.sock")}, wait=False)
    old = next(p for p in lab.processes if p is not proxy and getattr(p, "name", "").startswith("ztunnel-node1-")
               and p.running)
    try:
        def pending():
            with contextlib.suppress(OSError):
                return proxy.get(15021, "/healthz/ready")[::2]
        assert wait_until(pending, 10, "the readiness port") in (
            (500, b"not ready, pending: workload proxy manager\n"),
            (500, b"not ready, pending: proxy, workload proxy manager\n"),
            (500, b"not ready, pending: proxy, state manager, workload proxy manager\n"))
        wait_until(lambda: pending() == (500, b"not ready, pending: workload proxy manager\n"), 5, "what is pending")
    finally:
        proxy.stop()
        lab.ztunnels["node1"] = old
