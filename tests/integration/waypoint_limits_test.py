"""A waypoint against clients that mean harm or want too much: malformed requests, ways around policies, limits, silence."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

import h2.errors
import h2.events
import pytest
import yaml

from tests.integration.mesh import LOCAL_SERVER, REMOTE_SERVER, SANITIZED
from tests.integration.waypoint_test import Scene, config, running_scene
from tests.lab import sockets
from tests.lab.http import Http1, Http2
from tests.lab.process import wait_until


class Application:
    """An HTTP/1.1 application that keeps every byte it gets; `/silent` is never answered."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.release = threading.Event()

    def __call__(self, sock: socket.socket, _peer) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(1 << 16)
                if not data:
                    return
                self.seen.append(data)
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            if fields.get(b"transfer-encoding") == b"chunked":
                while not buffer.endswith(b"0\r\n\r\n"):
                    buffer += self._more(sock)
                buffer = b""
            while len(buffer) < int(fields.get(b"content-length", b"0")):
                buffer += self._more(sock)
            buffer = buffer[int(fields.get(b"content-length", b"0")):]
            if b"/silent" in head.split(b"\r\n")[0]:
                self.release.wait(30)
            if b"/large" in head.split(b"\r\n")[0]:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 << 20) + bytes(32 << 20))
                continue
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def _more(self, sock: socket.socket) -> bytes:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the request was cut off")
        self.seen.append(data)
        return data

    @property
    def requests(self) -> list[bytes]:
        return [line for data in self.seen for line in data.split(b"\r\n") if line.endswith(b" HTTP/1.1")]


@pytest.fixture(scope="module")
def scene():
    with running_scene() as made:
        yield made


@pytest.fixture(scope="module")
def only_application(scene):
    """One for all tests: the waypoint keeps its connections."""
    made = Application()
    with contextlib.ExitStack() as stack:
        for pod in (LOCAL_SERVER, REMOTE_SERVER):
            stack.enter_context(sockets.Server(scene.lab.ns(pod), (scene.lab.pod(pod).ip, 8080), made))
        yield made


@pytest.fixture(autouse=True)
def application(only_application):
    only_application.seen.clear()
    only_application.release.clear()
    yield only_application
    only_application.release.set()


@contextlib.contextmanager
def limited(scene: Scene, options: dict | None = None, policy: dict | None = None, **sections):
    """The configuration with other limits, or another trafficPolicy of the service."""
    text = yaml.safe_load(config(scene.lab, **sections))
    text["options"]["limits"] = options or {}
    for service in text["services"]:
        if service["name"] == "shop" and policy is not None:
            service["trafficPolicy"] = policy
    scene.reload(yaml.safe_dump(text))
    yield
    scene.reload(config(scene.lab))


