"""The charts: what they render, and that the programs start with exactly that: arguments, environment, files, user and
capabilities."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.integration.mesh import CLIENT, DEMO, LOCAL_SERVER, dial, server
from tests.lab import sockets
from tests.lab.cluster import Cluster
from tests.lab.lab import ROOT, Daemon, Lab, binary
from tests.lab.process import Process
from tests.lab.zds import Agent

CHARTS = ROOT / "charts"
LOCAL = {"local": {"mesh": "workloads: []\n", "caSecret": "culvert-ca"}}


def helm(*args: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    tool = subprocess.run([ROOT / "scripts" / "setup", "--print-tool", "helm"], capture_output=True, text=True,
                          timeout=60, check=True).stdout.strip()
    return subprocess.run([tool, *args, "--values", "-"], input=yaml.safe_dump(values or {}), capture_output=True,
                          text=True, timeout=60, check=False)


def render(chart: str, values: dict[str, Any] | None = None, namespace: str = "istio-system") -> dict[str, Any]:
    """The rendered objects by kind; there is one of each."""
    done = helm("template", chart, str(CHARTS / chart), "--namespace", namespace, values=values)
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    found = {o["kind"]: o for o in objects}
    assert len(found) == len(objects)
    return found


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(workload)["containers"]
    return container


def env_of(workload: dict[str, Any]) -> dict[str, Any]:
    entries = container_of(workload)["env"]
    assert len({e["name"] for e in entries}) == len(entries), "no variable twice"
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in entries}


def mounts_of(workload: dict[str, Any]) -> dict[str, str]:
    """Volume by mount path; each mount has its volume and the other way round."""
    mounts = {m["mountPath"]: m["name"] for m in container_of(workload)["volumeMounts"]}
    assert sorted(mounts.values()) == sorted(v["name"] for v in pod_of(workload)["volumes"])
    return mounts


@pytest.mark.parametrize("chart, values", [
    ("ztunnel", {}), ("ztunnel", LOCAL), ("ztunnel", {"peerCaCrl": {"enabled": True}, "platform": "openshift"}),
    ("waypoint", {"caSecret": "culvert-ca"})])
def test_lint(chart, values):
    done = helm("lint", str(CHARTS / chart), "--strict", values=values)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- ztunnel

def test_ztunnel_by_default_is_what_istios_chart_makes():
    objects = render("ztunnel")
    assert set(objects) == {"DaemonSet", "ServiceAccount"}
    daemonset = objects["DaemonSet"]
    assert daemonset["metadata"]["name"] == objects["ServiceAccount"]["metadata"]["name"] == "ztunnel"
    assert daemonset["spec"]["selector"] == {"matchLabels": {"app": "ztunnel"}}
    assert daemonset["spec"]["updateStrategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    meta = daemonset["spec"]["template"]["metadata"]
    assert meta["labels"]["app"] == "ztunnel"
    assert meta["labels"]["istio.io/dataplane-mode"] == "none"
    assert meta["labels"]["sidecar.istio.io/inject"] == "false"
    assert meta["annotations"]["prometheus.io/scrape"] == "true"
    assert meta["annotations"]["prometheus.io/port"] == "15020"
    pod = pod_of(daemonset)
    assert pod["serviceAccountName"] == "ztunnel"
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["terminationGracePeriodSeconds"] == 30
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    container = container_of(daemonset)
    assert container["name"] == "istio-proxy"
    assert container["args"] == ["proxy", "ztunnel"] and "command" not in container
    assert container["ports"] == [{"name": "ztunnel-stats", "containerPort": 15020, "protocol": "TCP"}]
    assert container["readinessProbe"] == {"httpGet": {"port": 15021, "path": "/healthz/ready"}}
    assert not {"livenessProbe", "startupProbe", "lifecycle"} & set(container)
    assert container["resources"] == {"requests": {"cpu": "200m", "memory": "512Mi"}}
    assert container["securityContext"] == {
        "runAsUser": 0, "runAsGroup": 1337, "runAsNonRoot": False, "privileged": False,
        "allowPrivilegeEscalation": True, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN", "NET_RAW"]}}


def test_ztunnel_mounts():
    daemonset = render("ztunnel")["DaemonSet"]
    assert mounts_of(daemonset) == {
        "/var/run/secrets/istio": "istiod-ca-cert", "/var/run/secrets/tokens": "istio-token",
        "/var/run/ztunnel": "cni-ztunnel-sock-dir", "/tmp": "tmp"}
    volumes = {v.pop("name"): v for v in pod_of(daemonset)["volumes"]}
    assert volumes["cni-ztunnel-sock-dir"] == {"hostPath": {"path": "/var/run/ztunnel", "type": "DirectoryOrCreate"}}
    assert volumes["istio-token"]["projected"]["sources"] == [
        {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}]
    assert volumes["istiod-ca-cert"] == {"configMap": {"name": "istio-ca-root-cert"}}


def test_ztunnel_environment_by_default():
    env = env_of(render("ztunnel")["DaemonSet"])
    assert env["CA_ADDRESS"] == env["XDS_ADDRESS"] == "istiod.istio-system.svc:15012"
    assert env["ISTIO_META_CLUSTER_ID"] == "Kubernetes"
    assert env["TERMINATION_GRACE_PERIOD_SECONDS"] == "30"
    for name, path in {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace",
                       "NODE_NAME": "spec.nodeName", "INSTANCE_IP": "status.podIP",
                       "SERVICE_ACCOUNT": "spec.serviceAccountName"}.items():
        assert env[name] == {"fieldRef": {"fieldPath": path}}
    assert not {"LOG_FORMAT", "NETWORK", "CRL_PATH", "LOCAL_XDS_PATH", "LOCAL_CA_DIR", "PROXY_MODE",
                "INPOD_UDS", "ZTUNNEL_RESOURCE_CPU_LIMIT"} & set(env)


def test_ztunnel_values_are_istios():
    daemonset = render("ztunnel", {
        "global": {"hub": "registry.example/mesh", "tag": "never", "network": "net1"}, "tag": "1.2", "variant": "debug",
        "resourceName": "zt", "revision": "canary", "logAsJson": True, "logLevel": "debug",
        "multiCluster": {"clusterName": "c1"}, "env": {"PACKET_MARK": 7}, "peerCaCrl": {"enabled": True},
        "meshConfig": {"defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "false"}}},
        "resources": {"limits": {"cpu": "2"}}, "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"},
        "imagePullPolicy": "Always", "tolerations": [{"operator": "Exists"}]})["DaemonSet"]
    assert daemonset["metadata"]["name"] == "zt"
    assert container_of(daemonset)["image"] == "registry.example/mesh/ztunnel:1.2-debug"
    assert container_of(daemonset)["imagePullPolicy"] == "Always"
    assert pod_of(daemonset)["tolerations"] == [{"operator": "Exists"}]
    env = env_of(daemonset)
    expected = {"XDS_ADDRESS": "istiod-canary.istio-system.svc:15012", "LOG_FORMAT": "json", "NETWORK": "net1",
                "RUST_LOG": "debug", "ISTIO_META_CLUSTER_ID": "c1", "PACKET_MARK": "7",
                "ISTIO_META_DNS_CAPTURE": "false", "CRL_PATH": "/var/run/secrets/istio/crl/ca-crl.pem"}
    assert {k: env[k] for k in expected} == expected
    assert "ZTUNNEL_RESOURCE_CPU_LIMIT" in env
    meta = daemonset["spec"]["template"]["metadata"]
    assert meta["labels"]["a"] == "b"
    assert meta["annotations"]["c"] == "d" and meta["annotations"]["istio.io/rev"] == "canary"
    assert mounts_of(daemonset)["/var/run/secrets/istio/crl"] == "istio-ca-crl"


def test_ztunnel_an_image_with_a_slash_is_taken_as_it_is():
    assert container_of(render("ztunnel", {"image": "other/zt:9"})["DaemonSet"])["image"] == "other/zt:9"


def test_ztunnel_optional_objects():
    objects = render("ztunnel", {**LOCAL, "networkPolicy": {"enabled": True}, "resourceQuotas": {"enabled": True},
                                 "platform": "openshift", "imagePullSecrets": ["pull"]})
    assert set(objects) == {"DaemonSet", "ServiceAccount", "NetworkPolicy", "ResourceQuota", "ConfigMap", "ClusterRole",
                            "ClusterRoleBinding"}
    ports = {(p["port"], p["protocol"]) for p in objects["NetworkPolicy"]["spec"]["ingress"][0]["ports"]}
    assert ports == {(p, "TCP") for p in (15021, 15020, 15000, 15008, 15001, 15006, 15053)} | {(15053, "UDP")}
    assert objects["ServiceAccount"]["imagePullSecrets"] == [{"name": "pull"}]
    assert objects["ConfigMap"]["data"] == {"mesh.yaml": LOCAL["local"]["mesh"]}


# ---- waypoint

WAYPOINT = {"caSecret": "culvert-ca", "config": {"services": [
    {"name": "shop", "addresses": ["10.96.1.10"], "ports": [{"name": "http", "port": 80, "targetPort": 8080,
                                                             "protocol": "http"}]}]}}


def test_waypoint():
    objects = render("waypoint", WAYPOINT, "demo")
    assert set(objects) == {"Deployment", "Service", "ServiceAccount", "ConfigMap"}
    assert {o["metadata"]["namespace"] for o in objects.values()} == {"demo"}
    deployment, service = objects["Deployment"], objects["Service"]
    assert {(p["name"], p["port"]) for p in service["spec"]["ports"]} == {("status-port", 15021), ("mesh", 15008)}
    assert [p["appProtocol"] for p in service["spec"]["ports"] if p["port"] == 15008] == ["hbone"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]):
        assert selector == {"gateway.networking.k8s.io/gateway-name": "waypoint"}
        assert selector.items() <= labels.items()
    assert labels["istio.io/dataplane-mode"] == "none"
    assert labels["gateway.networking.k8s.io/gateway-class-name"] == "istio-waypoint"
    assert labels["gateway.istio.io/managed"] == "istio.io-mesh-controller"
    container = container_of(deployment)
    assert {p["containerPort"] for p in container["ports"]} == {15008, 15020, 15021, 15090}
    assert container["args"][:2] == ["proxy", "waypoint"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"port": 15021, "path": "/healthz/ready"}
    security = container["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["runAsNonRoot"]) == (1337, 1337, True)
    assert security["capabilities"] == {"drop": ["ALL"]} and security["readOnlyRootFilesystem"]
    env = env_of(deployment)
    assert env["WAYPOINT_CONFIG"] == "/etc/culvert/config/waypoint.yaml"
    assert {"LOCAL_CA_DIR", "POD_NAME", "POD_NAMESPACE", "SERVICE_ACCOUNT", "INSTANCE_IP", "TRUST_DOMAIN"} <= set(env)
    assert set(mounts_of(deployment)) == {"/etc/culvert/config", "/etc/culvert/ca", "/tmp"}
    config = yaml.safe_load(objects["ConfigMap"]["data"]["waypoint.yaml"])
    assert config["services"] == WAYPOINT["config"]["services"]
    assert config["waypoint"] == {"name": "waypoint", "namespace": "demo", "serviceAccount": "waypoint",
                                  "trustDomain": "cluster.local", "clusterDomain": "cluster.local",
                                  "clusterId": "Kubernetes"}


def test_waypoint_values():
    objects = render("waypoint", {**WAYPOINT, "name": "wp2", "serviceAccount": "sa2", "replicas": 3, "tag": "9",
                                  "trustDomain": "td", "env": {"A": 1}, "logLevel": "debug"}, "other")
    deployment = objects["Deployment"]
    assert {o["metadata"]["name"] for k, o in objects.items() if k != "ConfigMap"} == {"wp2", "sa2"}
    assert deployment["spec"]["replicas"] == 3
    assert container_of(deployment)["image"] == "culvert/waypoint:9"
    assert pod_of(deployment)["serviceAccountName"] == "sa2"
    env = env_of(deployment)
    assert env["TRUST_DOMAIN"] == "td" and env["A"] == "1"


@pytest.mark.parametrize("values, message", [
    ({}, "caSecret"), ({**WAYPOINT, "config": {"waypoint": {"name": "x"}}}, "config.waypoint is written by the chart")])
def test_waypoint_refuses_values_that_cannot_work(values, message):
    done = helm("template", "waypoint", str(CHARTS / "waypoint"), values=values)
    assert done.returncode != 0 and message in done.stderr


# ---- the programs, with exactly what was rendered

class Rendered(Daemon):
    """The container of a rendered pod as a process: nothing but its own environment, its user, its capabilities; the
    mounted files in a folder that stands for its root."""

    def __init__(self, lab: Lab, namespace: str, name: str, workload: dict[str, Any], fields: dict[str, str],
                 program: str, root: pathlib.Path, extra: dict[str, str] | None = None) -> None:
        self.namespace, self.name = namespace, name
        env = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        for key, value in env_of(workload).items():
            env[key] = value if isinstance(value, str) else self.resolve(value, fields)
        args = [re.sub(r"\$\((\w+)\)", lambda m: env[m[1]], arg) for arg in container_of(workload)["args"]]
        places = mounts_of(workload)
        env = {k: f"{root}{v}" if any(v == m or v.startswith(f"{m}/") for m in places) else v for k, v in env.items()}
        security = container_of(workload)["securityContext"]
        kept = [f"+{c.lower()}" for c in security["capabilities"].get("add", [])]
        jail = ["setpriv", f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", "--clear-groups",
                "--inh-caps=-all", f"--bounding-set={','.join(['-all', *kept])}"]
        if not security["allowPrivilegeEscalation"]:
            jail.append("--no-new-privs")
        # A copy: another user may not be able to reach where it was built.
        executable = shutil.copy(binary(program), root / program)
        Process.__init__(self, namespace, [*jail, str(executable), *args], lab.folder / f"{name}.log",
                         {"PATH": os.environ["PATH"], **env, **(extra or {})}, "/")
        lab.processes.append(self)

    @staticmethod
    def resolve(source: dict[str, Any], fields: dict[str, str]) -> str:
        if "fieldRef" in source:
            return fields[source["fieldRef"]["fieldPath"]]
        return {"limits.cpu": "2", "requests.cpu": "1"}[source["resourceFieldRef"]["resource"]]


def mount(root: pathlib.Path, path: str, files: dict[str, str], group: int, mode: int) -> None:
    """Files as the kubelet would provide them."""
    folder = root / path.lstrip("/")
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
        os.chown(folder / name, 0, group)
        (folder / name).chmod(mode)


@pytest.fixture(scope="module")
def lab():
    with Lab(Cluster.load(DEMO)) as made:
        made.start_ztunnel("node2")  # makes the development CA, too
        yield made


@pytest.fixture
def root(lab):
    """What the container sees as /; not below the lab's own folder, which only root may enter."""
    folder = pathlib.Path(f"/tmp/culvert-root-{lab.id}")
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def ca_files(lab: Lab) -> dict[str, str]:
    return {name: (lab.folder / "ca" / name).read_text() for name in ("root-cert.pem", "root-key.pem")}


