"""The mesh that one program under test runs in: two nodes, a ztunnel on each, load on the first, servers on the second."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import time

from tests.lab import fortio, sockets
from tests.lab.cluster import Cluster
from tests.lab.lab import Daemon, Lab
from tests.lab.process import Process, wait_until
from tests.lab.zds import Agent

HTTP_PORT, ECHO_PORT, BULK_PORT = 8080, 8078, 5201
CLIENT, SERVER = "bench/client", "bench/server"
PAIRS = 8  # further pods on each side, each with an identity of its own: 8 x 8 tunnels
CLIENTS, SERVERS = [f"bench/client-{i}" for i in range(PAIRS)], [f"bench/server-{i}" for i in range(PAIRS)]


@dataclasses.dataclass
class Target:
    """What a row is measured on; no program: the applications talk to each other without any proxy."""

    name: str
    program: str | None
    env: dict[str, str] = dataclasses.field(default_factory=dict)


def _cluster(in_mesh: bool) -> Cluster:
    labels = {"istio.io/dataplane-mode": "ambient"} if in_mesh else {}
    nodes = {"node1": [CLIENT, *CLIENTS], "node2": [SERVER, *SERVERS]}
    pods = [{"name": key.split("/")[1], "namespace": "bench", "node": node, "labels": {"app": key.split("/")[1]}}
            for node, keys in nodes.items() for key in keys]
    return Cluster({
        "nodes": list(nodes), "namespaces": {"bench": {"labels": labels}}, "pods": pods,
        "services": [{"name": "server", "namespace": "bench", "selector": {"app": "server"},
                      "ports": [{"port": HTTP_PORT}, {"port": ECHO_PORT}, {"port": BULK_PORT}]}],
    })


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, those that ended too, in nanoseconds' precision: the process's CPU clock
    (what clock_getcpuclockid(3) returns); /proc/PID/stat counts in steps of 10 ms. It includes what the kernel does for the
    network on the process's time, also on behalf of the other end of a veth."""
    return time.clock_gettime(~pid << 3 | 2)


def rss_bytes(pid: int) -> int:
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE).group(1)) * 1024


class Mesh:
    """A lab for one target. Close it by leaving the `with`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.lab = Lab(_cluster(target.program is not None), {
            "FAKE_CA": "true",  # for programs that have no LOCAL_CA_DIR
            "ZTUNNEL_WORKER_THREADS": "2", **target.env})
        self.daemons: list[Daemon] = []
        self._bulk_server: Process | None = None

    def __enter__(self) -> "Mesh":
        self.lab.__enter__()
        try:
            for pod in self.lab.cluster.pods.values():
                # Thousands of short connections to one address must not run out of ports.
                self.lab.exec(pod.key, ["sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1"])
            for pod in (SERVER, *SERVERS):
                fortio.serve(self.lab, pod, HTTP_PORT, ECHO_PORT)
            self.serve_bulk()
        except BaseException:
            self.lab.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.lab.__exit__(*error)

    def ip(self, pod: str) -> str:
        return self.lab.pod(pod).ip

    def url(self, path: str = "/") -> str:
        return f"http://{self.ip(SERVER)}:{HTTP_PORT}{path}"

    def serve_bulk(self) -> None:
        """(Re)starts iperf3's server: it serves one test at a time, and one that broke can leave it busy."""
        if self._bulk_server is not None:
            self._bulk_server.kill()
        namespace = self.lab.ns(SERVER)
        self._bulk_server = self.lab.start(namespace, ["iperf3", "-s", "-p", str(BULK_PORT), "--forceflush"],
                                         f"iperf3-{len(self.lab.processes)}")
        self._bulk_server.wait_for_log("Server listening")

    # ---- the program under test

    def start(self, all_pods: bool = False, env: dict[str, str] | None = None) -> None:
        """New processes on both nodes that know of client and server, or of all pods; returns once both are ready."""
        self.stop()
        if self.target.program is None:
            return
        for node in self.lab.cluster.nodes:
            self.daemons.append(self.start_one(node, all_pods, env))
        self.warm_path()

    def start_one(self, node: str, all_pods: bool = False, env: dict[str, str] | None = None, wait: bool = True) -> Daemon:
        pods = {pod.uid: (pod.name, pod.namespace, pod.service_account, self.lab.ns(pod.key))
                for pod in self.lab.cluster.pods.values()
                if pod.node == node and (all_pods or pod.key in (CLIENT, SERVER))}
        if node not in self.lab.agents:
            self.lab.agents[node] = Agent(self.lab.folder / f"{node}.sock")
        self.lab.agents[node].pods = pods
        return self.lab.start_ztunnel(node, env, wait=wait, program=self.target.program)

    def stop(self) -> None:
        for daemon in self.daemons:
            daemon.kill()  # without grace: its connections are nobody's concern any more
        self.daemons = []

    def warm_path(self) -> None:
        """Until a connection gets through: certificates are there, the tunnel is up."""
        def answers() -> bool:
            try:
                return sockets.http_get(self.lab.ns(CLIENT), (self.ip(SERVER), HTTP_PORT), "/", timeout=2)[0] == 200
            except OSError:
                return False
        wait_until(answers, 20, lambda: f"an answer through {self.target.name}:\n{self.daemons[0].log()[-2000:]}")

    # ---- its cost

    def cpu(self) -> float:
        """Seconds, both processes."""
        return sum(cpu_seconds(daemon.pid) for daemon in self.daemons)

    def rss(self) -> float:
        """Bytes, mean of both processes, once it has stopped changing."""
        return sum(settled_rss(daemon.pid) for daemon in self.daemons) / max(len(self.daemons), 1)


def settled_rss(pid: int, still_for: float = 1.5, at_most: float = 20.0) -> float:
    """When neither memory (by 1 %) nor much CPU time has moved for so long."""
    end, mark, since = time.monotonic() + at_most, (rss_bytes(pid), cpu_seconds(pid)), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < still_for:
        time.sleep(0.1)
        now = rss_bytes(pid), cpu_seconds(pid)
        if abs(now[0] - mark[0]) > mark[0] / 100 or now[1] - mark[1] > 0.1:
            mark, since = now, time.monotonic()
    return rss_bytes(pid)
