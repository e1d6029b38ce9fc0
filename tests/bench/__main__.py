"""Compares ztunnel programs on a mesh of network namespaces; see scripts/bench."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import sys
import time

from tests.bench import memory, output, traffic
from tests.bench.measure import Options
from tests.bench.mesh import Mesh, Target
from tests.bench.results import Results, to_json
from tests.bench.scenario import Scenario
from tests.lab.lab import binary

SCENARIOS = [*traffic.SCENARIOS, *memory.SCENARIOS]
QUICK = Options(seconds=1, connections=200, bulk_bytes=256 << 20, workloads=10_000, waves=1)


def parse(argv: list[str]) -> argparse.Namespace:
    names = ",".join(scenario.name for scenario in SCENARIOS)
    parser = argparse.ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("--binary", action="append", default=[], metavar="NAME=PATH",
                        help="a program to measure, repeatable; it honours the reference's environment, LOCAL_XDS_PATH and ZDS "
                             "(default: ours, as built)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME:KEY=VALUE", help="for that program only; repeatable")
    parser.add_argument("--base", metavar="NAME", help="what ratios are to (default: the first program)")
    parser.add_argument("--rounds", type=int, help="each measures all programs, in alternating order (default 5; quick: 1)")
    parser.add_argument("--duration", type=float, metavar="S", help="of each measurement, twice the half of it (default 6; quick: 1)")
    parser.add_argument("--workloads", type=int, metavar="N", help="in the large mesh file (default 100,000; quick: 10,000)")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {names}")
    parser.add_argument("--skip", metavar="NAME,...", default="", help="of the same")
    parser.add_argument("--no-direct", action="store_true", help="without the rows of no proxy at all")
    parser.add_argument("--quick", action="store_true", help="everything once and small: that it works")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all numbers of all rounds")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="an SVG chart of the ratios")
    return parser.parse_args(argv)


def targets(args: argparse.Namespace) -> list[Target]:
    programs = dict(item.split("=", 1) for item in args.binary) or {"ours": binary("ztunnel")}
    found = {name: Target(name, os.path.abspath(path)) for name, path in programs.items()}
    for target in found.values():
        if not os.access(target.program, os.X_OK):
            raise SystemExit(f"bench: {target.name}: no program {target.program}")
    for item in args.env:
        name, setting = item.split(":", 1)
        if name not in found:
            raise SystemExit(f"bench: --env {item}: no program of that name")
        key, value = setting.split("=", 1)
        found[name].env[key] = value
    return [*found.values(), *([] if args.no_direct else [Target("direct", None)])]


def chosen(args: argparse.Namespace) -> list[Scenario]:
    known = {scenario.name for scenario in SCENARIOS}
    only = set(args.only.split(",")) if args.only else known
    skipped = set(filter(None, args.skip.split(",")))
    if unknown := (only | skipped) - known:
        raise SystemExit(f"bench: no scenario {', '.join(sorted(unknown))}")
    return [scenario for scenario in SCENARIOS if scenario.name in only - skipped]


def measure(mesh: Mesh, scenario: Scenario, options: Options, results: Results) -> None:
    try:
        results.add(scenario.name, mesh.target.name, scenario.run(mesh, options))
    except Exception as error:  # the other numbers are worth having; the exit status tells
        results.failures.append(f"{scenario.name} of {mesh.target.name}, round {len(results.rounds)}: {error}")
        print(results.failures[-1], file=sys.stderr, flush=True)
        mesh.start()


def run_round(meshes: list[Mesh], scenarios: list[Scenario], options: Options, results: Results) -> None:
    """Scenario by scenario, so that what is compared is measured within seconds: A B B A, in the next round B A A B. What
    takes long: A B, in the next round B A."""
    order = meshes if len(results.rounds) % 2 == 0 else meshes[::-1]
    results.begin_round()
    for mesh in order:
        mesh.start()
    half = dataclasses.replace(options, seconds=options.seconds / 2)
    for scenario in scenarios:
        concerned = [mesh for mesh in order if mesh.target.program is not None or not scenario.needs_proxy]
        for mesh in [*concerned, *reversed(concerned)] if scenario.short else concerned:
            measure(mesh, scenario, half if scenario.short else options, results)


def document(results: Results, options: Options, rows: list) -> str:
    return json.dumps({
        "machine": {"kernel": platform.release(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "options": dataclasses.asdict(options), "summary": to_json(rows), "rounds": results.rounds,
        "failures": results.failures}, indent=1) + "\n"


def main() -> int:
    args = parse(sys.argv[1:])
    options = QUICK if args.quick else Options(seconds=6)
    if args.duration:
        options = dataclasses.replace(options, seconds=args.duration)
    if args.workloads:
        options = dataclasses.replace(options, workloads=args.workloads)
    rounds = args.rounds or (1 if args.quick else 5)
    everyone, scenarios, results = targets(args), chosen(args), Results()
    base = args.base or everyone[0].name
    memory.raise_limits()
    started = time.monotonic()

    def report() -> None:
        rows = results.rows(scenarios, [target.name for target in everyone], base)
        if args.json:
            args.json.write_text(document(results, options, rows))
        if args.plot:
            output.write_chart(args.plot, rows, base)

    try:
        with contextlib.ExitStack() as stack:
            meshes = [stack.enter_context(Mesh(target)) for target in everyone]
            for number in range(rounds):
                run_round(meshes, scenarios, options, results)
                print(f"bench: round {number + 1} of {rounds}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
                report()
    finally:  # also what an interrupted run has
        report()
        print(output.table(results.rows(scenarios, [target.name for target in everyone], base), base))
    for failure in results.failures:
        print(f"FAILED {failure}")
    return bool(results.failures)


sys.exit(main())
