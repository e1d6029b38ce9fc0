"""The tunnel port of a pod against clients of all kinds: every malformed CONNECT and every identity it must refuse."""

from __future__ import annotations

import ssl

import pytest

from tests.integration.mesh import LOCAL_SERVER, OUTSIDER, REMOTE_SERVER, running_mesh, server, wait_for_access
from tests.lab import identity, sockets
from tests.lab.hbone import Tunnel, open_tunnel, tls_connect
from tests.lab.process import wait_until

PORT = 7200
GOOD = "spiffe://cluster.local/ns/plain/sa/outsider"


@pytest.fixture(scope="module")
def lab():
    with running_mesh() as mesh:
        with server(mesh, REMOTE_SERVER, PORT):
            # The CA folder exists once a ztunnel has started.
            yield mesh


@pytest.fixture
def tunnel(lab):
    client = open_tunnel(lab, OUTSIDER, REMOTE_SERVER)
    yield client
    client.close()


def authority(lab) -> str:
    return f"{lab.pod(REMOTE_SERVER).ip}:{PORT}"


def test_connect_opens_a_pipe_and_says_who_answers(lab, tunnel):
    stream = tunnel.connect(authority(lab), baggage="k8s.namespace.name=plain", forwarded='for="1.2.3.4:5"')
    assert tunnel.outcome(stream) == "200"
    baggage = tunnel.response_headers(stream)["baggage"]
    assert "k8s.namespace.name=demo" in baggage and "k8s.cluster.name=Kubernetes" in baggage
    tunnel.send(stream, b"hello")
    assert tunnel.data(stream, 5) == b"hello"
    tunnel.send(stream, b"", end=True)
    line = wait_for_access(lab.ztunnels["node2"], f'src.identity="{GOOD}"')[-1]
    assert 'src.workload="outsider"' in line


@pytest.mark.parametrize(("authority", "status"), [
    ("10.244.2.10", "400"),               # no port
    ("", "400"),
    (":80", "400"),
    ("10.244.2.10:", "400"),
    ("10.244.2.10:99999", "400"),
    ("10.244.2.10:80x", "400"),
    ("[10.244.2.10]:80", "400"),
    ("fd00::1:80", "400"),
    ("user@10.244.2.10:80", "400"),
    ("10.244.1.12:80", "400"),            # another pod
    ("8.8.8.8:53", "400"),                # nobody's
    ("127.0.0.1:80", "400"),
    ("10.96.0.11:80", "400"),             # a service this pod is not the waypoint of
    ("nobody.demo.svc.cluster.local:80", "503"),
    ("server.demo.svc.cluster.local:81", "503"),
    ("10.244.2.10:15001", "503"),         # would loop
    ("10.244.2.10:15006", "503"),
    ("10.244.2.10:15008", "503"),
    ("10.244.2.10:7999", "503"),          # nobody listens
])
def test_what_cannot_be_reached_is_refused(tunnel, authority, status):
    outcome = tunnel.outcome(tunnel.connect(authority))
    # An empty authority is already malformed HTTP/2.
    assert outcome == status or (authority == "" and outcome == "RST 1")


def test_host_name_of_a_service_of_this_pod(lab, tunnel):
    with server(lab, REMOTE_SERVER, 9090):
        stream = tunnel.connect("server.demo.svc.cluster.local:9090")
        assert tunnel.outcome(stream) == "200"
        tunnel.send(stream, b"x")
        assert tunnel.data(stream, 1) == b"x"


@pytest.mark.parametrize("headers", [
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "10.244.2.10:7200")],
    [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "10.244.2.10:7200")],
])
def test_other_methods_are_refused(tunnel, headers):
    assert tunnel.outcome(tunnel.request(headers)) == "400"


