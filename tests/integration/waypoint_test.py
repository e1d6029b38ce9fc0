"""A waypoint between a client and a service, as both see it: requests, raw connections, policies, changes, ends."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import hashlib
import json
import os
import socket
import struct
import termios
import threading
import time

import pytest
import yaml

from tests.integration.mesh import CLIENT, DEMO, LOCAL_SERVER, OUTSIDER, REMOTE_SERVER
from tests.lab import sockets, waypoint_config
from tests.lab.cluster import Cluster
from tests.lab.hbone import open_tunnel
from tests.lab.http import Http1, Http2, http2_responder
from tests.lab.lab import Daemon, Lab
from tests.lab.process import wait_until

WAYPOINT, SECOND = "demo/waypoint", "demo/waypoint-2"
QUICK_DRAIN = {"TERMINATION_DRAIN_DURATION_SECONDS": "1"}
LOG = {"accessLog": {"format": "json"}}


def rule(*backends: tuple[str, int], **more):
    return {"backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in backends], **more}


def path(value: str, kind: str = "PathPrefix"):
    return {"matches": [{"path": {"type": kind, "value": value}}]}


ROUTES = [{
    "name": "shop",
    "parentRefs": [{"kind": "Service", "name": "shop", "port": 80}],
    "rules": [
        rule(("server-v2", 1), matches=[{"headers": [{"name": "x-version", "value": "v2"}]}]),
        rule(("server-v1", 90), ("server-v2", 10), **path("/split")),
        rule(("server-v1", 1), **path("/v1")),
        rule(("server-v2", 1), **path("/v2")),
        rule(("shop", 1)),
    ],
}]
POLICIES = [{
    "name": "no-admin", "action": "DENY", "targetRefs": [{"kind": "Service", "name": "shop"}],
    # Without the port it would deny raw connections, whose paths nobody knows.
    "rules": [{"to": [{"operation": {"paths": ["/admin*"], "ports": ["80"]}}]}],
}]


def config(lab: Lab, **sections) -> str:
    given = {"options": LOG, "httpRoutes": ROUTES, "authorizationPolicies": POLICIES, **sections}
    return waypoint_config.render(lab.cluster, lab.pod(WAYPOINT), **{k: v for k, v in given.items() if v is not None})


def demo_cluster() -> Cluster:
    cluster = Cluster.load(DEMO)
    first = cluster.pods[WAYPOINT]
    # A second replica, of the same identity: for the day the first one goes.
    second = cluster.add_pod("waypoint-2", "demo", "node2", first.service_account, dict(first.labels))
    second.is_waypoint = True
    return cluster


class Scene:
    def __init__(self, lab: Lab, waypoint: Daemon) -> None:
        self.lab, self.waypoint = lab, waypoint
        self.vip = lab.cluster.services["demo/shop"].vip
        self.file = lab.folder / "waypoint.yaml"

    def http1(self, port: int = 80, timeout: float = 10.0) -> Http1:
        return Http1(self.lab.ns(CLIENT), (self.vip, port), timeout)

    def http2(self, port: int = 80) -> Http2:
        return Http2(self.lab.ns(CLIENT), (self.vip, port))

    def get(self, target: str = "/", **kwargs):
        with self.http1() as client:
            return client.request(path=target, **kwargs)

    def raw(self, port: int) -> socket.socket:
        return sockets.connect(self.lab.ns(CLIENT), (self.vip, port))

    def log_lines(self, **wanted) -> list[dict]:
        lines = []
        for line in self.waypoint.lines():
            if line.startswith("{"):
                entry = json.loads(line)
                if all(entry.get(key) == value for key, value in wanted.items()):
                    lines.append(entry)
        return lines

    def wait_for_log(self, **wanted) -> dict:
        return wait_until(lambda: self.log_lines(**wanted), 10,
                          lambda: f"access log line {wanted}:\n{self.waypoint.log()[-3000:]}")[-1]

    def loads(self) -> float:
        return self.waypoint.metric("culvert_config_loads_total")

    def reload(self, text: str) -> None:
        """Replaces the configuration and waits until it is in force."""
        before = self.loads()
        replace(self.file, text)
        wait_until(lambda: self.loads() > before, 10, lambda: f"the reload:\n{self.waypoint.log()[-3000:]}")


def replace(file, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, file)


@contextlib.contextmanager
def running_scene():
    with Lab(demo_cluster()) as lab:
        # One waypoint behind its service until a test wants two.
        spare = lab.cluster.pods.pop(SECOND)
        lab.spare = spare
        lab.write_mesh()
        lab.start_ztunnels()
        yield Scene(lab, lab.start_waypoint(WAYPOINT, config(lab), QUICK_DRAIN))


@pytest.fixture(scope="module")
def scene():
    with running_scene() as made:
        yield made


@pytest.fixture(autouse=True)
def servers(scene):
    with contextlib.ExitStack() as stack:
        for pod, name in ((LOCAL_SERVER, "v1"), (REMOTE_SERVER, "v2")):
            server = sockets.Server(scene.lab.ns(pod), (scene.lab.pod(pod).ip, 8080), sockets.http_responder(name))
            stack.enter_context(server)
        yield


# ---- requests

def test_request_crosses_the_waypoint(scene):
    with scene.http1() as client:
        for target in ("/one", "/two?q=1"):
            answer = client.request(path=target, headers={"X-Mine": "yes"})
            assert answer.status == 200 and answer.headers["x-server"] in ("v1", "v2")
            assert answer.lines["path"] == target
            assert answer.lines["header.x-mine"] == "yes" and answer.lines["header.host"] == f"{scene.vip}:80"
            assert answer.lines["header.x-request-id"]
            # The application is called by the waypoint, not by the client.
            assert answer.lines["peer"] == scene.lab.pod(WAYPOINT).ip
    assert len({scene.get().headers["x-server"] for _ in range(30)}) == 2


def test_http2_client_of_an_http1_application(scene):
    with scene.http2() as client:
        streams = [client.send(path=f"/h2/{i}", headers={"x-version": "v2"}) for i in range(20)]
        for i, stream in enumerate(streams):
            answer = client.receive(stream)
            assert answer.status == 200 and answer.lines["path"] == f"/h2/{i}" and answer.lines["server"] == "v2"


def test_grpc_keeps_its_trailers(scene):
    pod = scene.lab.pod(REMOTE_SERVER)
    with sockets.Server(scene.lab.ns(REMOTE_SERVER), (pod.ip, 50051), http2_responder("v2")), \
            sockets.Server(scene.lab.ns(LOCAL_SERVER), (scene.lab.pod(LOCAL_SERVER).ip, 50051), http2_responder("v1")), \
            scene.http2(50051) as client:
        message = b"\0\0\0\0\x05hello"
        stream = client.send("POST", "/pkg.Service/Method", {"content-type": "application/grpc", "te": "trailers"}, message)
        answer = client.receive(stream)
        assert (answer.status, answer.body) == (200, message)
        assert client.trailers[stream]["grpc-status"] == "0"
    wait_until(lambda: scene.waypoint.metric("istio_request_messages_total", request_protocol="grpc") == 1, 5,
               "the message counted")


def test_routes_by_header(scene):
    assert {scene.get(headers={"x-version": "v2"}).headers["x-server"] for _ in range(10)} == {"v2"}
    assert scene.get("/v1", headers={"x-version": "v3"}).headers["x-server"] == "v1"


def test_splits_by_weight(scene):
    with scene.http1() as client:
        seen = collections.Counter(client.request(path="/split").headers["x-server"] for _ in range(500))
    # Five standard deviations around 50 of 500.
    assert 17 <= seen["v2"] <= 83 and seen["v1"] + seen["v2"] == 500


@pytest.mark.parametrize("target", ["/admin", "/admin/users", "/x/../admin"])
def test_denied_request(scene, target):
    answer = scene.get(target)
    assert (answer.status, answer.body) == (403, b"RBAC: access denied")
    line = scene.wait_for_log(path=os.path.normpath(target))  # what policies saw, as Envoy logs it
    assert line["response_code_details"] == "rbac_access_denied_matched_policy[ns[demo]-policy[no-admin]-rule[0]]"


def test_retries_hide_a_dead_endpoint(scene):
    """`shop` has two endpoints; one does not listen. Default retries (connect-failure) find the other."""
    port = 8090
    text = yaml.safe_load(config(scene.lab))
    for service in text["services"]:
        if service["name"] == "shop":
            service["ports"][0]["targetPort"] = port
    pod = scene.lab.pod(REMOTE_SERVER)
    with sockets.Server(scene.lab.ns(REMOTE_SERVER), (pod.ip, port), sockets.http_responder("alive")):
        scene.reload(yaml.safe_dump(text))
        answers = [scene.get("/flaky") for _ in range(20)]
    scene.reload(config(scene.lab))
    assert {(a.status, a.headers.get("x-server")) for a in answers} == {(200, "alive")}
    assert any("URX" in line["response_flags"] or line["upstream_host"].startswith(pod.ip)
               for line in scene.log_lines(path="/flaky"))


def test_no_endpoint_answers_503(scene):
    text = yaml.safe_load(config(scene.lab))
    for service in text["services"]:
        if service["name"] == "shop":
            service["ports"][0]["targetPort"] = 8099
    scene.reload(yaml.safe_dump(text))
    started = time.monotonic()
    answer = scene.get("/nobody")
    assert answer.status == 503 and time.monotonic() - started < 5
    scene.reload(config(scene.lab))
    assert "UF" in scene.wait_for_log(path="/nobody")["response_flags"]


def test_upgrade_becomes_a_pipe(scene):
    def upgrading(sock, _peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        assert b"upgrade: websocket" in head.lower()
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
        while data := sock.recv(4096):
            sock.sendall(data.upper())

    text = yaml.safe_load(config(scene.lab))
    for service in text["services"]:
        if service["name"] == "server-v2":
            service["ports"][0]["targetPort"] = 8091
    pod = scene.lab.pod(REMOTE_SERVER)
    scene.reload(yaml.safe_dump(text))
    with sockets.Server(scene.lab.ns(REMOTE_SERVER), (pod.ip, 8091), upgrading), scene.http1() as client:
        client.send("GET", "/v2/socket", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
        assert client.receive().status == 101
        assert client.exactly(6) == b"hello "
        client.sock.sendall(b"both ways")
        assert client.exactly(9) == b"BOTH WAYS"
    scene.reload(config(scene.lab))


def test_large_bodies_arrive_whole(scene):
    size = 8 << 20
    body = os.urandom(1 << 20) * 8
    received = []

    def mirror(sock, _peer):
        """Reads a body, says its hash in a header, and sends it back in chunks."""
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += sock.recv(1 << 16)
        _, _, buffer = buffer.partition(b"\r\n\r\n")
        data = buffer + sockets.receive_exactly(sock, size - len(buffer))
        received.append(hashlib.sha256(data).hexdigest())
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for begin in range(0, size, 50_000):
            piece = data[begin:begin + 50_000]
            sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        sock.sendall(b"0\r\n\r\n")

    text = yaml.safe_load(config(scene.lab))
    for service in text["services"]:
        if service["name"] == "server-v2":
            service["ports"][0]["targetPort"] = 8092
    scene.reload(yaml.safe_dump(text))
    expected = hashlib.sha256(body).hexdigest()
    with sockets.Server(scene.lab.ns(REMOTE_SERVER), (scene.lab.pod(REMOTE_SERVER).ip, 8092), mirror):
        with scene.http1(timeout=60) as client:
            assert hashlib.sha256(client.request("POST", "/v2/large", body=body).body).hexdigest() == expected
        with scene.http2() as client:
            client.sock.settimeout(60)
            assert hashlib.sha256(client.request("POST", "/v2/large", body=body).body).hexdigest() == expected
    scene.reload(config(scene.lab))
    assert received == [expected, expected]


def test_garbage_on_an_http_port_is_a_400(scene):
    with scene.raw(80) as sock:
        sock.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert sockets.receive_all(sock).startswith(b"HTTP/1.1 400 ")


# ---- raw connections

@pytest.mark.parametrize("port", [5432, 7000])
def test_server_speaks_first(scene, port):
    def greeter(sock, _peer):
        sock.sendall(b"220 ready\r\n")
        sock.sendall(sock.recv(100).upper())

    with contextlib.ExitStack() as stack:
        for pod in (LOCAL_SERVER, REMOTE_SERVER):
            stack.enter_context(sockets.Server(scene.lab.ns(pod), (scene.lab.pod(pod).ip, port), greeter))
        before = scene.waypoint.metric("istio_tcp_connections_opened_total")
        with scene.raw(port) as sock:
            assert sockets.receive_exactly(sock, 11) == b"220 ready\r\n"
            sock.sendall(b"helo")
            sock.shutdown(socket.SHUT_WR)
            assert sockets.receive_all(sock) == b"HELO"
    wait_until(lambda: scene.waypoint.metric("istio_tcp_connections_closed_total") > before, 5, "the close counted")
    assert scene.waypoint.metric("istio_tcp_sent_bytes_total", reporter="waypoint", request_protocol="tcp",
                                 destination_service_name="shop") >= 15


def test_answer_of_a_server_that_reads_no_more_arrives_whole(scene):
    """It closes while the client goes on sending; the client reads late. So all on the way learn first that writing fails."""
    answer = os.urandom(2_000_000)

    def hasty(sock, _peer):
        sock.recv(1)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        # Else its own kernel would drop the rest.
        wait_until(lambda: struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] == 0, 10, "all on its way")

    def push(sock):
        with contextlib.suppress(OSError):
            for _ in range(100):
                sock.sendall(b"x" * 20_000)
                time.sleep(0.003)

    with contextlib.ExitStack() as stack:
        for pod in (LOCAL_SERVER, REMOTE_SERVER):
            stack.enter_context(sockets.Server(scene.lab.ns(pod), (scene.lab.pod(pod).ip, 5432), hasty))
        for _ in range(4):
            with scene.raw(5432) as sock:
                pushing = threading.Thread(target=push, args=(sock,))
                pushing.start()
                got = b""
                while part := sock.recv(20_000):
                    got += part
                    time.sleep(0.005)
                pushing.join()
                assert got == answer, f"{len(got)} bytes"


def test_undeclared_port_speaks_http_too(scene):
    for pod, name in ((LOCAL_SERVER, "v1"), (REMOTE_SERVER, "v2")):
        address = (scene.lab.pod(pod).ip, 7000)
        with sockets.Server(scene.lab.ns(pod), address, sockets.http_responder(name)):
            with contextlib.suppress(StopIteration), scene.http1(7000) as client:
                answer = client.request(path="/sniffed")
                assert answer.status in (200, 503) and answer.lines.get("path", "/sniffed") == "/sniffed"
    assert scene.wait_for_log(path="/sniffed")["protocol"] == "HTTP/1.1"


def test_policy_change_ends_an_open_raw_connection(scene):
    nobody = [{"name": "nobody", "targetRefs": [{"kind": "Service", "name": "shop"}]}]
    with contextlib.ExitStack() as stack:
        for pod in (LOCAL_SERVER, REMOTE_SERVER):
            stack.enter_context(sockets.Server(scene.lab.ns(pod), (scene.lab.pod(pod).ip, 5432), sockets.echo))
        with scene.raw(5432) as sock:
            sock.sendall(b"hello")
            assert sockets.receive_exactly(sock, 5) == b"hello"
            scene.reload(config(scene.lab, authorizationPolicies=nobody))
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert scene.get().status == 403
    scene.reload(config(scene.lab))
    assert scene.get().status == 200


def test_connect_to_what_is_not_served_is_refused(scene):
    tunnel = open_tunnel(scene.lab, OUTSIDER, WAYPOINT)
    server = scene.lab.cluster.services["demo/server"].vip
    cases = {f"{server}:80": "404", f"{scene.vip}:81": "404", "8.8.8.8:53": "404", "nobody.demo:80": "404",
             scene.vip: "400", "": "400", f"user@{scene.vip}:80": "400"}
    for authority, status in cases.items():
        outcome = tunnel.outcome(tunnel.connect(authority))
        # An empty authority is already malformed HTTP/2.
        assert outcome == status or (authority == "" and outcome == "RST 1"), authority
    get = tunnel.request([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", f"{scene.vip}:80")])
    assert tunnel.outcome(get) == "400"
    assert tunnel.outcome(tunnel.connect(f"{scene.vip}:80")) == "200"
    tunnel.close()
    assert scene.waypoint.metric("culvert_connects_refused_total", status="404") >= 4
    assert scene.wait_for_log(method="CONNECT", authority="8.8.8.8:53")["response_flags"] == "NR"


# ---- what it tells

def test_metrics_and_access_log_of_a_request(scene):
    labels = {"reporter": "waypoint", "source_principal": scene.lab.pod(CLIENT).identity, "source_workload": "client",
              "destination_workload": "server-v2", "destination_service_name": "shop", "request_protocol": "http",
              "destination_principal": scene.lab.pod(REMOTE_SERVER).identity, "response_flags": "-",
              "connection_security_policy": "mutual_tls", "response_code": "404"}
    labels["destination_service_name"] = "server-v2"
    before = scene.waypoint.metric("istio_requests_total", **labels)
    assert scene.get("/v2/status", headers={"User-Agent": "test \"quoted\""}).status == 200
    assert scene.get("/status/404", headers={"x-version": "v2"}).status == 404
    wait_until(lambda: scene.waypoint.metric("istio_requests_total", **labels) == before + 1, 5,
               lambda: f"the request counted: {[k for k in scene.waypoint.metrics() if 'requests_total' in k]}")
    assert scene.waypoint.metric("istio_request_duration_milliseconds_count", **labels) == before + 1
    assert scene.waypoint.metric("istio_build", component="proxy") == 1
    assert scene.waypoint.metric("culvert_development_ca") == 1
    line = scene.wait_for_log(path="/v2/status")
    assert line["user_agent"] == 'test "quoted"' and line["response_code"] == 200
    assert line["upstream_host"] == f"{scene.lab.pod(REMOTE_SERVER).ip}:8080"
    assert line["downstream_remote_address"].startswith(scene.lab.pod(CLIENT).ip + ":")


def test_http_ports(scene):
    waypoint = scene.waypoint
    assert scene.get().status == 200
    for port in (15020, 15090):
        assert b"istio_requests_total" in waypoint.get(port, "/stats/prometheus")[2]
    assert waypoint.get(15020, "/healthz/ready")[0] == waypoint.get(15021, "/healthz/ready")[0] == 200
    dump = json.loads(waypoint.get(15000, "/config_dump")[2])
    assert dump["waypoint"]["identity"] == scene.lab.pod(WAYPOINT).identity
    shop = next(s for s in dump["services"] if s["name"] == "shop")
    assert shop["addresses"] == [scene.vip] and len(shop["ports"][0]["http"]["routes"]) == 5
    assert [c["state"] for c in dump["certificates"]] == ["Available"]
    assert json.loads(waypoint.get(15000, "/server_info")[2])["state"] == "LIVE"
    assert waypoint.get(15000, "/ready")[0] == 200
    with pytest.raises(ConnectionRefusedError):  # the admin port is for the pod itself
        sockets.http_get(scene.lab.ns(OUTSIDER), (scene.lab.pod(WAYPOINT).ip, 15000), "/config_dump")
    refused = sockets.http_get(scene.lab.ns(OUTSIDER), (scene.lab.pod(WAYPOINT).ip, 15020), "/quitquitquit", method="POST")
    assert refused[0] == 403


# ---- change

def test_reload_and_a_broken_file(scene):
    teapot = [{"name": "shop", "parentRefs": [{"kind": "Service", "name": "shop", "port": 80}], "rules": [
        {"filters": [{"type": "DirectResponse", "directResponse": {"status": 418, "body": "short and stout"}}]}]}]
    with scene.http1() as client:
        assert client.request().status == 200
        scene.reload(config(scene.lab, httpRoutes=teapot))
        # The next request of an open connection obeys.
        answer = client.request()
        assert (answer.status, answer.body) == (418, b"short and stout")
        rejected = scene.waypoint.metric("culvert_config_rejected_total")
        replace(scene.file, config(scene.lab, httpRoutes=teapot) + "surprise: 1\noptions2: {}\n")
        wait_until(lambda: scene.waypoint.metric("culvert_config_rejected_total") == rejected + 1, 10, "the refusal")
        scene.waypoint.wait_for_log("surprise: unknown key")
        scene.waypoint.wait_for_log("options2: unknown key")
        assert client.request().status == 418
        other = yaml.safe_load(config(scene.lab))
        other["waypoint"]["name"] = "somebody-else"
        other["waypoint"]["serviceAccount"] = "somebody-else"
        del other["authorizationPolicies"]
        replace(scene.file, yaml.safe_dump(other))
        wait_until(lambda: scene.waypoint.metric("culvert_config_rejected_total") == rejected + 2, 10, "the refusal")
        scene.waypoint.wait_for_log("the process must be restarted")
        scene.reload(config(scene.lab))
        assert client.request().status == 200
    assert scene.waypoint.is_ready()


# ---- the ends of others, and our own; each with a mesh of its own, or last

def test_death_of_the_backends_ztunnel_is_a_503_not_a_hang(scene):
    waiting = threading.Event()

    def silent(sock, _peer):
        sock.recv(1 << 16)
        waiting.set()
        while sock.recv(1 << 16):
            pass

    text = yaml.safe_load(config(scene.lab))
    for service in text["services"]:
        if service["name"] == "server-v2":
            service["ports"][0]["targetPort"] = 8093
    scene.reload(yaml.safe_dump(text))
    with sockets.Server(scene.lab.ns(REMOTE_SERVER), (scene.lab.pod(REMOTE_SERVER).ip, 8093), silent), \
            scene.http1(timeout=20) as client:
        client.send("GET", "/v2/killed")
        assert waiting.wait(10)
        started = time.monotonic()
        scene.lab.ztunnels["node2"].kill()
        answer = client.receive()
        assert answer.status == 503 and time.monotonic() - started < 5
    assert "UC" in scene.wait_for_log(path="/v2/killed")["response_flags"]
    scene.lab.start_ztunnel("node2")
    scene.reload(config(scene.lab))
    wait_until(lambda: scene.get("/v2").status == 200, 10, "the new ztunnel serving")


class Load(threading.Thread):
    """Requests one after the other on kept connections, each connection for a few, as clients do: a kept connection that
    ends before an answer began is replaced, any other failure counts."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self.scene, self.over = scene, threading.Event()
        self.answered, self.failures = 0, []
        self.start()

    def run(self) -> None:
        client = None
        while not self.over.is_set():
            try:
                if client is None or client.answered >= 20:
                    if client is not None:
                        client.close()
                    client = self.scene.http1()
                answer = client.request(path="/load")
                if answer.status != 200:
                    self.failures.append(str(answer.status))
                self.answered += 1
                if answer.headers.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError) as error:
                if client is None or client.answered == 0:
                    self.failures.append(repr(error))
                client = None

    def stop(self) -> None:
        self.over.set()
        self.join(15)


