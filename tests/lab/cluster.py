"""What a lab is made of, read from one YAML file, and where everything gets its address."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import yaml

AMBIENT_LABEL = "istio.io/dataplane-mode"
WAYPOINT_LABEL = "istio.io/use-waypoint"
CLUSTER_DOMAIN = "cluster.local"


class Tagged:
    """A YAML value with a tag of its own, as policies use them: `!Exact foo`."""

    def __init__(self, tag: str, value: Any) -> None:
        self.tag, self.value = tag, value


class Loader(yaml.SafeLoader):
    pass


class Dumper(yaml.SafeDumper):
    pass


def _load_tagged(loader: yaml.Loader, suffix: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.ScalarNode):
        return Tagged(suffix, loader.construct_scalar(node))
    return Tagged(suffix, loader.construct_sequence(node))


def _dump_tagged(dumper: yaml.Dumper, tagged: Tagged) -> yaml.Node:
    if isinstance(tagged.value, list):
        return dumper.represent_sequence("!" + tagged.tag, tagged.value)
    return dumper.represent_scalar("!" + tagged.tag, str(tagged.value))


Loader.add_multi_constructor("!", _load_tagged)
Dumper.add_representer(Tagged, _dump_tagged)


@dataclasses.dataclass
class Pod:
    name: str
    namespace: str
    node: str
    service_account: str
    labels: dict[str, str]
    ip: str = ""
    is_waypoint: bool = False
    enrolled: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def uid(self) -> str:
        return f"cluster1//v1/Pod/{self.namespace}/{self.name}"

    @property
    def identity(self) -> str:
        return f"spiffe://{CLUSTER_DOMAIN}/ns/{self.namespace}/sa/{self.service_account}"


@dataclasses.dataclass
class Port:
    port: int
    target_port: int
    name: str = ""
    app_protocol: str = ""


@dataclasses.dataclass
class Service:
    name: str
    namespace: str
    selector: dict[str, str]
    ports: list[Port]
    labels: dict[str, str]
    vip: str = ""

    @property
    def hostname(self) -> str:
        return f"{self.name}.{self.namespace}.svc.{CLUSTER_DOMAIN}"

    def selects(self, pod: Pod) -> bool:
        return pod.namespace == self.namespace and bool(self.selector) and all(
            pod.labels.get(k) == v for k, v in self.selector.items())


@dataclasses.dataclass
class Node:
    name: str
    index: int

    @property
    def ip(self) -> str:
        return f"172.30.0.{self.index}"

    @property
    def gateway(self) -> str:
        return f"10.244.{self.index}.1"

    def ztunnel_ip(self, slot: int) -> str:
        """Below the pods' addresses, which begin at 10."""
        if not 0 <= slot < 8:
            raise ValueError(f"ztunnel {slot} of {self.name}: at most eight at a time")
        return f"10.244.{self.index}.{2 + slot}"

    @property
    def pod_cidr(self) -> str:
        return f"10.244.{self.index}.0/24"


class Cluster:
    def __init__(self, document: dict[str, Any]) -> None:
        self.namespaces: dict[str, dict[str, str]] = {
            name: dict((value or {}).get("labels", {})) for name, value in document.get("namespaces", {}).items()
        }
        self.nodes = {name: Node(name, i + 1) for i, name in enumerate(document["nodes"])}
        self.pods: dict[str, Pod] = {}
        self.services: dict[str, Service] = {}
        self.policies: list[Any] = list(document.get("policies", []))
        self._next_ip = {name: 10 for name in self.nodes}
        for pod in document.get("pods", []):
            self.add_pod(pod["name"], pod["namespace"], pod["node"], pod.get("serviceAccount", pod["name"]),
                         dict(pod.get("labels", {})))
        for waypoint in document.get("waypoints", []):
            name, namespace = waypoint["name"], waypoint["namespace"]
            labels = {"gateway.networking.k8s.io/gateway-name": name, AMBIENT_LABEL: "none"}
            pod = self.add_pod(name, namespace, waypoint["node"], waypoint.get("serviceAccount", name), labels)
            pod.is_waypoint = True
            self._add_service(Service(name, namespace, {"gateway.networking.k8s.io/gateway-name": name},
                                      [Port(15008, 15008, "mesh")], {}))
        for service in document.get("services", []):
            ports = [Port(p["port"], p.get("targetPort", p["port"]), p.get("name", ""), p.get("appProtocol", ""))
                     for p in service["ports"]]
            self._add_service(Service(service["name"], service["namespace"], dict(service.get("selector", {})), ports,
                                      dict(service.get("labels", {}))))

    @staticmethod
    def load(path: str | pathlib.Path) -> "Cluster":
        return Cluster(yaml.load(pathlib.Path(path).read_text(), Loader))

    def add_pod(self, name: str, namespace: str, node: str, service_account: str, labels: dict[str, str]) -> Pod:
        pod = Pod(name, namespace, node, service_account, labels)
        pod.ip = f"10.244.{self.nodes[node].index}.{self._next_ip[node]}"
        self._next_ip[node] += 1
        # The pod's own label wins over its namespace's; waypoints carry "none".
        mode = labels.get(AMBIENT_LABEL, self.namespaces.get(namespace, {}).get(AMBIENT_LABEL))
        pod.enrolled = mode == "ambient"
        self.pods[pod.key] = pod
        return pod

    def _add_service(self, service: Service) -> None:
        service.vip = f"10.96.0.{len(self.services) + 10}"
        self.services[f"{service.namespace}/{service.name}"] = service

    def endpoints(self, service: Service) -> list[Pod]:
        return [pod for pod in self.pods.values() if service.selects(pod)]

    def waypoint_of(self, labels: dict[str, str], namespace: str) -> str | None:
        """The waypoint that an object with these labels uses; its own label wins over its namespace's."""
        name = labels.get(WAYPOINT_LABEL, self.namespaces.get(namespace, {}).get(WAYPOINT_LABEL))
        return None if name in (None, "none") else name
