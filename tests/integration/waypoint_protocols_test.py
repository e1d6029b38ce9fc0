"""A waypoint between clients and applications of both versions of HTTP: what arrives, and what is told when a side dies."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from tests.integration.mesh import CLIENT, LOCAL_SERVER, REMOTE_SERVER
from tests.integration.waypoint_test import config, running_scene
from tests.lab import sockets
from tests.lab.http import Http1, Http2
from tests.lab.process import wait_until

MIB = 1 << 20
DATA, RST_STREAM, PING, GOAWAY = 0, 3, 6, 7  # frames of HTTP/2
PATTERN = bytes(range(251)) * 1024


def pattern(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kill(sock: socket.socket) -> None:
    """What the kernel does to the connections of a killed process that has unread input."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Http1Application:
    """Behaves as the path says."""

    def __init__(self) -> None:
        self.ended = threading.Event()  # a connection in /wait saw its end
        self.begun = threading.Event()
        self.connections: list[socket.socket] = []

    def __call__(self, sock: socket.socket, _peer) -> None:
        self.connections.append(sock)
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = sock.recv(1 << 16)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:])
            method, path, _ = lines[0].split(" ")
            action = (path.removeprefix("/v2") + "/").split("/")[1]
            if action == "early":
                sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nenough"[:-1])
                self.ended.wait(20)  # reads nothing
                return
            if action == "upgrade":
                sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
                while data := sock.recv(1 << 16):
                    sock.sendall(data)
                sock.sendall(b"bye")
                return
            body, buffer = self.body(sock, fields, buffer)
            if action == "wait":
                self.begun.set()
                with contextlib.suppress(OSError):
                    while sock.recv(1):
                        pass
                self.ended.set()
                return
            if action in ("killed", "killed-open"):
                framing = b"Content-Length: 1000\r\n" if action == "killed" else b""
                sock.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\nthe beginning")
                self.begun.wait(10)
                return kill(sock)
            if action == "poison":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
                             b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")
                continue
            if action == "empty":
                status = path.split("/")[2]
                length = b"" if status == "204" else b"Content-Length: 10\r\n"
                sock.sendall(f"HTTP/1.1 {status} X\r\n".encode() + length + b"\r\n")
                continue
            answer = path.encode()
            if action == "sink":
                answer = digest(body).encode()
            elif action == "source":
                answer = pattern(int(path.split("/")[2]))
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nX-Path: {path}\r\n\r\n".encode())
            if method != "HEAD":
                sock.sendall(answer)

    def body(self, sock: socket.socket, fields: dict[str, str], buffer: bytes) -> tuple[bytes, bytes]:
        if fields.get("transfer-encoding") != "chunked":
            size = int(fields.get("content-length", "0"))
            missing = size - len(buffer)
            if missing > 0:
                buffer += sockets.receive_exactly(sock, missing)
            return buffer[:size], buffer[size:]
        parts = []
        while True:
            while b"\r\n" not in buffer:
                buffer += self.more(sock)
            line, _, buffer = buffer.partition(b"\r\n")
            size = int(line, 16)
            if size == 0:
                while not buffer.startswith(b"\r\n") and b"\r\n\r\n" not in buffer:
                    buffer += self.more(sock)
                return b"".join(parts), b""
            missing = size + 2 - len(buffer)
            if missing > 0:
                buffer += sockets.receive_exactly(sock, missing)
            parts.append(buffer[:size])
            buffer = buffer[size + 2:]

    @staticmethod
    def more(sock: socket.socket) -> bytes:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("cut off")
        return data


