"""ztunnel and the node agent: a scripted agent tells a whole process about pods, rightly and wrongly."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time

import pytest

from tests.integration.mesh import CLIENT, DEMO, LOCAL_SERVER, dial, server
from tests.lab import sockets, zds
from tests.lab.cluster import Cluster
from tests.lab.lab import Lab
from tests.lab.netns import inside, run
from tests.lab.process import wait_until

PORTS = {15001, 15006, 15008}


@pytest.fixture(scope="module")
def lab():
    with Lab(Cluster.load(DEMO)) as made:
        yield made


class Node:
    """A ztunnel on node1 that has connected, and the agent's side of it."""

    def __init__(self, lab: Lab, env: dict[str, str] | None = None) -> None:
        self.lab = lab
        self.agent = lab.agents["node1"] = zds.ScriptedAgent(lab.folder / "scripted.sock")
        self.daemon = lab.start_ztunnel("node1", env, wait=False)
        self.connection = self.agent.accept()

    def meet(self, timeout: float = 20.0) -> zds.Connection:
        self.connection = self.agent.accept(timeout)
        assert self.connection.hello == b"\x08\x01"
        return self.connection

    def add(self, uid: str, netns: str, name: str = "client") -> str:
        return self.connection.add_pod(uid, name, "demo", name, netns)

    def snapshot(self) -> None:
        assert self.connection.call(zds.snapshot_sent()) == ""

    def pods(self) -> dict[str, str]:
        """State by uid, as /config_dump says."""
        dump = json.loads(self.daemon.get(15000, "/config_dump")[2])
        return {uid: entry["state"] for uid, entry in dump["workloadState"].items()}

    def is_closed(self) -> bool:
        return self.connection.sock.recv(1024) == b""

    def close(self) -> None:
        self.daemon.stop()
        self.agent.close()


@pytest.fixture
def node(lab):
    made = Node(lab)
    yield made
    made.close()
    del lab.agents["node1"]


@contextlib.contextmanager
def bare(lab: Lab, *names: str, loopback: bool = True):
    """Network namespaces without anything but, perhaps, a loopback device that is up."""
    made = [f"cv{lab.id}-x{name}" for name in names]
    try:
        for namespace in made:
            run("ip", "netns", "add", namespace)
            if loopback:
                run("ip", "-n", namespace, "link", "set", "lo", "up")
        yield made
    finally:
        for namespace in made:
            run("ip", "netns", "del", namespace)