def test_drain_under_load_fails_no_request(scene):
    """One replica of two goes, as in a rolling update: SIGTERM and the endpoint's removal at the same time."""
    lab = scene.lab
    first = scene.waypoint
    lab.cluster.pods[SECOND] = lab.spare
    second = lab.start_waypoint(SECOND, config(lab), QUICK_DRAIN)
    load = [Load(scene) for _ in range(8)]
    wait_until(lambda: sum(each.answered for each in load) > 200, 20, "load")

    loads = {name: lab._loads(daemon) for name, daemon in lab.ztunnels.items()}
    gone = lab.cluster.pods.pop(WAYPOINT)
    first.signal(15)
    wait_until(lambda: not first.running or not first.is_ready(), 5, "readiness gone")
    lab.write_mesh()
    for name, daemon in lab.ztunnels.items():
        wait_until(lambda n=name, d=daemon: lab._loads(d) > loads[n], 10, "the mesh without it")
    assert first.wait(10) == 0
    answered = sum(each.answered for each in load)
    wait_until(lambda: sum(each.answered for each in load) > answered + 100, 20, "load on the second")
    for each in load:
        each.stop()
    lab.cluster.pods[WAYPOINT] = gone
    assert [f for each in load for f in each.failures] == []
    assert second.metric("istio_requests_total", response_code="200") > 100
    assert "shutdown complete" in first.log() and "have been cut" not in first.log()


def test_starts_without_a_configuration_and_waits_for_one(scene):
    lab = scene.lab
    file = lab.folder / "late.yaml"
    late = Daemon(lab, lab.ns(OUTSIDER), [scene.waypoint.argv[0], "proxy", "waypoint", "--domain",
                                             "demo.svc.cluster.local", "--proxyLogLevel=warning",
                                             "--proxyComponentLogLevel=misc:error",
                                             "--log_output_level=default:info"], "late",
                  {"WAYPOINT_CONFIG": str(file), "POD_NAMESPACE": "demo", "SERVICE_ACCOUNT": "waypoint", **QUICK_DRAIN})
    lab.processes.append(late)
    late.wait_for_log("waiting for a version that works")
    status, _, body = late.get(15021, "/healthz/ready")
    assert status == 503 and b"certificate" in body and b"configuration" in body
    replace(file, config(lab))
    late.wait_ready()
    assert late.get(15020, "/quitquitquit", method="POST")[0] == 200
    assert late.wait(10) == 0