class Http2Application:
    """The same over HTTP/2, with gRPC's ways to end."""

    def __init__(self) -> None:
        self.begun, self.reset = threading.Event(), threading.Event()

    def __call__(self, sock: socket.socket, _peer) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        sock.sendall(connection.data_to_send())
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, list[bytes]] = {}
        pending: dict[int, bytes] = {}
        while data := sock.recv(1 << 16):
            for event in connection.receive_data(data):
                stream = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.RequestReceived):
                    heads[stream], bodies[stream] = dict(event.headers), []
                    self.head(connection, stream, dict(event.headers), sock)
                elif isinstance(event, h2.events.DataReceived) and stream in bodies:
                    if heads[stream][":path"] == "/early":
                        continue
                    connection.acknowledge_received_data(event.flow_controlled_length, stream)
                    if heads[stream][":path"] == "/pkg.S/Bidi":
                        connection.send_data(stream, event.data.upper())
                    else:
                        bodies[stream].append(event.data)
                elif isinstance(event, h2.events.TrailersReceived):
                    heads[stream].update(dict(event.headers))
                elif isinstance(event, h2.events.StreamEnded):
                    with contextlib.suppress(h2.exceptions.ProtocolError):  # reset since
                        self.end(connection, stream, heads[stream], b"".join(bodies[stream]), pending)
                elif isinstance(event, h2.events.StreamReset):
                    pending.pop(stream, None)
                    self.reset.set()
            for stream in list(pending):
                self.pump(connection, stream, pending)
            sock.sendall(connection.data_to_send())

    def head(self, connection, stream: int, head: dict[str, str], sock: socket.socket) -> None:
        path = head[":path"]
        if path == "/pkg.S/Bidi":
            connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        elif path == "/early":
            connection.send_headers(stream, [(":status", "413")])
            connection.send_data(stream, b"enough", end_stream=True)
        elif path == "/wait":
            self.begun.set()
        elif path == "/killed":
            connection.send_headers(stream, [(":status", "200")])
            connection.send_data(stream, b"the beginning")
            sock.sendall(connection.data_to_send())
            self.begun.wait(10)
            kill(sock)

    @staticmethod
    def end(connection, stream: int, head: dict[str, str], body: bytes, pending: dict[int, bytes]) -> None:
        path, grpc = head[":path"], ("content-type", "application/grpc")
        if path in ("/early", "/wait", "/killed"):
            return
        if path == "/pkg.S/Bidi":
            connection.send_headers(stream, [("grpc-status", "0"), ("x-sent", head.get("x-trailer", ""))], end_stream=True)
        elif path == "/pkg.S/Unary":
            connection.send_headers(stream, [(":status", "200"), grpc])
            connection.send_data(stream, body)
            connection.send_headers(stream, [("grpc-status", "5"), ("grpc-message", "not found"), ("x-bin", "1")], end_stream=True)
        elif path == "/pkg.S/Only":
            connection.send_headers(stream, [(":status", "200"), grpc, ("grpc-status", "3")], end_stream=True)
        elif path.startswith("/empty/"):
            status = path.split("/")[2]
            connection.send_headers(stream, [(":status", status), ])
            connection.send_data(stream, b"", end_stream=True)
        elif head[":method"] == "HEAD":
            connection.send_headers(stream, [(":status", "200"), ("content-length", "10")])
            connection.send_data(stream, b"", end_stream=True)
        else:
            answer = digest(body).encode() if path == "/sink" else pattern(int(path.split("/")[2])) \
                if path.startswith("/source/") else path.encode()
            connection.send_headers(stream, [(":status", "200"), ("x-path", path)])
            pending[stream] = answer

    @staticmethod
    def pump(connection, stream: int, pending: dict[int, bytes]) -> None:
        data = pending[stream]
        while data:
            room = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)
            if room <= 0:
                break
            connection.send_data(stream, data[:room], end_stream=len(data) <= room)
            data = data[room:]
        pending[stream] = data
        if not data:
            del pending[stream]


@pytest.fixture(scope="module")
def scene():
    with running_scene() as made:
        made.http1_application, made.http2_application = Http1Application(), Http2Application()
        with contextlib.ExitStack() as stack:
            for pod in (LOCAL_SERVER, REMOTE_SERVER):
                ip = made.lab.pod(pod).ip
                stack.enter_context(sockets.Server(made.lab.ns(pod), (ip, 8080), made.http1_application))
                stack.enter_context(sockets.Server(made.lab.ns(pod), (ip, 50051), made.http2_application))
            yield made


@pytest.fixture(autouse=True)
def _calm(scene):
    for application in (scene.http1_application, scene.http2_application):
        application.begun.clear()
    scene.http1_application.ended.clear()
    scene.http2_application.reset.clear()
    yield
    scene.http1_application.begun.set()
    scene.http1_application.ended.set()
    scene.http2_application.begun.set()


PORTS = {"HTTP/1 application": 80, "HTTP/2 application": 50051}
CLIENTS = {"HTTP/1 client": Http1, "HTTP/2 client": Http2}


@pytest.fixture(params=PORTS)
def port(request):
    return PORTS[request.param]


@pytest.fixture(params=CLIENTS)
def client(request, scene, port):
    with CLIENTS[request.param](scene.lab.ns(CLIENT), (scene.vip, port), 20.0) as made:
        yield made


# ---- messages