@pytest.mark.parametrize("headers", [
    [(":method", "CONNECT"), (":authority", "10.244.2.10:7200"), (":scheme", "https")],
    [(":method", "CONNECT"), (":authority", "10.244.2.10:7200"), (":path", "/")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/"),
     (":authority", "10.244.2.10:7200")],
    [(":method", "CONNECT")],
    [(":authority", "10.244.2.10:7200")],
    [(":method", "CONNECT"), (":method", "CONNECT"), (":authority", "10.244.2.10:7200")],
    [(":method", "CONNECT"), (":authority", "10.244.2.10:7200"), ("connection", "close")],
    [(":method", "CONNECT"), (":authority", "10.244.2.10:7200"), ("Upper", "case")],
])
def test_malformed_heads_are_stream_errors(lab, tunnel, headers):
    """RFC 9113 section 8.1.1; the tunnel and its other streams live on."""
    assert tunnel.outcome(tunnel.request(headers)) == "RST 1"
    assert tunnel.outcome(tunnel.connect(authority(lab))) == "200"


@pytest.mark.parametrize("traceparent", ["", "x" * 55, "00-" + "0" * 52, "-" * 55, "\xe9" * 27 + "x"])
def test_odd_traceparents_and_baggage_do_no_harm(lab, tunnel, traceparent):
    stream = tunnel.connect(authority(lab), traceparent=traceparent or "-", baggage="=,=,k8s.namespace.name,,a=b=c",
                            forwarded='for=;host="')
    assert tunnel.outcome(stream) == "200"
    assert lab.ztunnels["node2"].is_ready()


@pytest.mark.parametrize("value", ["\x7f" * 55, "a\0b", "a\nb", "a\rb"])
def test_field_values_with_control_characters_are_stream_errors(lab, tunnel, value):
    """RFC 9113 section 8.2.1, RFC 9110 section 5.5: not valid in a field value."""
    assert tunnel.outcome(tunnel.connect(authority(lab), traceparent=value)) == "RST 1"
    assert tunnel.outcome(tunnel.connect(authority(lab))) == "200"


def test_head_over_the_limit_is_refused_alone(lab, tunnel):
    stream = tunnel.request([(":method", "CONNECT"), (":authority", authority(lab)), ("baggage", "x" * 15_000)])
    assert tunnel.outcome(stream) == "200"
    many = [(f"x-{i}", "y" * 1000) for i in range(70)]
    assert tunnel.outcome(tunnel.request([(":method", "CONNECT"), (":authority", authority(lab)), *many])) in (
        "RST 11", "431")
    assert tunnel.outcome(tunnel.connect(authority(lab))) == "200"


def test_more_streams_than_announced_are_refused(lab, tunnel):
    while tunnel.h2.remote_settings.max_concurrent_streams > 1000:
        assert tunnel.receive()
    assert tunnel.h2.remote_settings.max_concurrent_streams == 200
    streams = [tunnel.connect(authority(lab)) for _ in range(200)]
    assert [tunnel.outcome(stream) for stream in streams] == ["200"] * 200


def test_bytes_before_the_answer_reach_only_an_accepted_connection(lab, tunnel):
    """Data sent right behind CONNECT waits for the 200; behind a refused one it goes nowhere."""
    stream = tunnel.h2.get_next_available_stream_id()
    tunnel.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", authority(lab))])
    tunnel.h2.send_data(stream, b"early")
    tunnel.flush()
    assert tunnel.outcome(stream) == "200"
    assert tunnel.data(stream, 5) == b"early"
    refused = tunnel.h2.get_next_available_stream_id()
    tunnel.h2.send_headers(refused, [(":method", "CONNECT"), (":authority", "8.8.8.8:53")])
    tunnel.h2.send_data(refused, b"early")
    tunnel.flush()
    assert tunnel.outcome(refused) == "400"


# ---- identities

def refused(lab, certificate, **options) -> bool:
    """Whether the proxy refuses the handshake (TLS 1.3: seen at the first read)."""
    try:
        sock = tls_connect(lab.ns(OUTSIDER), (lab.pod(REMOTE_SERVER).ip, 15008), certificate, **options)
    except ssl.SSLError:
        return True
    with sock:
        try:
            tunnel = Tunnel(sock)
            return tunnel.outcome(tunnel.connect(authority(lab))) == "closed"
        except (ssl.SSLError, ConnectionError):
            return True


