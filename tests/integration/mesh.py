"""A lab with both ztunnels up, and shorthands for what the tests do again and again."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from tests.lab import sockets
from tests.lab.cluster import Cluster
from tests.lab.lab import Daemon, Lab
from tests.lab.process import wait_until

DEMO = pathlib.Path(__file__).resolve().parent.parent / "lab" / "clusters" / "demo.yaml"
CLIENT, LOCAL_SERVER, REMOTE_SERVER = "demo/client", "demo/server-v1", "demo/server-v2"
SANITIZED = any(name in os.environ.get("CULVERT_BIN", "") for name in ("asan", "tsan"))
LEGACY, OUTSIDER = "plain/legacy", "plain/outsider"


@contextlib.contextmanager
def running_mesh(env: dict[str, str] | None = None) -> Iterator[Lab]:
    with Lab(Cluster.load(DEMO), env) as lab:
        lab.start_ztunnels()
        yield lab


def server(lab: Lab, pod: str, port: int, handle=sockets.echo) -> sockets.Server:
    return sockets.Server(lab.ns(pod), (lab.pod(pod).ip, port), handle)


def dial(lab: Lab, source: str, destination: str, port: int, timeout: float = 10.0):
    return sockets.connect(lab.ns(source), (lab.pod(destination).ip, port), timeout)


def wait_for_access(daemon: Daemon, pattern: str, count: int = 1) -> list[str]:
    """The access log lines that match, once there are `count`: a line is written after the connection's end."""
    return wait_until(lambda: (lines := daemon.access_log(pattern)) and len(lines) >= count and lines, 10,
                      lambda: f"{count} access log lines /{pattern}/ of {daemon.name}:\n{daemon.log()[-3000:]}")


def fields(line: str) -> dict[str, str]:
    """The key=value part of a log line."""
    found = {}
    for item in line.split("\t")[4].split(" "):
        key, _, value = item.partition("=")
        if value:
            found[key] = value.strip('"')
    return found