def test_answers_without_a_body_do_not_shift_the_next(client):
    """An application may end a bodiless answer with a frame of its own; the next answer has to be the next request's."""
    for method, path, status in (("GET", "/empty/204", 204), ("GET", "/empty/304", 304), ("HEAD", "/head", 200)):
        if isinstance(client, Http1):
            client.send(method, path)
            answer = client.head()
            assert "transfer-encoding" not in answer.headers, (path, answer)
            assert "content-length" not in answer.headers or status != 204
        else:
            answer = client.request(method, path)
            assert answer.body == b""
        assert answer.status == status
        after = client.request("GET", f"/after{path}")
        assert (after.status, after.body) == (200, f"/after{path}".encode())


def test_bodies_of_every_framing(client):
    for body in (b"", b"x", pattern(70_000)):
        assert client.request("POST", "/sink", body=body).body.decode() == digest(body)
    if isinstance(client, Http1):
        client.sock.sendall(b"POST /sink HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"5;ext=1\r\nhello\r\n06\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n")
        assert client.receive().body.decode() == digest(b"hello world")
    assert client.request("GET", "/next").body == b"/next"


def test_http10_client_gets_the_end_by_the_end(scene, port):
    with scene.raw(port) as sock:
        sock.sendall(b"GET /source/100000 HTTP/1.0\r\nHost: shop\r\n\r\n")
        head, _, body = sockets.receive_all(sock).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower() and body == pattern(100_000)


def test_expect_continue(scene, port):
    with Http1(scene.lab.ns(CLIENT), (scene.vip, port)) as client:
        client.send("POST", "/sink", {"Expect": "100-continue", "Content-Length": "5"})
        assert client.head().status == 100
        client.sock.sendall(b"hello")
        assert client.receive().body.decode() == digest(b"hello")


def message(text: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(text)) + text


GRPC = {"content-type": "application/grpc", "te": "trailers"}


def test_grpc_unary_with_an_error_in_its_trailers(scene):
    with scene.http2(50051) as client:
        stream = client.send("POST", "/pkg.S/Unary", GRPC, message(b"who"))
        assert client.receive(stream).body == message(b"who")
        assert client.trailers[stream] == {"grpc-status": "5", "grpc-message": "not found", "x-bin": "1"}
        only = client.send("POST", "/pkg.S/Only", GRPC, message(b"who"))
        answer = client.receive(only)
        assert answer.headers["grpc-status"] == "3" and only not in client.trailers and answer.body == b""
    line = scene.wait_for_log(path="/pkg.S/Only")
    assert line["response_code"] == 200
    assert scene.waypoint.metric("istio_requests_total", grpc_response_status="5", request_protocol="grpc") >= 1
    assert scene.waypoint.metric("istio_requests_total", grpc_response_status="3", request_protocol="grpc") >= 1


def test_grpc_stream_goes_both_ways_at_once(scene):
    with scene.http2(50051) as client:
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", client.host),
                                        (":path", "/pkg.S/Bidi"), *GRPC.items()])
        expected = b""
        for i in range(20):
            text = message(f"ping {i}".encode())
            client.h2.send_data(stream, text)
            client.sock.sendall(client.h2.data_to_send())
            expected += text.upper()
            while stream not in client.answers or len(client.answers[stream].body) < len(expected):
                client._receive()
            assert client.answers[stream].body == expected
        client.h2.send_headers(stream, [("x-trailer", "sent by the client")], end_stream=True)
        client.sock.sendall(client.h2.data_to_send())
        client.receive(stream)
        assert client.trailers[stream] == {"grpc-status": "0", "x-sent": "sent by the client"}


def test_grpc_client_gets_refusals_it_can_read(scene):
    """Trailers-only: one HEADERS frame with END_STREAM and grpc-status, whatever the HTTP status would have been."""
    nobody = [{"name": "nobody", "targetRefs": [{"kind": "Service", "name": "shop"}]}]
    scene.reload(config(scene.lab, authorizationPolicies=nobody))
    try:
        with scene.http2(50051) as client:
            stream = client.send("POST", "/pkg.S/Unary", GRPC, message(b"who"))
            answer = client.receive(stream)
            assert answer.status == 200 and answer.body == b"" and stream not in client.trailers
            assert (answer.headers["grpc-status"], answer.headers["grpc-message"]) == ("7", "RBAC: access denied")
            assert client.request("POST", "/plain").status == 403
    finally:
        scene.reload(config(scene.lab))


# ---- upgrades

