"""A local mesh file (LOCAL_XDS_PATH) of a big cluster, for measuring what the mesh's state costs.

    python3 -m tests.lab.big_mesh FILE --workloads 100000
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import pathlib
import random
from collections.abc import Iterator

CLUSTER_ID = "cluster1"
TRUST_DOMAIN = "cluster.local"
LOCALITIES = [("eu-west", "eu-west-1a", ""), ("eu-west", "eu-west-1b", ""), ("eu-west", "eu-west-1c", "")]
# What Kubernetes puts into the names of pods: no vowels, nothing that is easily confused.
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
PODS = int(ipaddress.IPv4Address("10.0.0.0"))
SERVICES = int(ipaddress.IPv4Address("172.20.0.0"))


def _name(number: int, length: int) -> str:
    """Looks random, and differs for all numbers below len(LETTERS) ** length."""
    number = number * 7_368_787 % len(LETTERS) ** length
    name = ""
    for _ in range(length):
        number, letter = divmod(number, len(LETTERS))
        name += LETTERS[letter]
    return name


def _workload(deployment: dict[str, str], pod: str, index: int, node: int, locality: tuple[str, str, str]) -> str:
    namespace = deployment["namespace"]
    region, zone, subzone = locality
    return (
        f"- uid: {CLUSTER_ID}//Pod/{namespace}/{pod}\n"
        f"  name: {pod}\n"
        f"  namespace: {namespace}\n"
        f"  trustDomain: {TRUST_DOMAIN}\n"
        f"  serviceAccount: {deployment['name']}\n"
        f"  workloadIps: [{ipaddress.IPv4Address(PODS + index)}]\n"
        f"  protocol: HBONE\n"
        f"  node: ip-10-{node // 250}-{node % 250}-17.{region}.compute.internal\n"
        f"  workloadName: {deployment['name']}\n"
        f"  workloadType: deployment\n"
        f"  canonicalName: {deployment['name']}\n"
        f"  canonicalRevision: v1\n"
        f"  clusterId: {CLUSTER_ID}\n"
        f"  locality: {{region: {region}, zone: {zone}, subzone: '{subzone}'}}\n"
        f"  services: {{{namespace}/{deployment['host']}: {{80: 8080}}}}\n"
    )


def lines(workloads: int, namespaces: int, deployments: int, nodes: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    all_deployments = []
    for i in range(deployments):
        namespace, name = f"team-{i % namespaces:03d}", f"shop-backend-{i:05d}"
        all_deployments.append({"namespace": namespace, "name": name, "hash": _name(rng.randrange(1 << 40), 10),
                                "host": f"{name}.{namespace}.svc.{TRUST_DOMAIN}"})
    yield "workloads:\n"
    for i in range(workloads):
        deployment = all_deployments[i % deployments]
        pod = f"{deployment['name']}-{deployment['hash']}-{_name(i, 5)}"
        node = rng.randrange(nodes)
        yield _workload(deployment, pod, i + 1, node, LOCALITIES[node % len(LOCALITIES)])
    yield "policies: []\nservices:\n"
    for i, deployment in enumerate(all_deployments):
        yield (
            f"- name: {deployment['name']}\n"
            f"  namespace: {deployment['namespace']}\n"
            f"  hostname: {deployment['host']}\n"
            f"  vips: [/{ipaddress.IPv4Address(SERVICES + i + 1)}]\n"
            f"  ports: {{80: 8080}}\n"
        )


def write_big_mesh(path: str | os.PathLike[str], workloads: int, *, namespaces: int = 200, deployments: int = 5000,
                   nodes: int = 500, seed: int = 1) -> None:
    """`workloads` pods of `deployments`, each with its service account and service, on `nodes`. The same arguments
    give the same file, which replaces another in one step."""
    target = pathlib.Path(path)
    temporary = target.with_suffix(".new")
    with open(temporary, "w", encoding="ascii", buffering=1 << 20) as out:
        out.writelines(lines(workloads, namespaces, max(1, min(deployments, workloads)), nodes, seed))
    os.replace(temporary, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--workloads", type=int, default=100_000)
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--namespaces", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=500)
    given = parser.parse_args()
    write_big_mesh(given.file, given.workloads, namespaces=given.namespaces, deployments=given.deployments,
                   nodes=given.nodes)


if __name__ == "__main__":
    main()
