"""python3 -m tests.lab up CLUSTER.yaml   bring a mesh up and keep it until ^C
   python3 -m tests.lab sweep             remove what a killed lab left behind"""

import signal
import sys

from tests.lab.cluster import Cluster
from tests.lab.lab import Lab
from tests.lab.netns import sweep


def up(path: str) -> None:
    with Lab(Cluster.load(path)) as lab:
        lab.start_ztunnels()
        print(f"lab {lab.id}, logs in {lab.folder}; enter a pod with: ip netns exec NAMESPACE bash")
        for pod in lab.cluster.pods.values():
            print(f"  {pod.key:24} {pod.ip:14} {lab.ns(pod.key):28} {'in the mesh' if pod.enrolled else ''}")
        for service in lab.cluster.services.values():
            print(f"  service {service.hostname:40} {service.vip}")
        signal.pause()


def main() -> int:
    match sys.argv[1:]:
        case ["up", path]:
            up(path)
        case ["sweep"]:
            print("\n".join(sweep()) or "nothing left behind")
        case _:
            print(__doc__)
            return 2
    return 0


sys.exit(main())