def test_upgraded_connection_carries_much_both_ways_and_half_closes(scene):
    data = pattern(4 * MIB)
    with scene.http1(timeout=20) as client:
        client.send("GET", "/upgrade", {"Connection": "Upgrade", "Upgrade": "websocket"})
        assert client.receive().status == 101
        writer = threading.Thread(target=lambda: (client.sock.sendall(data), client.sock.shutdown(socket.SHUT_WR)))
        writer.start()
        received = client.exactly(len(data))
        assert digest(received) == digest(data)
        assert sockets.receive_all(client.sock) == b"bye"
        writer.join(5)


def test_websocket_over_http2_to_an_http1_application(scene):
    """RFC 8441."""
    with scene.http2() as client:
        while h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in client.h2.remote_settings:
            client._receive()
        client.h2.config.validate_outbound_headers = False
        client.h2.send_headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                   (":authority", client.host), (":path", "/upgrade")])
        client.h2.send_data(1, b"hello")
        client.sock.sendall(client.h2.data_to_send())
        while 1 not in client.answers or client.answers[1].body != b"hello":
            client._receive()
        assert client.answers[1].status == 200
        client.h2.end_stream(1)
        client.sock.sendall(client.h2.data_to_send())
        assert client.receive(1).body == b"hellobye"


# ---- much

