"""Authorization at the destination: who is refused, what both sides log, and what a change does to open connections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.mesh import (CLIENT, LEGACY, LOCAL_SERVER, OUTSIDER, REMOTE_SERVER, dial, fields, running_mesh,
                                    server, wait_for_access)
from tests.lab import sockets
from tests.lab.cluster import Tagged
from tests.lab.hbone import open_tunnel
from tests.lab.process import wait_until

PORT, OTHER_PORT = 7300, 7301
INTRUDER = "demo/intruder"
DENIED = "connection closed due to policy rejection: explicitly denied by: "
NOT_ALLOWED = "connection closed due to policy rejection: allow policies exist, but none allowed"


def policy(name: str, action: str, *matches: dict[str, Any], namespace: str = "demo", scope: str = "Namespace",
           dry_run: bool = False) -> dict[str, Any]:
    """One rule of one clause: the connection matches any of `matches`. None: the policy has no rules."""
    return {"name": name, "namespace": namespace, "scope": scope, "action": action, "dryRun": dry_run,
            "rules": [[list(matches)]] if matches else []}


def account(name: str, namespace: str = "demo") -> dict[str, Any]:
    return {"serviceAccounts": [{"namespace": namespace, "serviceAccount": name}]}


@pytest.fixture(scope="module")
def mesh():
    with running_mesh({"AUTHZ_POLICY_INFO_LOGGING": "true"}) as lab:
        with server(lab, REMOTE_SERVER, PORT), server(lab, REMOTE_SERVER, OTHER_PORT), server(lab, LOCAL_SERVER, PORT):
            yield lab


@pytest.fixture
def lab(mesh):
    mesh.set_policies([])
    yield mesh


def works(sock) -> bool:
    """Whether an echo comes back; a refusal is a reset or an end, and nothing else."""
    try:
        sock.sendall(b"ping")
        return sock.recv(4) == b"ping"
    except ConnectionError:
        return False


def allowed(lab, source: str, destination: str = REMOTE_SERVER, port: int = PORT) -> bool:
    try:
        with dial(lab, source, destination, port) as sock:
            return works(sock)
    except ConnectionResetError:  # refused before connect() had returned
        return False


def carries(lab, source: str, destination: str = REMOTE_SERVER, port: int = PORT):
    sock = dial(lab, source, destination, port)
    assert works(sock)
    return sock


def is_cut(sock) -> bool:
    """Waits (bounded by the socket's timeout) for the end of an idle connection: a reset, since a FIN would tell the
    application that it has everything."""
    try:
        sock.recv(1)
        return False
    except ConnectionResetError:
        return True


# ---- one denied account

def test_a_denied_account_is_refused_with_its_reason(lab):
    lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
    source, target = lab.ztunnels["node1"], lab.ztunnels["node2"]
    before = target.metric("istio_tcp_connections_failed_total", response_flags="DENY", reporter="destination")
    assert not allowed(lab, INTRUDER)
    assert allowed(lab, CLIENT)
    inbound = wait_for_access(target, f'src.workload="intruder".*{DENIED}')[-1]
    assert f'error="{DENIED}demo/no-intruders"' in inbound and "\terror\t" in inbound
    assert fields(inbound)["src.identity"] == lab.pod(INTRUDER).identity
    outbound = wait_for_access(source, 'src.workload="intruder".*outbound')[-1]
    assert 'error="http status: 401 Unauthorized"' in outbound
    assert target.metric("istio_tcp_connections_failed_total", response_flags="DENY", reporter="destination",
                         source_principal=lab.pod(INTRUDER).identity) == before + 1
    assert source.metric("istio_tcp_connections_failed_total", response_flags="CONNECT", reporter="source",
                         source_principal=lab.pod(INTRUDER).identity) >= 1


def test_the_answer_is_401_and_the_tunnel_lives_on(lab):
    lab.set_policies([policy("no-7300", "Deny", {"destinationPorts": [PORT]})])
    tunnel = open_tunnel(lab, OUTSIDER, REMOTE_SERVER)
    address = lab.pod(REMOTE_SERVER).ip
    stream = tunnel.connect(f"{address}:{PORT}")
    assert tunnel.outcome(stream) == "401"
    assert "baggage" not in tunnel.response_headers(stream)
    assert tunnel.outcome(tunnel.connect(f"{address}:{OTHER_PORT}")) == "200"
    tunnel.close()


def test_the_application_never_sees_a_refused_connection(lab):
    lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
    with server(lab, REMOTE_SERVER, 7302) as app:
        assert not allowed(lab, INTRUDER, port=7302)
        assert allowed(lab, CLIENT, port=7302)
        assert [peer[0] for peer in app.peers] == [lab.pod(CLIENT).ip]


# ---- allow, deny, order

def test_allow_policies_allow_nothing_else(lab):
    lab.set_policies([policy("only-client", "Allow", account("client"))])
    assert allowed(lab, CLIENT)
    assert not allowed(lab, INTRUDER)
    assert NOT_ALLOWED in wait_for_access(lab.ztunnels["node2"], 'src.workload="intruder".*but none allowed')[-1]


def test_deny_comes_before_allow(lab):
    lab.set_policies([policy("everybody", "Allow", {"namespaces": [Tagged("Presence", [])]}),
                      policy("not-client", "Deny", account("client"))])
    assert not allowed(lab, CLIENT)
    assert allowed(lab, INTRUDER)
    assert wait_for_access(lab.ztunnels["node2"], f'{DENIED}demo/not-client')


def test_any_of_several_allow_policies_is_enough(lab):
    lab.set_policies([policy("client", "Allow", account("client")), policy("intruder", "Allow", account("intruder"))])
    assert allowed(lab, CLIENT) and allowed(lab, INTRUDER)


def test_policies_without_rules(lab):
    lab.set_policies([policy("deny-nothing", "Deny")])
    assert allowed(lab, CLIENT)
    lab.set_policies([policy("allow-nothing", "Allow")])
    assert not allowed(lab, CLIENT)


def test_dry_run_only_logs(lab):
    proxy = lab.ztunnels["node2"]
    lab.set_policies([policy("would-deny", "Deny", account("client"), dry_run=True),
                      policy("would-allow", "Allow", account("client"), dry_run=True)])
    assert allowed(lab, CLIENT) and allowed(lab, INTRUDER)
    proxy.wait_for_log(r'\tinfo\tstate\tdry-run: deny policy match\tpolicy="demo/would-deny"')
    proxy.wait_for_log(r'\tinfo\tstate\tdry-run: allow policy match\tpolicy="demo/would-allow"')
    proxy.wait_for_log(r'\tinfo\tstate\tdry-run: no allow policies match')


def test_principals_are_spiffe_ids_without_the_scheme(lab):
    identity = lab.pod(CLIENT).identity
    lab.set_policies([policy("p", "Allow", {"principals": [Tagged("Exact", identity.removeprefix("spiffe://"))]})])
    assert allowed(lab, CLIENT) and not allowed(lab, INTRUDER)
    lab.set_policies([policy("p", "Allow", {"principals": [Tagged("Exact", identity)]})])
    assert not allowed(lab, CLIENT), "a value with the scheme matches nothing"


# ---- scopes

def test_a_namespace_policy_is_about_its_namespace(lab):
    lab.set_policies([policy("nobody", "Deny", {"destinationPorts": [PORT]}, namespace="plain")])
    assert allowed(lab, CLIENT)
    lab.set_policies([policy("nobody", "Deny", {"destinationPorts": [PORT]}, namespace="demo")])
    assert not allowed(lab, CLIENT)


def test_a_root_policy_is_about_everybody(lab):
    lab.set_policies([policy("nobody", "Deny", {"destinationPorts": [PORT]}, namespace="istio-system",
                             scope="Global")])
    assert not allowed(lab, CLIENT) and not allowed(lab, CLIENT, LOCAL_SERVER)
    assert allowed(lab, CLIENT, port=OTHER_PORT)
    assert wait_for_access(lab.ztunnels["node2"], f"{DENIED}istio-system/nobody")


def test_a_selector_policy_is_about_the_workloads_that_name_it(lab, monkeypatch):
    from tests.lab import local_config
    rendered = local_config._workload

    def with_policy(cluster, pod):
        workload = rendered(cluster, pod)
        if pod.key == REMOTE_SERVER:
            workload["authorizationPolicies"] = ["demo/v2-only"]
        return workload

    monkeypatch.setattr(local_config, "_workload", with_policy)
    lab.set_policies([policy("v2-only", "Deny", account("client"), scope="WorkloadSelector")])
    assert not allowed(lab, CLIENT, REMOTE_SERVER)
    assert allowed(lab, CLIENT, LOCAL_SERVER)


def test_policies_hold_between_pods_of_one_node(lab):
    lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
    assert not allowed(lab, INTRUDER, LOCAL_SERVER)
    assert allowed(lab, CLIENT, LOCAL_SERVER)


def test_policies_are_not_about_what_a_pod_sends(lab):
    """Only the destination's policies count, and one that is not in the mesh has nobody to enforce them."""
    lab.set_policies([policy("all", "Deny", {"destinationPorts": [PORT]})])
    with server(lab, LEGACY, PORT):
        assert allowed(lab, CLIENT, LEGACY)


# ---- what a match may look at

@pytest.mark.parametrize(("match", "client", "intruder"), [
    ({"destinationPorts": [PORT]}, False, False),
    ({"destinationPorts": [PORT + 50]}, True, True),
    ({"notDestinationPorts": [PORT]}, True, True),
    ({"notDestinationPorts": [PORT + 50]}, False, False),
    ({"sourceIps": ["10.244.1.10/32"]}, False, True),
    ({"notSourceIps": ["10.244.1.10/32"]}, True, False),
    ({"sourceIps": ["10.244.1.0/24"]}, False, False),
    ({"destinationIps": ["10.244.2.10/32"]}, False, False),
    ({"destinationIps": ["10.244.1.0/24"]}, True, True),
    ({"notDestinationIps": ["10.244.2.0/24"]}, True, True),
    ({"namespaces": [Tagged("Exact", "demo")]}, False, False),
    ({"namespaces": [Tagged("Exact", "dem")]}, True, True),
    ({"notNamespaces": [Tagged("Prefix", "de")]}, True, True),
    ({"principals": [Tagged("Suffix", "/sa/client")]}, False, True),
    ({"notPrincipals": [Tagged("Suffix", "/sa/client")]}, True, False),
    ({"serviceAccounts": [{"namespace": "other", "serviceAccount": "client"}]}, True, True),
    ({"notServiceAccounts": [{"namespace": "demo", "serviceAccount": "client"}]}, True, False),
    ({"principals": [Tagged("Suffix", "/sa/client")], "destinationPorts": [PORT + 50]}, True, True),
    ({}, True, True),  # nothing to look at: never matches
])
def test_deny_matches(lab, match, client, intruder):
    assert lab.pod(CLIENT).ip == "10.244.1.10" and lab.pod(REMOTE_SERVER).ip == "10.244.2.10"
    lab.set_policies([policy("p", "Deny", match)])
    assert (allowed(lab, CLIENT), allowed(lab, INTRUDER)) == (client, intruder)


def test_clauses_are_all_and_rules_are_any(lab):
    both = [[account("client")], [{"destinationPorts": [PORT]}]]
    other = [[account("intruder")]]
    lab.set_policies([{**policy("p", "Deny"), "rules": [both, other]}])
    assert not allowed(lab, CLIENT)
    assert allowed(lab, CLIENT, port=OTHER_PORT)
    assert not allowed(lab, INTRUDER, port=OTHER_PORT)


# ---- without an identity

def test_plaintext_has_no_identity(lab):
    assert allowed(lab, OUTSIDER)
    lab.set_policies([policy("only-client", "Allow", account("client"))])
    assert not allowed(lab, OUTSIDER)
    assert allowed(lab, CLIENT)
    line = wait_for_access(lab.ztunnels["node2"], 'src.workload="outsider".*but none allowed')[-1]
    assert "src.identity" not in line and "\terror\t" in line
    assert lab.ztunnels["node2"].metric("istio_tcp_connections_failed_total", response_flags="DENY",
                                        source_workload="outsider", connection_security_policy="unknown") >= 1


def test_strict_mutual_tls(lab):
    """How istiod writes PeerAuthentication STRICT: deny what has no principal."""
    lab.set_policies([policy("strict", "Deny", {"notPrincipals": [Tagged("Presence", [])]}, namespace="istio-system",
                             scope="Global")])
    assert not allowed(lab, OUTSIDER)
    assert allowed(lab, CLIENT)


def test_plaintext_by_source_address(lab):
    lab.set_policies([policy("p", "Deny", {"sourceIps": [f"{lab.pod(OUTSIDER).ip}/32"]})])
    assert not allowed(lab, OUTSIDER)
    assert allowed(lab, CLIENT)


# ---- changes while connections are open

def test_a_new_deny_closes_what_it_matches_and_nothing_else(lab):
    proxy = lab.ztunnels["node2"]
    intruder, client = carries(lab, INTRUDER), carries(lab, CLIENT)
    outsider = carries(lab, OUTSIDER)
    lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
    assert is_cut(intruder)
    assert works(client) and works(outsider)
    line = wait_for_access(proxy, 'src.workload="intruder".*policy change')[-1]
    assert 'error="connection closed due to policy change"' in line
    assert fields(line)["bytes_recv"] == "4"
    proxy.wait_for_log(r"connection 10\.244\.1\.\d+:\d+->10\.244\.2\.10:7300 \(.*server-v2\) closed because it's no "
                       "longer allowed after a policy update")
    assert proxy.metric("istio_tcp_connections_closed_total", response_flags="DENY", source_workload="intruder") >= 1
    for sock in (intruder, client, outsider):
        sock.close()


def test_a_new_deny_closes_plaintext_too(lab):
    client, outsider = carries(lab, CLIENT), carries(lab, OUTSIDER)
    lab.set_policies([policy("strict", "Deny", {"notPrincipals": [Tagged("Presence", [])]}, scope="Global",
                             namespace="istio-system")])
    assert is_cut(outsider)
    assert works(client)
    for sock in (client, outsider):
        sock.close()


def test_a_connection_in_full_flight_is_cut(lab):
    """The application on the other side learns it too, and none of them takes it for a good end."""
    ended = []

    def flood(sock, _peer):
        try:
            while True:
                sock.sendall(b"x" * 65536)
        except ConnectionError as error:
            ended.append(type(error))

    proxy = lab.ztunnels["node2"]
    with server(lab, REMOTE_SERVER, 7303, flood), dial(lab, INTRUDER, REMOTE_SERVER, 7303) as sock:
        sockets.receive_exactly(sock, 1 << 20)
        lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
        with pytest.raises(ConnectionResetError):
            sockets.receive_all(sock)
        wait_until(lambda: ended, 10, "the server's end")
    wait_for_access(proxy, f'hbone_addr={lab.pod(REMOTE_SERVER).ip}:7303.*policy change')


@pytest.mark.parametrize("source", [INTRUDER, OUTSIDER])
def test_the_server_of_a_connection_that_is_cut_sees_a_reset(lab, source):
    """An upload that is cut must not look like one that is complete."""
    seen = []

    def read(sock, _peer):
        try:
            sock.sendall(b"x")
            sockets.receive_all(sock)
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")

    with server(lab, REMOTE_SERVER, 7304, read), dial(lab, source, REMOTE_SERVER, 7304) as sock:
        assert sock.recv(1) == b"x"
        sock.sendall(b"part of something")
        lab.set_policies([policy("nobody", "Deny", {"destinationPorts": [7304]})])
        assert is_cut(sock)
        wait_until(lambda: seen, 10, "the server's end")
    assert seen == ["reset"]


def test_a_new_allow_closes_the_others(lab):
    intruder, client = carries(lab, INTRUDER), carries(lab, CLIENT)
    lab.set_policies([policy("only-client", "Allow", account("client"))])
    assert is_cut(intruder)
    assert works(client)
    for sock in (intruder, client):
        sock.close()


def test_removing_a_policy_opens_the_way_again(lab):
    lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
    assert not allowed(lab, INTRUDER)
    client = carries(lab, CLIENT)
    lab.set_policies([])
    assert allowed(lab, INTRUDER)
    assert works(client)
    client.close()


def test_an_update_that_still_allows_changes_nothing(lab):
    lab.set_policies([policy("p", "Allow", account("client"))])
    client = carries(lab, CLIENT)
    lab.set_policies([policy("p", "Allow", {"sourceIps": ["10.244.0.0/16"]})])
    assert works(client)
    lab.set_policies([policy("p", "Allow", {"sourceIps": ["10.244.0.0/16"]}), policy("q", "Deny", account("nobody"))])
    assert works(client)
    client.close()


def test_a_workload_that_left_the_mesh_is_still_protected(lab):
    """The control plane lost the pod, the pod still runs: what was let in is judged by what it was."""
    intruder, client = carries(lab, INTRUDER), carries(lab, CLIENT)
    pod = lab.cluster.pods.pop(REMOTE_SERVER)
    try:
        lab.set_policies([policy("no-intruders", "Deny", account("intruder"))])
        assert is_cut(intruder)
        assert works(client)
    finally:
        lab.cluster.pods[REMOTE_SERVER] = pod
        for sock in (intruder, client):
            sock.close()


def test_a_thousand_changes_keep_up(lab):
    """The last word holds, and the open connection that is always allowed never notices."""
    client = carries(lab, CLIENT)
    for i in range(50):
        lab.cluster.policies = [policy("p", "Deny", account("intruder" if i % 2 else "nobody"))]
        lab.write_mesh()
    lab.set_policies([policy("last", "Deny", account("intruder"))])
    assert not allowed(lab, INTRUDER)
    assert works(client)
    client.close()