def mode_of(workload: dict[str, Any], volume: str) -> int:
    (found,) = [v for v in pod_of(workload)["volumes"] if v["name"] == volume]
    return found["secret"]["defaultMode"]


def test_ztunnel_starts_with_what_the_chart_renders(lab, root):
    objects = render("ztunnel", {"local": {"mesh": lab.mesh_file.read_text(), "caSecret": "culvert-ca"}})
    daemonset = objects["DaemonSet"]
    mount(root, "/etc/culvert/mesh", objects["ConfigMap"]["data"], 0, 0o644)
    mount(root, "/etc/culvert/ca", ca_files(lab), 0, mode_of(daemonset, "local-ca"))
    agent = lab.agents["node1"] = Agent(lab.folder / "charts.sock")
    for pod in lab.cluster.pods.values():
        if pod.enrolled and pod.node == "node1":
            agent.pods[pod.uid] = (pod.name, pod.namespace, pod.service_account, lab.network.pod_ns(pod))
    daemon = Rendered(lab, lab.network.ztunnel_ns("node1"), "chart-ztunnel", daemonset, {
        "metadata.name": "ztunnel-x2k4p", "metadata.namespace": "istio-system", "spec.nodeName": "node1",
        "status.podIP": "10.0.0.1", "spec.serviceAccountName": "ztunnel"},
        "ztunnel", root, {"INPOD_UDS": str(agent.path)})
    daemon.wait_ready()
    assert agent.errors == []
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    assert re.search(r"CapEff:\s+0*203000\b", status), "NET_ADMIN, NET_RAW, SYS_ADMIN and nothing else"
    with server(lab, LOCAL_SERVER, 7000), dial(lab, CLIENT, LOCAL_SERVER, 7000) as sock:
        sock.sendall(b"hello")
        assert sockets.receive_exactly(sock, 5) == b"hello"
    assert daemon.metric("istio_tcp_connections_opened_total", reporter="source",
                         connection_security_policy="mutual_tls") == 1
    assert daemon.stop() == 0