def listening(namespace: str) -> set[int]:
    """TCP ports that somebody listens on."""
    found = set()
    with inside(namespace):
        for name in ("tcp", "tcp6"):
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as table:
                rows = [line.split() for line in table][1:]
            found |= {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A"}
    return found


def test_hello_add_snapshot_del(lab, node):
    assert node.connection.hello == b"\x08\x01"
    assert not node.daemon.is_ready()
    with bare(lab, "a") as (pod,):
        assert node.add("u1", pod) == ""
        assert listening(pod) == PORTS, "an acknowledged pod is served"
        assert not node.daemon.is_ready()
        node.snapshot()
        node.daemon.wait_ready(2)
        assert node.pods() == {"u1": "Up"}
        assert node.daemon.metric("workload_manager_active_proxy_count") == 1
        assert node.connection.call(zds.delete("u1")) == ""
        wait_until(lambda: not listening(pod), 5, "closed listeners")
        assert node.pods() == {}
        assert node.connection.call(zds.delete("u1")) == ""
        assert node.connection.call(zds.delete("never-heard-of")) == ""
        assert node.daemon.metric("workload_manager_proxies_started_total") == 1
        wait_until(lambda: node.daemon.metric("workload_manager_proxies_stopped_total") == 1, 5, "the count")


def test_the_same_namespace_again_changes_nothing_and_another_replaces(lab, node):
    with bare(lab, "a", "b") as (first, second):
        assert node.add("u1", first) == ""
        assert node.add("u1", first) == ""
        assert node.daemon.metric("workload_manager_proxies_started_total") == 1
        assert node.add("u1", second) == ""
        assert listening(second) == PORTS
        wait_until(lambda: not listening(first), 5, "the old namespace given up")
        assert node.daemon.metric("workload_manager_active_proxy_count") == 1
        # The first one is free for another pod, or the same again.
        assert node.add("u2", first) == ""
        assert listening(first) == PORTS


def test_one_bad_pod_never_blocks_others(lab, node):
    """Ports taken by somebody else, a descriptor that is no namespace: refused, pending; the others are served."""
    with bare(lab, "taken", "fine", "last") as (taken, fine, last):
        with inside(taken):
            holder = socket.socket(socket.AF_INET6)
        with holder:
            holder.bind(("::", 15008))
            holder.listen(1)
            error = node.add("bad", taken)
            assert error.startswith("failure to start proxy : ") and "in use" in error, error
            fd = os.open("/dev/null", os.O_RDONLY)
            try:
                error = node.connection.call(zds.add("null", "client", "demo", "client"), [fd])
            finally:
                os.close(fd)
            assert error.startswith("failure to start proxy : "), error
            assert node.connection.call(zds.delete("null")) == ""
            assert node.add("good", fine) == ""
            node.snapshot()
            assert node.pods() == {"bad": "Pending", "good": "Up"}
            assert node.daemon.metric("workload_manager_pending_proxy_count") == 1
            assert not node.daemon.is_ready()
            assert listening(taken) == {15008}, "nothing half-started is left behind"
            assert node.add("last", last) == ""
        wait_until(node.daemon.is_ready, 10, "the retry")
        assert listening(taken) == PORTS
        assert node.pods() == {"bad": "Up", "good": "Up", "last": "Up"}


def test_a_namespace_without_loopback_does_not_disturb(lab, node):
    with bare(lab, "dead", loopback=False) as (dead,), bare(lab, "alive") as (alive,):
        assert node.add("dead", dead) == ""
        assert node.add("alive", alive) == ""
        node.snapshot()
        node.daemon.wait_ready(2)


@pytest.mark.parametrize("what, packet", [
    ("garbage", b"\xff\xff\xff"), ("no payload", b"\x22\x00"), ("too long", b"x" * 3000),
    ("cut", zds.add("u1", "client", "demo", "client")[:-1]), ("add without namespace", zds.add("u9", "a", "b", "c"))])
def test_what_is_no_request_ends_the_connection_and_not_the_pods(lab, node, what, packet):
    with bare(lab, "a") as (pod,):
        assert node.add("u1", pod) == ""
        node.snapshot()
        assert node.connection.call(packet).startswith("failure to read message : "), what
        assert node.is_closed()
        assert not node.daemon.is_ready()
        assert listening(pod) == PORTS
        node.meet()
        assert node.connection.call(zds.keep("u1")) == ""
        node.snapshot()
        node.daemon.wait_ready(2)
        assert node.daemon.metric("workload_manager_proxies_started_total") == 1


def test_descriptors_of_refused_packets_are_closed(lab, node):
    node.snapshot()
    with open("/dev/null", "rb") as null:
        before = None
        for count, packet in [(2, zds.keep("a")), (253, zds.add("a", "b", "c", "d")), (1, zds.snapshot_sent()),
                              (1, b"\xff"), (7, b"y" * 2000)]:
            before = before or node.daemon.descriptors()
            assert node.connection.call(packet, [null.fileno()] * count).startswith("failure to read message : ")
            assert node.is_closed()
            node.meet()
            assert node.daemon.descriptors() <= before


@pytest.mark.parametrize("packet, text", [
    (zds.snapshot_sent(), "pod snapshot received already"), (zds.keep("u1"), "pod keep received after snapshot")])
def test_a_breach_of_the_protocol_is_answered_and_pods_go_on(lab, node, packet, text):
    with bare(lab, "a") as (pod,):
        assert node.add("u1", pod) == ""
        node.snapshot()
        assert node.connection.call(packet) == f"failure to process message : {text}"
        assert node.is_closed()
        node.meet()
        assert listening(pod) == PORTS and not node.daemon.is_ready()


def test_an_agent_that_hangs_up_at_the_hello_is_called_with_back_off(lab, node):
    """As an agent would that does not know the version."""
    node.connection.close()
    begin = time.monotonic()
    for _ in range(7):
        node.meet().close()
    assert time.monotonic() - begin >= 0.01 + 0.02 + 0.04 + 0.08 + 0.16 + 0.32
    node.meet(30)
    node.snapshot()
    node.daemon.wait_ready(2)


def test_an_agent_that_restarts_reconciles_by_its_snapshot(lab, node):
    with bare(lab, "stay", "again", "go", "new") as (stay, again, go, new):
        for uid, namespace in (("stay", stay), ("again", again), ("go", go)):
            assert node.add(uid, namespace) == ""
        node.snapshot()
        node.daemon.wait_ready(2)
        node.agent.stop_listening()
        node.connection.close()
        node.daemon.wait_for_log("failed to connect to the Istio CNI node agent.*retrying in 80ms")
        assert not node.daemon.is_ready()
        assert all(listening(namespace) == PORTS for namespace in (stay, again, go))
        node.agent.listen()
        node.meet()
        assert node.connection.call(zds.keep("stay")) == ""
        assert node.add("again", again) == ""
        assert node.add("new", new) == ""
        assert listening(go) == PORTS, "not before the snapshot is complete"
        node.snapshot()
        node.daemon.wait_ready(2)
        wait_until(lambda: not listening(go), 5, "what the snapshot left out ends")
        assert node.pods() == {"stay": "Up", "again": "Up", "new": "Up"}
        assert node.daemon.metric("workload_manager_proxies_started_total") == 4


def test_a_connection_of_a_pod_outlives_its_agent(lab, node):
    for key in (CLIENT, LOCAL_SERVER):
        pod = lab.pod(key)
        assert node.connection.add_pod(pod.uid, pod.name, pod.namespace, pod.service_account, lab.ns(key)) == ""
    node.snapshot()
    with server(lab, LOCAL_SERVER, 7000) as _, dial(lab, CLIENT, LOCAL_SERVER, 7000) as sock:
        sock.sendall(b"one")
        assert sockets.receive_exactly(sock, 3) == b"one"
        node.connection.close()
        node.meet()
        sock.sendall(b"two")
        assert sockets.receive_exactly(sock, 3) == b"two"
        # Del means now: nobody is left to talk to.
        assert node.connection.call(zds.keep(lab.pod(LOCAL_SERVER).uid)) == ""
        node.snapshot()
        with pytest.raises((ConnectionError, EOFError)):
            sock.sendall(b"three")
            sockets.receive_exactly(sock, 5)


def test_pods_removed_while_ztunnel_drains(lab, node):
    """The agent's Del is not read any more; the pod's end must not hold up the process's, nor crash it."""
    with bare(lab, "a") as (gone,):
        assert node.add("gone", gone) == ""
        for key in (CLIENT, LOCAL_SERVER):
            pod = lab.pod(key)
            assert node.connection.add_pod(pod.uid, pod.name, pod.namespace, pod.service_account, lab.ns(key)) == ""
        node.snapshot()
        with server(lab, LOCAL_SERVER, 7000), dial(lab, CLIENT, LOCAL_SERVER, 7000) as sock:
            sock.sendall(b"one")
            assert sockets.receive_exactly(sock, 3) == b"one"
            node.daemon.signal(signal.SIGTERM)
            node.daemon.wait_for_log("drain started")
            with contextlib.suppress(OSError):
                node.connection.send(zds.delete("gone"))
            # A connection under way goes on while the process drains.
            sock.sendall(b"two")
            assert sockets.receive_exactly(sock, 3) == b"two"
    assert node.daemon.wait(15) == 0
    assert not node.daemon.reports()


def test_a_hundred_pods_leave_nothing_behind(lab, node):
    names = [f"n{i}" for i in range(100)]
    with bare(lab, *names) as pods:
        node.snapshot()
        before = node.daemon.descriptors()
        for i, namespace in enumerate(pods):
            assert node.add(f"u{i}", namespace) == ""
        assert node.daemon.metric("workload_manager_active_proxy_count") == 100
        assert node.daemon.descriptors() > before + 300
        for i in range(100):
            assert node.connection.call(zds.delete(f"u{i}")) == ""
        wait_until(lambda: node.daemon.descriptors() <= before + 2, 10,
                   lambda: f"{node.daemon.descriptors()} descriptors, {before} before")
        assert node.daemon.metric("workload_manager_active_proxy_count") == 0
        assert not any(listening(namespace) for namespace in pods)
        assert len(re.findall("panic|escaped", node.daemon.log())) == 0
