"""Scenarios of memory and start. Memory is the resident set (smaps_rollup) of one process; of both their mean."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import resource
import time

from tests.bench.measure import Options, bulk
from tests.bench.mesh import CLIENT, ECHO_PORT, SERVER, Mesh, cpu_seconds, settled_rss
from tests.bench.scenario import Metric, Scenario
from tests.lab import sockets
from tests.lab.big_mesh import write_big_mesh

Values = dict[str, float | None]
READY_WITHIN = 120.0


def _idle(mesh: Mesh, options: Options) -> Values:
    mesh.start()
    baseline = mesh.rss()
    with contextlib.ExitStack() as opened:
        for _ in range(options.connections):
            sock = opened.enter_context(sockets.connect(mesh.lab.ns(CLIENT), (mesh.ip(SERVER), ECHO_PORT)))
            sock.sendall(b"x")
            sockets.receive_exactly(sock, 1)
        loaded = mesh.rss()
    return {"baseline": baseline / 1e6, "connection": (loaded - baseline) * 2 / options.connections / 1e3}


def _after_bulk(mesh: Mesh, options: Options) -> Values:
    mesh.start()
    before = mesh.rss()
    bulk(mesh, 4, size=options.bulk_bytes)
    return {"growth": (mesh.rss() - before) / 1e6}


@functools.cache
def _mesh_file(folder: pathlib.Path, count: int) -> pathlib.Path:
    path = folder / f"workloads-{count}.yaml"
    write_big_mesh(path, count)
    return path


def _many(mesh: Mesh, options: Options) -> Values:
    """One process, on a node of its own mesh, that reads the large file instead of the small one."""
    mesh.start()
    small = settled_rss(mesh.daemons[0].pid)
    mesh.stop()
    path = _mesh_file(mesh.lab.folder, options.workloads)
    started = time.monotonic()
    daemon = mesh.start_one("node1", env={"LOCAL_XDS_PATH": str(path)}, wait=False)
    while not daemon.is_ready():
        if time.monotonic() - started > READY_WITHIN:
            raise TimeoutError(f"{mesh.target.name} not ready within {READY_WITHIN} s:\n{daemon.log()[-2000:]}")
        time.sleep(0.002)
    ready = time.monotonic() - started
    settled = settled_rss(daemon.pid)
    loaded = cpu_seconds(daemon.pid)
    daemon.kill()
    mesh.start()
    return {"memory": (settled - small) / 1e6, "start": ready, "cpu": loaded}


def raise_limits() -> None:
    """Idle connections are descriptors of this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


SCENARIOS = [
    Scenario("idle", "Memory of a process at rest, and of idle connections", _idle,
             [Metric("baseline", "MB, one process"), Metric("connection", "kB per connection, both sides")], needs_proxy=True),
    Scenario("afterbulk", "Memory that bulk leaves behind: 4 streams of 1 GiB", _after_bulk,
             [Metric("growth", "MB, one process")], needs_proxy=True),
    Scenario("many", "Many workloads (100,000 unless told) in the mesh file of one process", _many,
             [Metric("memory", "MB more than with a handful"), Metric("start", "seconds from exec to ready"),
              Metric("cpu", "CPU-seconds until it rests")], needs_proxy=True),
]