def test_ztunnel_without_a_local_configuration_says_what_is_missing(lab, root):
    """This version cannot do without; a person who installs the chart as Istio's must read why."""
    daemon = Rendered(lab, lab.network.ztunnel_ns("node1"), "chart-default", render("ztunnel")["DaemonSet"], {
        "metadata.name": "z", "metadata.namespace": "istio-system", "spec.nodeName": "node1",
        "status.podIP": "10.0.0.1", "spec.serviceAccountName": "ztunnel"}, "ztunnel", root)
    assert daemon.wait(15) == 1
    assert "LOCAL_CA_DIR" in daemon.log()


@pytest.mark.parametrize("values", [WAYPOINT, {"caSecret": "culvert-ca"}], ids=["a service", "no configuration"])
def test_waypoint_starts_with_what_the_chart_renders(lab, root, values):
    pod = lab.pod("demo/waypoint")
    objects = render("waypoint", {**values, "drainSeconds": 2}, "demo")
    deployment = objects["Deployment"]
    mount(root, "/etc/culvert/config", objects["ConfigMap"]["data"], 1337, 0o644)
    mount(root, "/etc/culvert/ca", ca_files(lab), pod_of(deployment)["securityContext"]["fsGroup"],
          mode_of(deployment, "local-ca"))
    daemon = Rendered(lab, lab.network.pod_ns(pod), "chart-waypoint", deployment, {
        "metadata.name": "waypoint-6d5f", "metadata.namespace": "demo", "status.podIP": pod.ip,
        "spec.serviceAccountName": "waypoint"}, "waypoint", root)
    daemon.wait_ready()
    assert "CapEff:\t0000000000000000" in pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    for port in (15020, 15090):
        assert daemon.get(port, "/stats/prometheus")[0] == 200
    sockets.connect(daemon.namespace, ("127.0.0.1", 15008)).close()
    assert daemon.stop() == 0
