"""The redirection rules: those istio-cni loads into an enrolled pod, and kube-proxy's work for the others."""

from __future__ import annotations

from tests.lab.cluster import Cluster
from tests.lab.netns import run

PROXY_MARK, CONN_MARK, ROUTE_TABLE = "0x539/0xfff", "0x111/0xfff", "100"
PROBE_SOURCE = "169.254.7.127"  # kubelet's probes arrive with it and go straight to the application


def pod_rules(dns_capture: bool) -> str:
    """As iptables-restore takes them, in istio-cni's order."""
    not_ours = f"-m mark ! --mark {PROXY_MARK}"
    dns_nat = [
        f"-A ISTIO_OUTPUT ! -o lo -p udp {not_ours} -m udp --dport 53 -j REDIRECT --to-port 15053",
        f"-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp --dport 53 {not_ours} -j REDIRECT --to-ports 15053",
    ]
    dns_raw = [
        "*raw", ":ISTIO_PRERT - [0:0]", ":ISTIO_OUTPUT - [0:0]",
        "-A PREROUTING -j ISTIO_PRERT", "-A OUTPUT -j ISTIO_OUTPUT",
        f"-A ISTIO_OUTPUT -p udp -m mark --mark {PROXY_MARK} -m udp --dport 53 -j CT --zone 1",
        f"-A ISTIO_PRERT -p udp {not_ours} -m udp --sport 53 -j CT --zone 1",
        "COMMIT",
    ]
    return "\n".join([
        "*mangle", ":ISTIO_PRERT - [0:0]", ":ISTIO_OUTPUT - [0:0]",
        "-A PREROUTING -j ISTIO_PRERT",
        "-A OUTPUT -j ISTIO_OUTPUT",
        f"-A ISTIO_PRERT -m mark --mark {PROXY_MARK} -j CONNMARK --set-xmark {CONN_MARK}",
        f"-A ISTIO_OUTPUT -m connmark --mark {CONN_MARK} "
        "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "COMMIT",
        "*nat", ":ISTIO_PRERT - [0:0]", ":ISTIO_OUTPUT - [0:0]",
        "-A OUTPUT -j ISTIO_OUTPUT",
        "-A PREROUTING -j ISTIO_PRERT",
        f"-A ISTIO_PRERT -s {PROBE_SOURCE} -p tcp -m tcp -j ACCEPT",
        f"-A ISTIO_OUTPUT -d {PROBE_SOURCE} -p tcp -m tcp -j ACCEPT",
        f"-A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp ! --dport 15008 {not_ours} -j REDIRECT --to-ports 15006",
        *(dns_nat if dns_capture else []),
        f"-A ISTIO_OUTPUT -p tcp -m mark --mark {CONN_MARK} -j ACCEPT",
        "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT",
        f"-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp {not_ours} -j REDIRECT --to-ports 15001",
        "COMMIT",
        *(dns_raw if dns_capture else []),
    ]) + "\n"


def redirect_pod(namespace: str, dns_capture: bool = False) -> None:
    run("ip", "-n", namespace, "route", "replace", "local", "0.0.0.0/0", "dev", "lo", "table", ROUTE_TABLE)
    run("ip", "-n", namespace, "rule", "add", "fwmark", CONN_MARK, "pref", "32764", "lookup", ROUTE_TABLE)
    run("ip", "netns", "exec", namespace, "iptables-restore", "--noflush", stdin=pod_rules(dns_capture))


def service_rules(cluster: Cluster) -> str:
    """Service addresses of pods that are not captured: a random endpoint, as kube-proxy picks one."""
    lines = ["*nat"]
    for service in cluster.services.values():
        endpoints = cluster.endpoints(service)
        for port in service.ports:
            for i, pod in enumerate(endpoints):
                chance = f"-m statistic --mode random --probability {1 / (len(endpoints) - i):.6f} "
                lines.append(f"-A PREROUTING -d {service.vip}/32 -p tcp --dport {port.port} "
                             f"{chance if i + 1 < len(endpoints) else ''}"
                             f"-j DNAT --to-destination {pod.ip}:{port.target_port}")
    return "\n".join([*lines, "COMMIT"]) + "\n"


def load_service_rules(namespace: str, cluster: Cluster) -> None:
    run("ip", "netns", "exec", namespace, "iptables-restore", stdin=service_rules(cluster))
