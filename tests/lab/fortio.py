"""fortio, server and load, inside of a lab's pods."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import subprocess

from tests.lab.lab import ROOT, Lab
from tests.lab.process import Process, wait_until
from tests.lab.sockets import connect


@functools.cache
def binary() -> str:
    """FORTIO, else the one that scripts/setup installed."""
    given = os.environ.get("FORTIO")
    return given or subprocess.run([str(ROOT / "scripts" / "setup"), "--print-tool", "fortio"], capture_output=True, text=True,
                                   check=True).stdout.strip()


def _listening(namespace: str, address: tuple[str, int]) -> bool:
    try:
        connect(namespace, address, 1).close()
    except OSError:
        return False
    return True


def serve(lab: Lab, pod: str, port: int, tcp_port: int | None = None) -> Process:
    """An HTTP echo server on `port` of every address of the pod (and a plain one on `tcp_port`); returns once it listens."""
    process = lab.start(lab.ns(pod), [binary(), "server", "-http-port", str(port), "-grpc-port", "disabled", "-redirect-port",
                                      "disabled", "-tcp-port", str(tcp_port or "disabled"), "-udp-port", "disabled"],
                        f"fortio-{pod.replace('/', '-')}-{port}")
    wait_until(lambda: _listening(lab.ns(pod), ("127.0.0.1", port)), 10, lambda: f"fortio of {pod}:\n{process.log()[-2000:]}")
    return process


@dataclasses.dataclass
class Result:
    requests: int
    failed: int  # answers other than 200, and requests without one
    qps: float
    p50_ms: float
    p99_ms: float


class Load:
    """A run in the background; result() waits for its end."""

    def __init__(self, lab: Lab, pod: str, url: str, seconds: float, connections: int, *options: str) -> None:
        self._seconds = seconds
        self._path = lab.folder / f"load-{len(lab.processes)}.json"
        self._process = lab.start(lab.ns(pod), [
            binary(), "load", "-c", str(connections), "-t", f"{seconds}s", "-p", "50,99", "-r", "0.0001",
            "-allow-initial-errors", "-json", str(self._path), *options, url], self._path.stem)

    @property
    def running(self) -> bool:
        return self._process.running

    def result(self) -> Result:
        status = self._process.wait(self._seconds + 30)
        if status != 0:
            raise RuntimeError(f"fortio: status {status}:\n{self._process.log()[-2000:]}")
        return parse(self._path)


def parse(path: pathlib.Path) -> Result:
    report = json.loads(path.read_text())
    histogram = report["DurationHistogram"]
    percentiles = {entry["Percentile"]: entry["Value"] * 1000 for entry in histogram["Percentiles"]}
    good = report["RetCodes"].get("200", 0)
    total = sum(report["RetCodes"].values())
    return Result(total, total - good, report["ActualQPS"], percentiles[50], percentiles[99])


def load(lab: Lab, pod: str, url: str, seconds: float, connections: int, *options: str) -> Result:
    return Load(lab, pod, url, seconds, connections, *options).result()
