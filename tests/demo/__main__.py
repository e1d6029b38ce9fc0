"""Shows a two-node mesh at work: python3 -m tests.demo (as root, after a build). Status 1 if a claim does not hold."""

import sys
import time

from tests.demo import numbers, steps
from tests.demo.report import Report
from tests.demo.scene import LEGACY, LOAD_PORT, SERVER_V2, running
from tests.lab import fortio


def main() -> int:
    report, started = Report(), time.monotonic()
    print("Two nodes as network namespaces, a ztunnel on each, a waypoint in namespace demo; no Kubernetes needed.")
    with running() as scene:
        for pod in (SERVER_V2, LEGACY):
            fortio.serve(scene.lab, pod, LOAD_PORT)
        for step in (steps.pods_talk, steps.identities, steps.outside, steps.l4_policy, steps.waypoint, steps.replacement,
                     numbers.table):
            step(scene, report)
    print(f"\n{time.monotonic() - started:.0f} s, everything is cleaned up.")
    if report.failed:
        print("These claims did not hold:\n" + "\n".join(f"  {text}" for text in report.failed))
    return bool(report.failed)


sys.exit(main())