def resident(scene: Scene) -> int:
    """KiB of memory."""
    with open(f"/proc/{scene.waypoint.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def say(scene: Scene, data: bytes) -> bytes:
    """What comes back until the connection ends, which it has to."""
    with scene.raw(80) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            return sockets.receive_all(sock)
    return b""


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "length and chunked": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "chunked and length": b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "two lengths": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3, 4\r\n\r\nabcd",
    "negative length": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: -1\r\n\r\n",
    "signed length": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: +3\r\n\r\nabc",
    "hexadecimal length": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0x3\r\n\r\nabc",
    "length of 2^64+3": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
    "empty length": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length:\r\n\r\n",
    "chunked not last": b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, spelled wrong": b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical tab in coding": b"POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /a HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length : 4\r\n\r\nabcd",
    "space in name": b"GET /a HTTP/1.1\r\nHost: shop\r\nX Y: 1\r\n\r\n",
    "bare LF": b"GET /a HTTP/1.1\nHost: shop\n\n",
    "bare LF behind a field": b"GET /a HTTP/1.1\r\nHost: shop\nX: 1\r\n\r\n",
    "bare CR in a value": b"GET /a HTTP/1.1\r\nHost: shop\r\nX: 1\rY: 2\r\n\r\n",
    "NUL in a value": b"GET /a HTTP/1.1\r\nHost: shop\r\nX: 1\0\r\n\r\n",
    "folded field": b"GET /a HTTP/1.1\r\nHost: shop\r\nX: 1\r\n folded\r\n\r\n",
    "folded first field": b"GET /a HTTP/1.1\r\n Host: shop\r\n\r\n",
    "no colon": b"GET /a HTTP/1.1\r\nHost: shop\r\nnonsense\r\n\r\n",
    "empty name": b"GET /a HTTP/1.1\r\nHost: shop\r\n: 1\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\nHost: shop\r\nHost: other\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "host with a path": b"GET /a HTTP/1.1\r\nHost: shop/x\r\n\r\n",
    "host with userinfo": b"GET /a HTTP/1.1\r\nHost: me@shop\r\n\r\n",
    "list of hosts": b"GET /a HTTP/1.1\r\nHost: shop, other\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: shop\r\n\r\n",
    "tab in request line": b"GET\t/a HTTP/1.1\r\nHost: shop\r\n\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\nHost: shop\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: shop\r\n\r\n",
    "other scheme": b"GET ftp://shop/a HTTP/1.1\r\nHost: shop\r\n\r\n",
    "method with odd bytes": b"G(T /a HTTP/1.1\r\nHost: shop\r\n\r\n",
    "chunk size: sign": CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk size: 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size: blank": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "chunk size: none": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "chunk size: 2^64+3": CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "chunk size: bare LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk extension: bare LF": CHUNKED + b"3;x\nabc\r\n0\r\n\r\n",
    "chunk extension: bare CR": CHUNKED + b"3;x\ry\r\nabc\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk without CRLF": CHUNKED + b"3\r\nabc0\r\n\r\n",
    "trailer: bare LF": CHUNKED + b"0\r\nX: 1\n\r\n",
    "trailer: space before colon": CHUNKED + b"0\r\nX : 1\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request_is_refused_and_ends_the_connection(scene, application, name):
    answer = say(scene, MALFORMED[name] + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer.startswith(b"HTTP/1.0 400 "), answer
    assert answer.count(b"HTTP/1.") == 1, answer
    assert b"connection: close" in answer.lower()
    # Only a request whose head was good may have begun, and never what hides behind it.
    assert not any(b"/smuggled" in data for data in application.seen)
    if not MALFORMED[name].startswith(CHUNKED):
        assert application.seen == []


def test_http2_cannot_split_an_http1_request(scene, application):
    hostile = [
        {"path": "/h2 HTTP/1.1\r\nHost: shop\r\n\r\nGET /smuggled"}, {"path": "/h2 b"}, {"path": "h2"}, {"path": "/h2#b"},
        {"method": "GET /smuggled HTTP/1.1\r\nX:"}, {"method": "G T"},
        {"authority": "shop\r\nX: smuggled"}, {"authority": "me@shop"}, {"authority": ""},
        {"fields": [("x", "1\r\nsmuggled: 1")]}, {"fields": [("x", "1\nsmuggled: 1")]}, {"fields": [("x", "1\0smuggled")]},
        {"fields": [("x: 1\r\nsmuggled", "1")]}, {"fields": [("X-Upper", "smuggled")]},
        {"fields": [("transfer-encoding", "chunked")]}, {"fields": [("connection", "smuggled")]},
        {"fields": [("content-length", "3"), ("content-length", "4")]}, {"fields": [("content-length", "4")]},
        {"fields": [("host", "other")]}, {"fields": [(":path", "/smuggled")]}, {"fields": [(":status", "200")]},
        {"fields": [("te", "smuggled")]},
    ]
    for case in hostile:
        with scene.http2() as client:
            client.h2.config.validate_outbound_headers = False
            client.h2.config.normalize_outbound_headers = False
            fields = [(":method", case.get("method", "GET")), (":scheme", "http"),
                      (":authority", case.get("authority", client.host)), (":path", case.get("path", "/h2")),
                      *case.get("fields", [])]
            client.h2.send_headers(1, fields, end_stream=True)
            client.sock.sendall(client.h2.data_to_send())
            try:
                status = client.receive(1).status
                assert 400 <= status < 500, case
            except (ConnectionResetError, EOFError):
                pass
        assert not any(b"smuggled" in data or b"h2" in data for data in application.seen), case


def test_http2_body_other_than_its_length_never_reaches_the_next_request(scene, application):
    for body, length in ((b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "0"), (b"12345GET /smuggled HTTP/1.1\r\n\r\n", "5")):
        with scene.http2() as client:
            client.h2.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", client.host), (":path", "/a"),
                                       ("content-length", length)])
            client.h2.send_data(1, body, end_stream=True)
            client.sock.sendall(client.h2.data_to_send())
            try:
                assert client.receive(1).status >= 400
            except (ConnectionResetError, EOFError):
                pass
        assert scene.get("/after").body == b"ok"
    assert not any(b"smuggled" in data for data in application.seen)


