"""What every step of the demo stands on: the mesh, its applications, and requests to them."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import threading
from collections import Counter
from collections.abc import Iterator

from tests.lab import sockets, waypoint_config
from tests.lab.cluster import Cluster
from tests.lab.lab import Daemon, Lab
from tests.lab.process import wait_until

CLUSTER = pathlib.Path(__file__).resolve().parent.parent / "lab" / "clusters" / "demo.yaml"
CLIENT, INTRUDER, LEGACY, OUTSIDER = "demo/client", "demo/intruder", "plain/legacy", "plain/outsider"
SERVER_V1, SERVER_V2, WAYPOINT = "demo/server-v1", "demo/server-v2", "demo/waypoint"
APP_PORT, LOAD_PORT = 8080, 8081

TO_SERVER = [{"name": "server", "port": 80}]
ROUTES = [{
    "name": "shop",
    "parentRefs": [{"kind": "Service", "name": "shop"}],
    "rules": [
        {"name": "testers", "matches": [{"headers": [{"name": "x-tester", "value": "yes"}]}],
         "backendRefs": [{"name": "server-v2", "port": 80}]},
        {"name": "split", "matches": [{"path": {"type": "PathPrefix", "value": "/split"}}],
         "backendRefs": [{"name": "server-v1", "port": 80, "weight": 90},
                         {"name": "server-v2", "port": 80, "weight": 10}]},
        {"name": "retry", "matches": [{"path": {"type": "PathPrefix", "value": "/flaky"}}], "backendRefs": TO_SERVER,
         "retry": {"attempts": 3, "codes": [503], "backoff": "1ms"}},
        {"name": "load", "matches": [{"path": {"type": "PathPrefix", "value": "/load"}}],
         "backendRefs": [{"name": "server-v2", "port": 8081}]},
        {"name": "rest", "backendRefs": TO_SERVER},
    ],
}]
POLICIES = [{
    "name": "no-admin", "action": "DENY", "targetRefs": [{"kind": "Service", "name": "shop"}],
    "rules": [{"to": [{"operation": {"paths": ["/admin", "/admin/*"]}}]}],
}]


class App:
    """An HTTP application that says who it is. `/flaky…` fails if it is broken."""

    def __init__(self, lab: Lab, pod: str, port: int = APP_PORT) -> None:
        self.name, self.broken, self.failures = pod.split("/")[1], False, 0
        self._respond = sockets.http_responder(self.name, self._status)
        self.server = sockets.Server(lab.ns(pod), (lab.pod(pod).ip, port), self._respond)
        self._lock = threading.Lock()

    def _status(self, path: str) -> int:
        if not (self.broken and path.startswith("/flaky")):
            return 200
        with self._lock:
            self.failures += 1
        return 503


class Scene:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.apps = {pod: App(lab, pod) for pod in (SERVER_V1, SERVER_V2, LEGACY)}
        lab.start_ztunnels()
        config = waypoint_config.render(lab.cluster, lab.pod(WAYPOINT), httpRoutes=ROUTES, authorizationPolicies=POLICIES,
                                        options={"accessLog": {"format": "text"}})
        self.waypoint = lab.start_waypoint(WAYPOINT, config)

    def vip(self, service: str) -> str:
        return self.lab.cluster.services[service].vip

    def ip(self, pod: str) -> str:
        return self.lab.pod(pod).ip

    def get(self, source: str, address: str, port: int, path: str = "/", **headers: str) -> tuple[int, str, str]:
        """Status, who answered, and the body."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answer, body = sockets.http_get(self.lab.ns(source), (address, port), path, fields)
        return status, answer.get("x-server", ""), body.decode(errors="replace")

    def shop(self, path: str, count: int = 1, **headers: str) -> Counter[tuple[int, str]]:
        """So many requests to the shop from the client, on connections that are kept: how often which answer."""
        fields = {"Host": "shop.demo.svc.cluster.local",
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        seen: Counter[tuple[int, str]] = Counter()
        connection = http.client.HTTPConnection("shop", 80, timeout=10)
        connection.sock = sockets.connect(self.lab.ns(CLIENT), (self.vip("demo/shop"), 80))
        with contextlib.closing(connection):
            for _ in range(count):
                connection.request("GET", path, headers=fields)
                answer = connection.getresponse()
                answer.read()
                seen[answer.status, answer.getheader("x-server", "")] += 1
        return seen

    def proxies(self) -> dict[str, Daemon]:
        return {"ztunnel node1": self.lab.ztunnels["node1"], "ztunnel node2": self.lab.ztunnels["node2"],
                "waypoint": self.waypoint}


def access_line(daemon: Daemon, pattern: str) -> str:
    """The newest line of the access log that matches: it is written when the connection ends."""
    return wait_until(lambda: daemon.access_log(pattern), 10, f"an access log line /{pattern}/ of {daemon.name}")[-1]


@contextlib.contextmanager
def running() -> Iterator[Scene]:
    with Lab(Cluster.load(CLUSTER)) as lab:
        yield Scene(lab)
