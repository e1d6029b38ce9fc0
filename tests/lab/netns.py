"""Network namespaces, links and routes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

from tests.lab.cluster import Cluster, Node, Pod

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv: str, stdin: str | None = None) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread works inside `namespace`; sockets made meanwhile belong to it for ever."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    target = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(target)
        yield
    finally:
        _setns(home)
        os.close(home)
        os.close(target)


def entering(namespace: str):
    """For subprocess's preexec_fn: the child runs in `namespace`."""
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)

    def enter() -> None:
        _setns(fd)

    return fd, enter


def allow_cubic() -> None:
    """Namespaces may only use what the host allows; results with its bbr would say nothing."""
    path = pathlib.Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    allowed = path.read_text().split()
    if "cubic" not in allowed:
        path.write_text(" ".join([*allowed, "cubic"]))


SYSCTLS = {
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}


class Network:
    """All namespaces of one lab; their names carry its id, so that labs can run side by side."""

    def __init__(self, lab_id: str, cluster: Cluster) -> None:
        self.id = lab_id
        self.cluster = cluster
        self.created: list[str] = []

    def node_ns(self, node: str) -> str:
        return f"cv{self.id}-{node}"

    def ztunnel_ns(self, node: str, slot: int = 0) -> str:
        """Where a ztunnel runs: a pod network of its own. While one is replaced there are two on a node."""
        name = f"cv{self.id}-zt-{node}" + (f"-{slot}" if slot else "")
        if name not in self.created:
            address = self.cluster.nodes[node].ztunnel_ip(slot)
            self._attach(self.cluster.nodes[node], self._make(name), address)
        return name

    def pod_ns(self, pod: Pod) -> str:
        return f"cv{self.id}-{pod.namespace}-{pod.name}"

    def up(self) -> None:
        allow_cubic()
        for node in self.cluster.nodes.values():
            namespace = self._make(self.node_ns(node.name))
            run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            run("ip", "-n", namespace, "addr", "add", f"{node.gateway}/32", "dev", "lo")
        self._join_nodes()
        for node in self.cluster.nodes:
            self.ztunnel_ns(node)
        for pod in self.cluster.pods.values():
            self.add_pod(pod)

    def add_pod(self, pod: Pod) -> None:
        self._attach(self.cluster.nodes[pod.node], self._make(self.pod_ns(pod)), pod.ip)
        self._write_hosts(self.pod_ns(pod))

    def remove_pod(self, pod: Pod) -> None:
        self._delete(self.pod_ns(pod))

    def down(self) -> None:
        for namespace in reversed(self.created[:]):
            self._delete(namespace)

    def _make(self, name: str) -> str:
        run("ip", "netns", "add", name)
        self.created.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "netns", "exec", name, "sysctl", "-qw", *[f"{k}={v}" for k, v in SYSCTLS.items()])
        return name

    def _delete(self, name: str) -> None:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        if name in self.created:
            self.created.remove(name)

    def _join_nodes(self) -> None:
        """Every pair of nodes has its own link, so a capture on one sees all that passes between the two."""
        nodes = list(self.cluster.nodes.values())
        for i, a in enumerate(nodes):
            for b in nodes[i + 1:]:
                near, far = f"to-{b.name}", f"to-{a.name}"
                run("ip", "link", "add", near, "netns", self.node_ns(a.name), "type", "veth", "peer", "name", far,
                    "netns", self.node_ns(b.name))
                for node, peer, device in ((a, b, near), (b, a, far)):
                    namespace = self.node_ns(node.name)
                    run("ip", "-n", namespace, "addr", "add", f"{node.ip}/32", "peer", f"{peer.ip}/32", "dev", device)
                    run("ip", "-n", namespace, "link", "set", device, "up")
                    run("ip", "-n", namespace, "route", "add", peer.pod_cidr, "via", peer.ip, "dev", device, "onlink")

    def _attach(self, node: Node, namespace: str, ip: str) -> None:
        """A pod's eth0, routed through its node (no bridge: pods of one node are not neighbours)."""
        device = "p" + ip.rsplit(".", 1)[1]
        node_ns = self.node_ns(node.name)
        run("ip", "link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", device, "netns", node_ns)
        run("ip", "-n", namespace, "addr", "add", f"{ip}/32", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", node_ns, "link", "set", device, "up")
        run("ip", "-n", node_ns, "route", "add", f"{ip}/32", "dev", device)
        run("ip", "-n", namespace, "route", "add", f"{node.gateway}/32", "dev", "eth0", "scope", "link")
        run("ip", "-n", namespace, "route", "add", "default", "via", node.gateway, "dev", "eth0")

    def _write_hosts(self, namespace: str) -> None:
        """Service names, for programs run with `ip netns exec`: there is no DNS server in a lab."""
        lines = ["127.0.0.1 localhost"]
        for service in self.cluster.services.values():
            lines.append(f"{service.vip} {service.name}.{service.namespace} {service.hostname}")
        folder = pathlib.Path(f"/etc/netns/{namespace}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text("\n".join(lines) + "\n")


def sweep() -> list[str]:
    """Removes namespaces that a lab left behind (killed -9, say)."""
    found = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith("cv")]
    for name in found:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
    return found
