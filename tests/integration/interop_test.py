"""Our ztunnel on one node, Istio's on the other. Needs a build of the latter that takes certificates from a CA on disk:
CULVERT_PEER_ZTUNNEL is the program, CULVERT_PEER_CA_DIR the folder with root-cert.pem and root-key.pem that it signs
with when FAKE_CA is set."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.integration.mesh import CLIENT, DEMO, REMOTE_SERVER, dial, server
from tests.lab import sockets
from tests.lab.cluster import Cluster, Tagged
from tests.lab.lab import Lab

PORT, INTRUDER = 7000, "demo/intruder"
PEER, PEER_CA = os.environ.get("CULVERT_PEER_ZTUNNEL"), os.environ.get("CULVERT_PEER_CA_DIR")
pytestmark = pytest.mark.skipif(not (PEER and PEER_CA), reason="CULVERT_PEER_ZTUNNEL and CULVERT_PEER_CA_DIR are not set")


@pytest.fixture(scope="module", params=["ours to theirs", "theirs to ours"])
def lab(request):
    """The client is on node1, the server on node2."""
    cluster = Cluster.load(DEMO)
    cluster.policies = [{
        "name": "no-intruder", "namespace": "demo", "scope": "Namespace", "action": "Deny", "dryRun": False,
        "rules": [[[{"principals": [Tagged("Exact", "cluster.local/ns/demo/sa/intruder")]}]]],
    }]
    with Lab(cluster) as mesh:
        shutil.copytree(PEER_CA, mesh.folder / "ca")
        for node in ("node1", "node2"):
            ours = (node == "node1") == (request.param == "ours to theirs")
            mesh.start_ztunnel(node, None if ours else {"FAKE_CA": "true"}, program=None if ours else PEER)
        yield mesh


def test_bytes_half_close_and_source_address(lab):
    def twice(sock, _peer):
        data = sockets.receive_all(sock)
        sock.sendall(data * 2)

    payload = os.urandom(4 << 20)
    with server(lab, REMOTE_SERVER, PORT, twice) as app, dial(lab, CLIENT, REMOTE_SERVER, PORT, 30) as sock:
        sock.sendall(payload)
        sock.shutdown(1)
        assert sockets.receive_all(sock) == payload * 2
        assert app.peers[0][0] == lab.pod(CLIENT).ip


def test_server_closes_at_once_after_a_large_answer(lab):
    payload = os.urandom(16 << 20)
    with server(lab, REMOTE_SERVER, PORT, lambda sock, _: sock.sendall(payload)), \
            dial(lab, CLIENT, REMOTE_SERVER, PORT, 30) as sock:
        assert sockets.receive_all(sock) == payload


def test_many_streams(lab):
    with server(lab, REMOTE_SERVER, PORT):
        socks = [dial(lab, CLIENT, REMOTE_SERVER, PORT) for _ in range(250)]
        for sock in socks:
            sock.sendall(b"hello")
        for sock in socks:
            assert sockets.receive_exactly(sock, 5) == b"hello"
            sock.close()


def test_both_identities_are_known(lab):
    with server(lab, REMOTE_SERVER, PORT), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(b"x")
        sockets.receive_exactly(sock, 1)
    labels = {"source_principal": lab.pod(CLIENT).identity, "destination_principal": lab.pod(REMOTE_SERVER).identity,
              "connection_security_policy": "mutual_tls"}
    for node, reporter in (("node1", "source"), ("node2", "destination")):
        assert lab.ztunnels[node].metric("istio_tcp_connections_opened_total", reporter=reporter, **labels) > 0


def test_policy_of_the_server_side(lab):
    with server(lab, REMOTE_SERVER, PORT), dial(lab, INTRUDER, REMOTE_SERVER, PORT) as sock:
        sock.sendall(b"x")
        with pytest.raises((ConnectionResetError, EOFError)):
            sockets.receive_exactly(sock, 1)
