"""fortio's view of three ways to the same application."""

from __future__ import annotations

from tests.demo.report import Report
from tests.demo.scene import CLIENT, LEGACY, LOAD_PORT, OUTSIDER, SERVER_V2, Scene
from tests.lab import fortio

SECONDS, CONNECTIONS = 5, 8


def table(scene: Scene, report: Report) -> None:
    report.step(7, f"Numbers: fortio, {CONNECTIONS} connections, {SECONDS} s each, client and server on two nodes of this machine")
    ways = {
        "direct": (OUTSIDER, f"http://{scene.ip(LEGACY)}:{LOAD_PORT}/"),
        "through the ztunnels": (CLIENT, f"http://{scene.ip(SERVER_V2)}:{LOAD_PORT}/"),
        "ztunnels and waypoint": (CLIENT, f"http://{scene.vip('demo/shop')}:80/load"),
    }
    rows = [["", "qps", "p50 ms", "p99 ms", "proxies' CPU s / 1,000 requests"]]
    for name, (pod, url) in ways.items():
        before = sum(daemon.cpu_seconds() for daemon in scene.proxies().values())
        result = fortio.load(scene.lab, pod, url, SECONDS, CONNECTIONS, "-qps", "0")
        cpu = sum(daemon.cpu_seconds() for daemon in scene.proxies().values()) - before
        report.claim(result.failed == 0 and result.requests > 0, f"{name}: {result.requests} requests, {result.failed} failed")
        rows.append([name, f"{result.qps:,.0f}", f"{result.p50_ms:.2f}", f"{result.p99_ms:.2f}",
                     f"{cpu * 1000 / max(result.requests, 1):.3f}"])
    report.table(rows)
    memory = [["", "memory MB"]] + [[name, f"{daemon.rss_bytes() / 1e6:.1f}"] for name, daemon in scene.proxies().items()]
    report.table(memory)