def certificate(lab, name: str, *args, ca=None, **options):
    ca = ca or identity.load_ca(lab.folder / "ca")
    return identity.write(lab.folder, name, identity.issue(ca, *args, **options))


def test_a_good_certificate_is_accepted(lab):
    assert not refused(lab, certificate(lab, "good", [GOOD]))


@pytest.mark.parametrize(("name", "uris", "options"), [
    ("foreign", ["spiffe://other.domain/ns/plain/sa/outsider"], {}),
    ("not-spiffe", ["https://cluster.local/ns/plain/sa/outsider"], {}),
    ("no-san", [], {}),
    ("short-id", ["spiffe://cluster.local/ns/plain"], {}),
    ("expired", [GOOD], {"days_from": -3, "days_to": -1}),
    ("not-yet", [GOOD], {"days_from": 1, "days_to": 3}),
    ("server-only", [GOOD], {"usages": identity.SERVER_ONLY}),
    ("weak-key", [GOOD], {"weak": True}),
])
def test_bad_certificates_are_refused(lab, name, uris, options):
    before = len(lab.ztunnels["node2"].access_log("tls handshake error|identity|untrusted|certificate"))
    assert refused(lab, certificate(lab, name, uris, **options))
    wait_until(lambda: len(lab.ztunnels["node2"].access_log(
        "tls handshake error|identity|untrusted|certificate")) > before, 5, "a line that says why")


def test_an_unknown_root_is_refused(lab):
    assert refused(lab, certificate(lab, "other-root", [GOOD], ca=identity.new_ca()))


def test_no_certificate_is_refused(lab):
    assert refused(lab, None)


def test_other_protocols_and_versions_are_refused(lab):
    good = certificate(lab, "good2", [GOOD])
    assert refused(lab, good, alpn=["http/1.1"])
    assert refused(lab, good, max_version=ssl.TLSVersion.TLSv1_2)
    with sockets.connect(lab.ns(OUTSIDER), (lab.pod(REMOTE_SERVER).ip, 15008)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert len(sockets.receive_all(sock)) < 100  # at most an alert


def test_a_server_with_the_wrong_identity_is_refused(lab):
    """The client's proxy checks whom it talks to: another pod's certificate at this address will not do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(lab, "impostor", ["spiffe://cluster.local/ns/demo/sa/somebody-else"]))
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    # server-v2's proxy is gone, and something else answers at its tunnel port.
    lab.agents["node2"].remove_pod(lab.pod(REMOTE_SERVER).uid)

    wait_until(lambda: lab.ztunnels["node2"].metric("workload_manager_active_proxy_count") == 0, 5,
               "the proxy stopping")

    def impostor(sock, _peer):
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    try:
        with sockets.Server(lab.ns(REMOTE_SERVER), (lab.pod(REMOTE_SERVER).ip, 15008), impostor, share=True), \
                sockets.connect(lab.ns("demo/client"), (lab.pod(REMOTE_SERVER).ip, PORT)) as sock:
            with pytest.raises(OSError):
                sock.sendall(b"secret")
                if sock.recv(1) == b"":
                    raise ConnectionResetError
        line = wait_for_access(lab.ztunnels["node1"], "peer did not present the expected SAN")[-1]
        assert "sa/server-v2" in line and "sa/somebody-else" in line
        assert lab.ztunnels["node1"].metric("istio_tcp_connections_failed_total", response_flags="TLS_FAILURE") == 1
    finally:
        pod = lab.pod(REMOTE_SERVER)
        assert lab.agents["node2"].add_pod(pod.uid, pod.name, pod.namespace, pod.service_account,
                                           lab.ns(REMOTE_SERVER)) == ""


def test_the_proxy_is_well_after_all_this(lab):
    proxy = lab.ztunnels["node2"]
    assert proxy.is_ready()
    wait_until(lambda: proxy.metric("istio_tcp_sockets_open", reporter="destination") == 0, 10, "no tunnel left open")
    assert LOCAL_SERVER in lab.cluster.pods
