"""What scenarios are made of: a run of fortio or iperf3 with the proxies' CPU time beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess

from tests.bench.mesh import BULK_PORT, CLIENT, SERVER, Mesh
from tests.lab import fortio

RESOLUTION = ("-r", "0.00001")  # fortio's buckets begin at this many seconds and widen by about 10 %


@dataclasses.dataclass
class Options:
    seconds: float  # of each measurement
    connections: int = 1000  # idle ones
    bulk_bytes: int = 4 << 30  # before memory is looked at again
    workloads: int = 100_000
    waves: int = 5  # of new tunnels


def per(amount: float, cost: float) -> float | None:
    """None where nothing was spent: there is no proxy."""
    return amount / cost if cost > 0 else None


@dataclasses.dataclass
class Requests:
    result: fortio.Result
    cpu: float

    def metrics(self, *names: str) -> dict[str, float | None]:
        values = {
            "qps": self.result.qps, "p50": self.result.p50_ms * 1000, "p99": self.result.p99_ms * 1000,
            "per_cpu": per(self.result.requests, self.cpu), "cpu_us": per(self.cpu * 1e6, self.result.requests) or None,
        }
        return {name: values[name] for name in names}


def requests(mesh: Mesh, url: str, seconds: float, connections: int, *options: str) -> Requests:
    before = mesh.cpu()
    result = fortio.load(mesh.lab, CLIENT, url, seconds, connections, *RESOLUTION, *options)
    cpu = mesh.cpu() - before
    if result.requests == 0 or result.failed > result.requests / 1000:
        raise RuntimeError(f"{mesh.target.name}: {result.failed} of {result.requests} requests failed")
    return Requests(result, cpu)


@dataclasses.dataclass
class Bulk:
    bytes: int  # that arrived
    seconds: float
    cpu: float

    def metrics(self) -> dict[str, float | None]:
        return {"gbps": self.bytes * 8 / self.seconds / 1e9, "gb_per_cpu": per(self.bytes / 1e9, self.cpu)}


class BulkRun:
    """iperf3 in the background, for `seconds` or until `size` bytes are sent, from the client pod to the server pod."""

    def __init__(self, mesh: Mesh, streams: int, seconds: float = 0, size: int = 0) -> None:
        self._mesh, self._before = mesh, mesh.cpu()
        self._limit = (seconds or size / 10e6) + 30
        amount = ["-n", str(size)] if size else ["-t", f"{max(round(seconds), 1)}"]
        self._path = mesh.lab.folder / f"iperf3-{len(mesh.lab.processes)}.json"
        self._process = mesh.lab.start(mesh.lab.ns(CLIENT), [
            "iperf3", "-c", mesh.ip(SERVER), "-p", str(BULK_PORT), "-P", str(streams), *amount, "-J",
            "--logfile", str(self._path)], self._path.stem)

    def result(self) -> Bulk:
        try:
            self._process.wait(self._limit)
            report = json.loads(self._path.read_text())
            if "error" in report:
                raise RuntimeError(f"{self._mesh.target.name}: iperf3: {report['error']}")
        except (RuntimeError, subprocess.TimeoutExpired, ValueError):
            self.stop()
            raise
        received = report["end"]["sum_received"]
        return Bulk(received["bytes"], received["seconds"], self._mesh.cpu() - self._before)

    def stop(self) -> None:
        self._process.kill()
        self._mesh.serve_bulk()


def bulk(mesh: Mesh, streams: int, seconds: float = 0, size: int = 0) -> Bulk:
    return BulkRun(mesh, streams, seconds, size).result()


@contextlib.contextmanager
def beside_bulk(mesh: Mesh, seconds: float):
    """One bulk stream runs meanwhile."""
    run = BulkRun(mesh, 1, seconds)
    try:
        yield run
    except BaseException:
        run.stop()
        raise
