"""The cluster as a waypoint's local configuration (WAYPOINT_CONFIG, docs/waypoint-config.md)."""

from __future__ import annotations

from typing import Any

import yaml

from tests.lab.cluster import CLUSTER_DOMAIN, Cluster, Pod, Port, Service


def _protocol(port: Port) -> str:
    """What Istio concludes from a port: appProtocol, else the name up to its first dash, else unknown."""
    known = {"http": "http", "http2": "http2", "grpc": "grpc", "kubernetes.io/h2c": "http2", "tcp": "tcp", "tls": "tls",
             "https": "tls"}
    return known.get(port.app_protocol or port.name.split("-")[0], "sniff")


def _workload(pod: Pod) -> dict[str, Any]:
    return {
        "name": pod.name,
        "namespace": pod.namespace,
        "addresses": [pod.ip],
        "serviceAccount": pod.service_account,
        "trustDomain": CLUSTER_DOMAIN,
        "workloadName": pod.name,
        "canonicalName": pod.labels.get("app", pod.name),
        "canonicalRevision": pod.labels.get("version", "latest"),
        "tunnel": "hbone" if pod.enrolled or pod.is_waypoint else "none",
    }


def _service(cluster: Cluster, service: Service, served: bool) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "name": service.name,
        "namespace": service.namespace,
        "served": served,
        "ports": [{"port": p.port, "targetPort": p.target_port, "protocol": _protocol(p)} for p in service.ports],
        "endpoints": [{"workload": pod.name} for pod in cluster.endpoints(service)],
    }
    if served:
        rendered["addresses"] = [service.vip]
    return rendered


def render(cluster: Cluster, waypoint: Pod, **sections: Any) -> str:
    """The file for `waypoint`: the services that use it, the others of its namespace as backends of routes, and the
    sections given (httpRoutes, authorizationPolicies, options, …)."""
    services = []
    for service in cluster.services.values():
        if service.namespace != waypoint.namespace or service.name == waypoint.name or not cluster.endpoints(service):
            continue
        served = cluster.waypoint_of(service.labels, service.namespace) == waypoint.name
        services.append(_service(cluster, service, served))
    document = {
        "waypoint": {"name": waypoint.name, "namespace": waypoint.namespace, "serviceAccount": waypoint.service_account,
                     "trustDomain": CLUSTER_DOMAIN},
        "services": services,
        "workloads": [_workload(pod) for pod in cluster.pods.values()],
        **sections,
    }
    return yaml.safe_dump(document, sort_keys=False)