def test_large_transfers_beside_a_slow_reader(scene, port):
    """16 MiB up and down over both versions at once, while clients that do not read hold answers of 16 MiB open."""
    size, failures = 16 * MIB, []
    body = pattern(size)

    def up(kind) -> None:
        with kind(scene.lab.ns(CLIENT), (scene.vip, port), 60.0) as client:
            assert client.request("POST", "/sink", body=body).body.decode() == digest(body)

    def down(kind) -> None:
        with kind(scene.lab.ns(CLIENT), (scene.vip, port), 60.0) as client:
            assert digest(client.request("GET", f"/source/{size}").body) == digest(body)

    def checked(work, kind) -> None:
        try:
            work(kind)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            failures.append((work.__name__, kind.__name__, repr(error)))

    with Http1(scene.lab.ns(CLIENT), (scene.vip, port), 60.0) as slow1, Http2(scene.lab.ns(CLIENT), (scene.vip, port), 60.0) as slow2:
        slow1.send("GET", f"/source/{size}")
        slow2.send("GET", f"/source/{size}")
        threads = [threading.Thread(target=checked, args=(work, kind)) for work in (up, down) for kind in (Http1, Http2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert failures == []
        # Other streams of the slow reader's connection are not held up by it.
        assert slow2.receive(slow2.send("GET", "/beside")).body == b"/beside"
        # And it gets all of its own in the end.
        assert digest(slow1.receive().body) == digest(slow2.receive(1).body) == digest(body)


def test_answer_before_the_upload_is_over(client):
    if isinstance(client, Http1):
        client.sock.sendall(f"POST /early HTTP/1.1\r\nHost: shop\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
        sender = threading.Thread(target=_push, args=(client.sock,), daemon=True)
        sender.start()
        assert client.head().status == 413
        client.sock.close()
        sender.join(5)
        return
    client.h2.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", client.host), (":path", "/early")])
    with contextlib.suppress(ConnectionResetError):  # the rest of the upload is not wanted
        while 1 not in client.ended:
            room = min(client.h2.local_flow_control_window(1), client.h2.max_outbound_frame_size)
            if room > 0 and 1 not in client.answers:
                client.h2.send_data(1, b"x" * room)
            else:
                client._receive()
            client.sock.sendall(client.h2.data_to_send())
    assert client.answers[1].status == 413
    assert client.answers[1].body in (b"enoug", b"enough")


def _push(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for _ in range(64):
            sock.sendall(b"x" * MIB)


# ---- nobody gets the answer of another

def test_bytes_behind_an_answer_are_nobodys(scene):
    for _ in range(5):
        assert scene.get("/poison").body == b"good"
        for i in range(4):
            answer = scene.get(f"/clean/{i}")
            assert answer.body == f"/clean/{i}".encode()


def test_given_up_requests_leave_no_answers_behind(scene, port):
    failures: list[str] = []

    def work(number: int) -> None:
        try:
            for i in range(40):
                kind = Http2 if (i + number) % 2 else Http1
                with kind(scene.lab.ns(CLIENT), (scene.vip, port), 20.0) as client:
                    if i % 3 == 0:
                        client.send("GET", f"/source/{300_000 + i}")
                        if i % 2:
                            client.sock.recv(100)
                        continue  # gone
                    path = f"/mine/{number}/{i}"
                    answer = client.request("GET", path)
                    if answer.body != path.encode():
                        failures.append(f"{path}: {answer}")
        except BaseException as error:  # pylint: disable=broad-exception-caught
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


# ---- sudden ends

def begin(client: Http2, path: str) -> int:
    """The stream of a request whose answer has begun."""
    stream = client.send("GET", path)
    while stream not in client.answers or len(client.answers[stream].body) < 13:
        client._receive()
    return stream


def cut_answer(client, path: str, kill_now) -> bytes:
    """The part of a body that came before the error, which has to come, and look like one."""
    if isinstance(client, Http1):
        client.send("GET", path)
        answer = client.head()
        got = client.exactly(13) if "content-length" in answer.headers else client._reader.until(b"the beginning")
        kill_now()
        try:
            rest = client._reader.rest()
        except ConnectionResetError:
            rest = b""
        assert b"0\r\n\r\n" not in rest, "looks complete"
        assert "content-length" in answer.headers or answer.headers.get("transfer-encoding") == "chunked"
        return got
    stream = begin(client, path)
    kill_now()
    with pytest.raises(ConnectionResetError):
        client.receive(stream)
    return client.answers[stream].body


def test_application_killed_within_its_answer(scene, client, port):
    application = scene.http1_application if port == 80 else scene.http2_application
    cut_answer(client, "/killed", application.begun.set)
    line = scene.wait_for_log(path="/killed", response_flags="UC")
    assert line["response_code_details"].startswith("upstream_reset_after_response_started")
    assert scene.get("/alive").body == b"/alive"


@pytest.mark.parametrize("kind", CLIENTS)
def test_application_killed_within_an_answer_that_ends_with_the_connection(scene, kind):
    """Nothing but the reset tells such an answer from a complete one."""
    with CLIENTS[kind](scene.lab.ns(CLIENT), (scene.vip, 80), 20.0) as client:
        cut_answer(client, "/killed-open", scene.http1_application.begun.set)


def test_client_killed_while_the_application_works(scene, client, port):
    before = len(scene.log_lines(path="/wait", response_flags="DC"))
    client.send("GET", "/wait")
    application = scene.http1_application if port == 80 else scene.http2_application
    assert application.begun.wait(10)
    kill(client.sock)
    assert (scene.http1_application.ended if port == 80 else scene.http2_application.reset).wait(10), "the application works on"
    wait_until(lambda: len(scene.log_lines(path="/wait", response_flags="DC")) > before, 10, "the access log's DC")


def test_destinations_ztunnel_killed_within_an_answer(scene):
    """The tunnel dies under begun answers to clients of both versions: each is told, and sees no complete answer."""
    with scene.http1(timeout=20) as first, scene.http2() as second:
        stream = begin(second, "/v2/killed")
        cut_answer(first, "/v2/killed", scene.lab.ztunnels["node2"].kill)
        with pytest.raises(ConnectionResetError):
            second.receive(stream)
    wait_until(lambda: len(scene.log_lines(path="/v2/killed", response_flags="UC")) == 2, 10, "the access log's lines")
    for line in scene.log_lines(path="/v2/killed"):
        assert line["response_code_details"].startswith("upstream_reset_after_response_started")
    scene.lab.start_ztunnel("node2")
    wait_until(lambda: scene.get("/v2").status == 200, 10, "the new ztunnel serving")


def test_requests_of_clients_that_do_not_know_of_the_drain_are_answered(scene):
    """The very last. What a client sends before it can have seen GOAWAY is taken; new connections end after a request."""
    with scene.http2() as client, scene.http1() as fresh:
        assert client.request(path="/before").body == b"/before"
        scene.waypoint.signal(15)
        scene.waypoint.wait_for_log("draining")
        stream = client.send(path="/after")
        answer = fresh.request(path="/first")
        assert (answer.body, answer.headers.get("connection")) == (b"/first", "close")
        # By hand, as python's h2 takes nothing after a GOAWAY, not even the first of two.
        body, goaways = b"", 0
        while goaways < 2 or b"/after" not in body:
            size, kind, flags, of = struct.unpack(">IBBI", b"\0" + sockets.receive_exactly(client.sock, 9))
            payload = sockets.receive_exactly(client.sock, size)
            if kind == PING and not flags:
                client.sock.sendall(b"\0\0\x08" + bytes([PING, 1]) + b"\0\0\0\0" + payload)
            elif kind == GOAWAY:
                goaways += 1
                assert payload[4:8] == b"\0\0\0\0"
            assert kind != RST_STREAM
            if kind == DATA and of == stream:
                body += payload
    assert scene.waypoint.wait(10) == 0
    assert "have been cut" not in scene.waypoint.log()
