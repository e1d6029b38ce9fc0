"""The facade: a whole mesh on one machine."""

from __future__ import annotations

import atexit
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any

from tests.lab import local_config, netns, rules, sockets
from tests.lab.capture import Capture
from tests.lab.cluster import CLUSTER_DOMAIN, Cluster, Pod
from tests.lab.process import Process, wait_until
from tests.lab.zds import Agent

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def binary(name: str) -> str:
    """CULVERT_ZTUNNEL or CULVERT_WAYPOINT (any program that honours the reference's environment), else the build's."""
    given = os.environ.get(f"CULVERT_{name.upper()}")
    if given:
        return given
    folders = [os.environ["CULVERT_BIN"]] if "CULVERT_BIN" in os.environ else [
        str(ROOT / "build" / preset / "bin") for preset in ("release", "asan", "dev")]
    for folder in folders:
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    raise FileNotFoundError(f"no {name} in {', '.join(folders)}: build it, or set CULVERT_{name.upper()}")


class Daemon(Process):
    """A ztunnel or waypoint, with its HTTP ports."""

    def __init__(self, lab: "Lab", namespace: str, argv: list[str], name: str, env: dict[str, str]) -> None:
        self.namespace, self.name = namespace, name
        super().__init__(namespace, argv, lab.folder / f"{name}.log", {**lab.base_env(), **env}, str(lab.folder))

    def get(self, port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        return sockets.http_get(self.namespace, ("127.0.0.1", port), path, method=method)

    def is_ready(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended:\n{self.log()[-3000:]}")
        try:
            return self.get(15021, "/healthz/ready")[0] == 200
        except OSError:
            return False

    def wait_ready(self, timeout: float = 20.0) -> None:
        wait_until(self.is_ready, timeout, lambda: f"{self.name} ready:\n{self.log()[-3000:]}")

    def metrics(self) -> dict[str, float]:
        """Each sample by its name with labels, as printed."""
        text = self.get(15020, "/metrics")[2].decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series of `name` that carry these label values."""
        total = 0.0
        for series, value in self.metrics().items():
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += value
        return total

    def access_log(self, pattern: str = "") -> list[str]:
        return [line for line in self.lines() if "\taccess\t" in line and re.search(pattern, line)]


class Lab:
    def __init__(self, cluster: Cluster, env: dict[str, str] | None = None, dns_capture: bool = False) -> None:
        self.cluster = cluster
        self.env = env or {}
        self.dns_capture = dns_capture
        self.id = secrets.token_hex(2)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"culvert-lab-{self.id}-"))
        self.mesh_file = self.folder / "mesh.yaml"
        self.network = netns.Network(self.id, cluster)
        self.agents: dict[str, Agent] = {}
        self.processes: list[Process] = []
        self.ztunnels: dict[str, Daemon] = {}
        self._generation = 0
        self._lock = threading.Lock()
        self._closed = False
        self.expect_reports = False  # set by tests that kill processes on purpose

    # ---- life

    def __enter__(self) -> "Lab":
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, lambda signum, frame: sys.exit(128 + signum))
        try:
            self.network.up()
            for node in self.cluster.nodes:
                rules.load_service_rules(self.network.node_ns(node), self.cluster)
            for pod in self.cluster.pods.values():
                if pod.enrolled:
                    rules.redirect_pod(self.network.pod_ns(pod), self.dns_capture)
            self.write_mesh()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        reports = [f"{p.argv[0]}: {line}" for p in self._stop_all() for line in p.reports()]
        keep = bool(reports)
        self.close(keep_logs=keep)
        if reports and kind is None:
            raise AssertionError(f"reports of the programs themselves (logs in {self.folder}):\n" + "\n".join(reports))

    def _stop_all(self) -> list[Process]:
        for process in self.processes:
            process.signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.stop()
            except TimeoutError as error:
                print(error, file=sys.stderr)
        return self.processes

    def close(self, keep_logs: bool = False) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stop_all()
        for agent in self.agents.values():
            agent.close()
        self.network.down()
        if not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    # ---- the mesh

    def base_env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME") or k.endswith("SAN_OPTIONS")}
        return {**kept, "LOCAL_CA_DIR": str(self.folder / "ca"), "ISTIO_META_DNS_CAPTURE": str(self.dns_capture).lower(),
                "RUST_LOG": "info", **self.env}

    def write_mesh(self) -> None:
        local_config.write(self.cluster, self.mesh_file)

    def set_policies(self, policies: list[Any]) -> None:
        """Replaces all policies and waits until every ztunnel has taken them."""
        self.cluster.policies = policies
        self.update_mesh()

    def update_mesh(self) -> None:
        """Writes the mesh's state as it is now and waits until every running ztunnel has taken it."""
        before = {name: self._loads(daemon) for name, daemon in self.ztunnels.items()}
        was = self.mesh_file.read_text()
        self.write_mesh()
        if self.mesh_file.read_text() == was:
            return  # ztunnel does not take what it already has
        for name, daemon in self.ztunnels.items():
            wait_until(lambda n=name, d=daemon: not d.running or self._loads(d) > before[n], 10,
                       f"{name} reloading the mesh")

    @staticmethod
    def _loads(daemon: Daemon) -> int:
        return daemon.log().count("local config initialized")

    def pod(self, key: str) -> Pod:
        return self.cluster.pods[key]

    def ns(self, key: str) -> str:
        """The namespace of a pod ("demo/client")."""
        return self.network.pod_ns(self.cluster.pods[key])

    def add_pod(self, name: str, namespace: str, node: str, service_account: str, labels: dict[str, str]) -> Pod:
        """A pod that comes later: network, redirection, the mesh's state, and the agent tells ztunnel."""
        pod = self.cluster.add_pod(name, namespace, node, service_account, labels)
        self.network.add_pod(pod)
        self.update_mesh()
        if pod.enrolled:
            rules.redirect_pod(self.network.pod_ns(pod), self.dns_capture)
            error = self.agents[node].add_pod(pod.uid, pod.name, pod.namespace, pod.service_account,
                                              self.network.pod_ns(pod))
            if error:
                raise RuntimeError(f"ztunnel refused {pod.key}: {error}")
        return pod

    def remove_pod(self, key: str) -> None:
        pod = self.cluster.pods.pop(key)
        if pod.enrolled:
            self.agents[pod.node].remove_pod(pod.uid)
        self.update_mesh()
        self.network.remove_pod(pod)

    # ---- processes

    def start(self, namespace: str, argv: list[str], name: str, env: dict[str, str] | None = None) -> Process:
        process = Process(namespace, argv, self.folder / f"{name}.log", {**self.base_env(), **(env or {})})
        self.processes.append(process)
        return process

    def exec(self, pod: str, argv: list[str], timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs a command in a pod, with the lab's service names, to its end."""
        return subprocess.run(["ip", "netns", "exec", self.ns(pod), *argv], capture_output=True, text=True,
                              timeout=timeout, check=False)

    def start_ztunnel(self, node: str, env: dict[str, str] | None = None, wait: bool = True,
                      program: str | None = None) -> Daemon:
        """`program`: another one that honours the reference's environment, local mesh file and ZDS."""
        agent = self.agents.get(node)
        if agent is None:
            agent = self.agents[node] = Agent(self.folder / f"{node}.sock")
            for pod in self.cluster.pods.values():
                if pod.enrolled and pod.node == node:
                    agent.pods[pod.uid] = (pod.name, pod.namespace, pod.service_account, self.network.pod_ns(pod))
        connected = len(agent.connections)
        self._generation += 1
        running = {process.namespace for process in self.processes if isinstance(process, Daemon) and process.running}
        namespace = next(name for slot in range(8) if (name := self.network.ztunnel_ns(node, slot)) not in running)
        daemon = Daemon(self, namespace, [program or binary("ztunnel"), "proxy", "ztunnel"], f"ztunnel-{node}-{self._generation}", {
            "PROXY_MODE": "shared", "NODE_NAME": node, "INPOD_UDS": str(agent.path), "XDS_ADDRESS": "",
            "LOCAL_XDS_PATH": str(self.mesh_file), "ZTUNNEL_WORKER_THREADS": "2", **(env or {})})
        self.processes.append(daemon)
        self.ztunnels[node] = daemon
        if wait:
            agent.wait_for_connections(connected + 1)
            daemon.wait_ready()
        return daemon

    def start_ztunnels(self, env: dict[str, str] | None = None) -> None:
        for node in self.cluster.nodes:
            self.start_ztunnel(node, env)

    def start_waypoint(self, pod_key: str, config: str, env: dict[str, str] | None = None) -> Daemon:
        pod = self.cluster.pods[pod_key]
        path = self.folder / f"{pod.name}.yaml"
        path.write_text(config)
        daemon = Daemon(self, self.network.pod_ns(pod), [binary("waypoint"), "proxy", "waypoint"], pod.name, {
            "WAYPOINT_CONFIG": str(path), "POD_NAME": pod.name, "POD_NAMESPACE": pod.namespace,
            "SERVICE_ACCOUNT": pod.service_account, "INSTANCE_IP": pod.ip, "TRUST_DOMAIN": CLUSTER_DOMAIN,
            **(env or {})})
        self.processes.append(daemon)
        daemon.wait_ready()
        return daemon

    def capture(self, node: str, peer: str) -> Capture:
        """The link between two nodes, seen from the first."""
        return Capture(self.network.node_ns(node), f"to-{peer}", self.folder)
