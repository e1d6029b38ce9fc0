"""Scenarios of traffic: what a request, a byte, a connection and a tunnel cost, and how long they take."""

from __future__ import annotations

import contextlib
import time

from tests.bench.measure import Options, beside_bulk, bulk, per, requests
from tests.bench.mesh import CLIENTS, ECHO_PORT, SERVERS, Mesh
from tests.bench.scenario import Metric, Scenario
from tests.lab import sockets
from tests.lab.process import wait_until

Values = dict[str, float | None]

PER_CPU = Metric("per_cpu", "requests per CPU-second", higher_is_better=True)
QPS = Metric("qps", "requests per second", higher_is_better=True)
P50, P99 = Metric("p50", "p50 µs"), Metric("p99", "p99 µs")
KIB_BOTH_WAYS = ("-payload-size", "1024")  # POST; the server echoes it
NEW_CONNECTIONS = ("-keepalive=false", "-qps", "0")
TUNNEL_IDLE = "1s"  # new_tunnels: how long an unused tunnel stays


def _round_trips(connections: int):
    def run(mesh: Mesh, options: Options) -> Values:
        load = requests(mesh, mesh.url(), options.seconds, connections, "-qps", "0", *KIB_BOTH_WAYS)
        return load.metrics("per_cpu", "qps", "p50", "p99")
    return run


def _fixed_rate(mesh: Mesh, options: Options) -> Values:
    load = requests(mesh, mesh.url(), options.seconds, 16, "-qps", "1000", "-uniform", "-nocatchup", *KIB_BOTH_WAYS)
    return load.metrics("per_cpu", "p50", "p99")


def _bulk(streams: int):
    def run(mesh: Mesh, options: Options) -> Values:
        return bulk(mesh, streams, options.seconds).metrics()
    return run


def _new_connections(mesh: Mesh, options: Options) -> Values:
    return requests(mesh, mesh.url("/?size=32"), options.seconds, 8, *NEW_CONNECTIONS).metrics("per_cpu", "qps", "p50", "p99")


def _fresh_fetch(mesh: Mesh, options: Options) -> Values:
    return requests(mesh, mesh.url("/?size=65536"), options.seconds, 8, *NEW_CONNECTIONS).metrics("cpu_us", "qps", "p50", "p99")


def _rpc_beside_bulk(mesh: Mesh, options: Options) -> Values:
    with beside_bulk(mesh, options.seconds + 2) as background:
        time.sleep(1)  # past its slow start
        load = requests(mesh, mesh.url(), options.seconds, 1, "-qps", "500", "-nocatchup", *KIB_BOTH_WAYS)
        carried = background.result()
    return {**load.metrics("p50", "p99"), "gbps": carried.metrics()["gbps"]}


def _wave(mesh: Mesh) -> None:
    """One connection from each client pod to each server pod: a byte there and back."""
    with contextlib.ExitStack() as opened:
        socks = [opened.enter_context(sockets.connect(mesh.lab.ns(client), (mesh.ip(server), ECHO_PORT)))
                 for client in CLIENTS for server in SERVERS]
        for sock in socks:
            sock.sendall(b"x")
        for sock in socks:
            sockets.receive_exactly(sock, 1)


def _tunnels(mesh: Mesh) -> int:
    """TCP connections to the tunnel port that the client pods hold."""
    total = 0
    for client in CLIENTS:
        listed = mesh.lab.exec(client, ["ss", "-Htn", "state", "established", "dport", "=", ":15008"]).stdout
        total += len(listed.splitlines())
    return total


def _new_tunnels(mesh: Mesh, options: Options) -> Values:
    """Every connection of a wave needs a tunnel of its own: its pair of identities has none. A wave's cost is all that
    both processes spend until its tunnels are gone again: handshakes, one connection each, the idle time's end."""
    mesh.start(all_pods=True, env={"POOL_UNUSED_RELEASE_TIMEOUT": TUNNEL_IDLE})
    _wave(mesh)  # certificates are made
    count, spent, took = 0, 0.0, 0.0
    for _ in range(options.waves):
        wait_until(lambda: _tunnels(mesh) == 0, 30, lambda: f"the end of {_tunnels(mesh)} unused tunnels of {mesh.target.name}")
        before, started = mesh.cpu(), time.monotonic()
        _wave(mesh)
        took += time.monotonic() - started
        opened = _tunnels(mesh)
        if opened < len(CLIENTS) * len(SERVERS):
            raise RuntimeError(f"{mesh.target.name}: only {opened} tunnels")
        wait_until(lambda: _tunnels(mesh) == 0, 30, "the end of the tunnels")
        count, spent = count + opened, spent + mesh.cpu() - before
    mesh.start()
    return {"per_cpu": per(count, spent), "ms": took * 1000 / count}


SCENARIOS = [
    *(Scenario(f"rr{c}", f"Request/response, 1 KiB both ways, {c} connection{'s' * (c > 1)}, as fast as possible",
               _round_trips(c), [PER_CPU, QPS, P50, P99], short=True) for c in (1, 32, 128)),
    Scenario("rate", "Request/response, 1 KiB both ways, 1,000 a second on 16 connections", _fixed_rate, [PER_CPU, P50, P99],
             short=True),
    *(Scenario(f"bulk{n}", f"Bulk, {n} stream{'s' * (n > 1)}", _bulk(n),
               [Metric("gb_per_cpu", "GB per CPU-second", higher_is_better=True), Metric("gbps", "Gb/s", higher_is_better=True)],
               short=True) for n in (1, 4)),
    Scenario("connect", "New connections over a warm tunnel, 32 bytes each, 8 at a time", _new_connections,
             [Metric("per_cpu", "connections per CPU-second", higher_is_better=True),
              Metric("qps", "connections per second", higher_is_better=True), P50, P99], short=True),
    Scenario("fetch", "A fresh connection that fetches 64 KiB, 8 at a time", _fresh_fetch,
             [Metric("cpu_us", "CPU µs per fetch"), Metric("qps", "fetches per second", higher_is_better=True), P50, P99], short=True),
    Scenario("beside", "RPC, 500 a second, beside a bulk stream in the same tunnel", _rpc_beside_bulk,
             [P50, P99, Metric("gbps", "Gb/s of the bulk", higher_is_better=True)], short=True),
    Scenario("tunnels", "New tunnels: 64 pairs of identities, one connection each", _new_tunnels,
             [Metric("per_cpu", "tunnels per CPU-second", higher_is_better=True), Metric("ms", "ms each, all begun at once")],
             needs_proxy=True),
]
