"""A mesh file as large as a big cluster."""

from __future__ import annotations

import pathlib

NODES, NAMESPACES, SERVICES = 50, 200, 500

_WORKLOAD = """\
- uid: cluster1//Pod/ns-{ns}/{name}
  name: {name}
  namespace: ns-{ns}
  trustDomain: cluster.local
  serviceAccount: app-{service}
  workloadIps: [{ip}]
  protocol: HBONE
  node: worker-{node}
  workloadName: app-{service}
  workloadType: deployment
  canonicalName: app-{service}
  canonicalRevision: v{version}
  clusterId: cluster1
  services: {{ns-{ns}/app-{service}.ns-{ns}.svc.cluster.local: {{80: 8080, 9090: 9090}}}}
"""
_SERVICE = """\
- name: app-{service}
  namespace: ns-{ns}
  hostname: app-{service}.ns-{ns}.svc.cluster.local
  vips: ["/172.20.{high}.{low}"]
  ports: {{80: 8080, 9090: 9090}}
"""


def write(path: pathlib.Path, count: int) -> None:
    """`count` workloads, each behind one of the services; names as a ReplicaSet gives them."""
    with path.open("w") as file:
        file.write("workloads:\n")
        for i in range(count):
            service = i % SERVICES
            file.write(_WORKLOAD.format(
                ns=service % NAMESPACES, service=service, node=i % NODES, version=1 + i % 3,
                name=f"app-{service}-{service * 2654435761 % 2**32:08x}-{i:05x}", ip=f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}"))
        file.write("services:\n")
        for service in range(SERVICES):
            file.write(_SERVICE.format(service=service, ns=service % NAMESPACES, high=service >> 8, low=service & 255))
        file.write("policies: []\n")
