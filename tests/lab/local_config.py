"""The cluster as the local mesh file of ztunnel (LOCAL_XDS_PATH, the schema of Istio's ztunnel)."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import yaml

from tests.lab.cluster import CLUSTER_DOMAIN, Cluster, Dumper, Pod, Service


def _workload(cluster: Cluster, pod: Pod) -> dict[str, Any]:
    services = {
        f"{service.namespace}/{service.hostname}": {port.port: port.target_port for port in service.ports}
        for service in cluster.services.values() if service.selects(pod)
    }
    return {
        "uid": pod.uid,
        "name": pod.name,
        "namespace": pod.namespace,
        "trustDomain": CLUSTER_DOMAIN,
        "serviceAccount": pod.service_account,
        "workloadIps": [pod.ip],
        "protocol": "HBONE" if pod.enrolled or pod.is_waypoint else "TCP",
        "node": pod.node,
        "workloadName": pod.name,
        "workloadType": "deployment",
        "canonicalName": pod.labels.get("app", pod.name),
        "canonicalRevision": pod.labels.get("version", "latest"),
        "clusterId": "Kubernetes",
        "services": services,
    }


def _service(cluster: Cluster, service: Service) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "name": service.name,
        "namespace": service.namespace,
        "hostname": service.hostname,
        "vips": [f"/{service.vip}"],
        "ports": {port.port: port.target_port for port in service.ports},
    }
    waypoint = cluster.waypoint_of(service.labels, service.namespace)
    # A waypoint is not reached through itself.
    if waypoint and service.name != waypoint:
        rendered["waypoint"] = {
            "destination": f"{service.namespace}/{waypoint}.{service.namespace}.svc.{CLUSTER_DOMAIN}",
            "hboneMtlsPort": 15008,
        }
    return rendered


def render(cluster: Cluster) -> dict[str, Any]:
    return {
        "workloads": [_workload(cluster, pod) for pod in cluster.pods.values()],
        "services": [_service(cluster, service) for service in cluster.services.values()],
        "policies": cluster.policies,
    }


def write(cluster: Cluster, path: pathlib.Path) -> None:
    """Replaces the file in one step, as a mounted ConfigMap changes."""
    temporary = path.with_suffix(".new")
    temporary.write_text(yaml.dump(render(cluster), Dumper=Dumper, sort_keys=False))
    os.replace(temporary, path)