# ---- ways around a policy

@pytest.mark.parametrize("target", ["/admin", "/%61dmin", "/x/%2e%2e/admin", "/x/../admin", "/./admin", "/x/..\\admin",
                                    "/admin?x", "/admin/../admin", "//admin", "http://shop/admin", "HTTP://other/x/../admin"])
def test_spellings_of_a_denied_path(scene, application, target):
    head = f"GET {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode()
    answer = say(scene, head)
    if answer.startswith(b"HTTP/1.1 200"):
        # Then the application was not asked for it either, as it reads paths: "//admin" is another one.
        assert application.requests == [b"GET //admin HTTP/1.1"]
    else:
        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), answer
        assert application.seen == []


HOSTS = [{"name": "no-secret", "action": "DENY", "targetRefs": [{"kind": "Service", "name": "shop"}],
          "rules": [{"to": [{"operation": {"hosts": ["secret.example", "secret.example:*"], "ports": ["80"]}}]}]}]


def test_spellings_of_a_denied_host(scene, application):
    with limited(scene, authorizationPolicies=HOSTS):
        for host in ("secret.example", "SECRET.example", "secret.example:80", "secret.example:8080"):
            answer = say(scene, f"GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 "), host
        # The target's host is the request's (RFC 9112 section 3.2.2).
        answer = say(scene, b"GET http://secret.example/a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), answer
        assert application.seen == []
        answer = say(scene, b"GET http://shop/a HTTP/1.1\r\nHost: secret.example\r\nConnection: close\r\n\r\n")
        assert not any(b"secret.example" in data for data in application.seen)


HEADER = [{"name": "no-blue", "action": "DENY", "targetRefs": [{"kind": "Service", "name": "shop"}],
           "rules": [{"to": [{"operation": {"ports": ["80"]}}], "when": [{"key": "request.headers[x-team]", "values": ["blue"]}]}]}]


def test_spellings_of_a_denied_header(scene, application):
    with limited(scene, authorizationPolicies=HEADER):
        for fields in ("x-team: blue", "X-TEAM:blue", "x-team: red\r\nX-Team: blue", "x-team: \t blue  "):
            answer = say(scene, f"GET /a HTTP/1.1\r\nHost: shop\r\n{fields}\r\nConnection: close\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 "), fields
        assert application.seen == []
        # What policies cannot see because it is for the next hop only, the application does not see either.
        answer = say(scene, b"GET /a HTTP/1.1\r\nHost: shop\r\nx-team: blue\r\nConnection: close, x-team\r\n\r\n")
        # Nor is a trailer a field of the request.
        say(scene, b"POST /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\nx-team: blue\r\nhost: secret\r\ncontent-length: 7\r\n\r\n")
    assert not any(b"x-team: blue\r\n" in data.partition(b"\r\n\r\n")[0] for data in application.seen)
    assert not any(b"secret" in data or b"content-length: 7" in data for data in application.seen)


def test_bytes_behind_a_refused_upgrade_are_requests(scene, application):
    with scene.http1() as client:
        head = b"GET /a HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        client.sock.sendall(head + b"GET /admin HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert client.receive().status == 200  # the application does not upgrade
        assert client.receive().status == 403
    assert application.requests == [b"GET /a HTTP/1.1"]


def test_h2c_upgrade_is_not_taken(scene, application):
    with scene.http1() as client:
        client.send("GET", "/a", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"})
        assert client.receive().status == 200
        assert client.request(path="/admin").status == 403
    assert not any(b"h2c" in data or b"HTTP2-Settings" in data for data in application.seen)


def test_connect_inside_of_http_goes_nowhere(scene, application):
    for data in (b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n", b"CONNECT shop:80 HTTP/1.1\r\nHost: shop\r\n\r\n"):
        answer = say(scene, data + b"GET /admin HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), answer
        assert answer.count(b"HTTP/1.1 ") == 1
    assert application.seen == []


def test_policy_that_comes_while_the_protocol_is_not_known_yet(scene):
    """A connection that has said nothing is in no list of connections to be looked at again."""
    nobody = [{"name": "nobody", "targetRefs": [{"kind": "Service", "name": "shop"}]}]
    reached = []
    with contextlib.ExitStack() as stack:
        for pod in (LOCAL_SERVER, REMOTE_SERVER):
            address = (scene.lab.pod(pod).ip, 7000)
            stack.enter_context(sockets.Server(scene.lab.ns(pod), address, lambda sock, _: reached.append(sock.recv(100))))
        with limited(scene, {"sniffTimeout": "20s"}), scene.raw(7000) as sock:
            sock.sendall(b"G")  # may become a method
            # A request on the same tunnel, which the waypoint answers after it took the connection above.
            assert scene.get("/first").status == 200
            scene.reload(config(scene.lab, authorizationPolicies=nobody))
            sock.sendall(b"\0 is not HTTP\n")
            with contextlib.suppress(ConnectionResetError):
                assert sockets.receive_all(sock) == b""
    assert reached == []


# ---- limits

def test_header_limits(scene, application):
    with scene.http1() as client:
        assert client.request(headers={"x-large": "x" * 50_000}).status == 200
    with limited(scene, {"maxHeaderBytes": 4096, "maxHeaderFields": 20}):
        many = b"".join(b"x-%d: 1\r\n" % i for i in range(40))
        for head in (b"GET /%s HTTP/1.1\r\nHost: shop\r\n" % (b"x" * 5000), b"GET / HTTP/1.1\r\nHost: shop\r\nx: %s\r\n" % (b"x" * 5000),
                     b"GET / HTTP/1.1\r\nHost: shop\r\n" + many):
            answer = say(scene, head + b"\r\n" + SMUGGLED)
            assert answer.startswith(b"HTTP/1.1 431 ") and answer.count(b"HTTP/1.1") == 1, (head[:60], answer)
        with scene.http2() as client:
            for i, fields in enumerate(({"x": "x" * 5000}, {f"x-{i}": "1" for i in range(40)}, {"cookie": "x" * 5000})):
                assert client.request(headers=fields).status == 431, i
            assert client.request(path="/x").status == 200  # the connection goes on
    assert len(application.requests) == 2


def test_streams_over_the_limit_are_refused(scene, application):
    with limited(scene, {"maxHttp2Streams": 5}), scene.http2() as client:
        client.h2.local_settings.acknowledge()
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", client.host), (":path", "/silent")]
        for stream in range(1, 21, 2):
            client.h2.send_headers(stream, fields, end_stream=True)
        client.sock.sendall(client.h2.data_to_send())
        refused = set()
        while len(refused) < 5:
            for event in client.h2.receive_data(client.sock.recv(1 << 16)):
                assert not isinstance(event, h2.events.ConnectionTerminated), event
                if isinstance(event, h2.events.StreamReset):
                    assert event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
                    refused.add(event.stream_id)
        assert refused == {11, 13, 15, 17, 19}
        application.release.set()
        client.sock.sendall(client.h2.data_to_send())
        assert all(client.receive(stream).status == 200 for stream in (1, 3, 5, 7, 9))


def test_rapid_resets_do_not_cost_the_others(scene, application):
    with scene.http2() as client:
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", client.host), (":path", "/silent")]
        with contextlib.suppress(OSError, EOFError):
            for _ in range(3000):
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(stream, fields, end_stream=True)
                client.h2.reset_stream(stream)
                client.sock.sendall(client.h2.data_to_send())
        assert scene.get("/x").status == 200
    assert len(application.requests) < 1500


@pytest.mark.parametrize("options,policy", [({"maxPendingRequests": 0}, None), ({}, {"maxRequests": 1}),
                                            ({}, {"maxConnections": 1, "maxPendingRequests": 0})])
def test_overflow(scene, application, options, policy):
    with limited(scene, options, policy), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(scene.http1(timeout=15)) for _ in range(8)]
        # Limits are per worker: with more clients than workers somebody is over them.
        path = "/silent/" + "-".join([*options, *(policy or {})])
        for client in clients:
            client.send("GET", path)
        overflown = wait_until(lambda: scene.log_lines(path=path, response_flags="UO"), 10,
                               lambda: f"an overflow:\n{scene.waypoint.log()[-3000:]}")
        application.release.set()
        answers = [client.receive() for client in clients]
        refused = [a for a in answers if a.status == 503]
        assert len(refused) >= len(overflown) >= 1
        assert all(a.headers.get("x-envoy-overloaded") == "true" for a in refused)


# ---- time

def test_request_timeout(scene, application):
    with limited(scene, {"requestTimeout": "300ms"}):
        for client in (scene.http1(), scene.http2()):
            with client:
                started = time.monotonic()
                answer = client.request(path="/silent/request")
                assert (answer.status, answer.body) == (504, b"upstream request timeout")
                assert 0.25 < time.monotonic() - started < 5
        assert scene.wait_for_log(path="/silent/request")["response_flags"] == "UT"


def test_stream_idle_timeout(scene, application):
    with limited(scene, {"streamIdleTimeout": "300ms"}), scene.http1() as client:
        assert client.request(path="/silent/idle").status == 504
        assert scene.wait_for_log(path="/silent/idle")["response_flags"] == "SI"
        with scene.http1() as slow:
            slow.sock.sendall(b"POST /idle/upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n12345")
            assert slow.receive().status == 408


def test_head_that_does_not_come(scene, application):
    with limited(scene, {"headerTimeout": "300ms"}):
        assert say(scene, b"GET / HTTP/1.1\r\nHost: sh").startswith(b"HTTP/1.1 408 ")
        with scene.http2() as client:
            client.sock.sendall(client.h2.data_to_send() + bytes.fromhex("00000a0101") + b"\0\0\0\1" + b"\x82\x86\x84")
            with contextlib.suppress(ConnectionResetError):
                sockets.receive_all(client.sock)
    assert application.seen == []


def test_idle_connection_ends(scene, application):
    with limited(scene, {"idleTimeout": "400ms"}), scene.http1() as first, scene.http2() as second, scene.raw(80) as third:
        assert first.request().status == second.request().status == 200
        assert sockets.receive_all(first.sock) == b""
        sockets.receive_all(second.sock)
        with contextlib.suppress(ConnectionResetError):  # nothing was ever said on it
            assert sockets.receive_all(third) == b""


# ---- many

def test_many_connections_leave_nothing_behind(scene, application):
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{scene.waypoint.pid}/fd"))

    def wave(count: int) -> None:
        for begin in range(0, count, 100):
            clients = [scene.http1() if i % 2 else scene.http2() for i in range(100)]
            for i, client in enumerate(clients):
                if isinstance(client, Http1):
                    client.send("GET", "/many")
                    if i % 10 == 1:
                        client.close()  # without waiting for the answer
                else:
                    client.send(path="/many")
            for i, client in enumerate(clients):
                if isinstance(client, Http2):
                    assert client.receive(1).status == 200
                elif i % 10 != 1:
                    assert client.receive().status == 200
            for client in clients:
                client.sock.close()

    wave(400)
    before, memory = descriptors(), resident(scene)
    wave(2000)
    wait_until(lambda: descriptors() <= before + 5, 10, lambda: f"{before} descriptors became {descriptors()}")
    assert resident(scene) - memory < (200_000 if SANITIZED else 15_000), f"{memory} KiB became {resident(scene)}"


@pytest.mark.skipif(SANITIZED, reason="what is freed is kept for a while")
def test_memory_of_slow_readers_is_given_back(scene, application):
    """Unread answers fill the windows of the tunnels to the endpoints. Twice: the first time is not the worst."""
    before = resident(scene)
    for _ in range(2):
        clients = [scene.http2() for _ in range(40)]
        for client in clients:
            client.send(path="/large")
        wait_until(lambda: resident(scene) > before + 8_000, 20, lambda: f"answers in the waypoint: {resident(scene)} KiB")
        for client in clients:
            client.sock.close()
        wait_until(lambda: resident(scene) < before + 4_000, 10, lambda: f"{before} KiB became {resident(scene)}")
