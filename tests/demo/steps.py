"""The demo's claims, each with the observation that proves it."""

from __future__ import annotations

import socket

from tests.demo.report import Report
from tests.demo.scene import (APP_PORT, CLIENT, INTRUDER, LEGACY, LOAD_PORT, OUTSIDER, SERVER_V1, SERVER_V2, Scene,
                              access_line)
from tests.lab import fortio, sockets
from tests.lab.cluster import Tagged
from tests.lab.process import wait_until

SECRET = "card-number-4111111111111111"


def pods_talk(scene: Scene, report: Report) -> None:
    report.step(1, "Pods on two nodes talk through both nodes' ztunnels, over mutual TLS")
    capture = scene.lab.capture("node1", "node2")
    status, who, body = scene.get(CLIENT, scene.ip(SERVER_V2), APP_PORT, f"/{SECRET}")
    report.claim((status, who) == (200, "server-v2") and SECRET in body, "client reaches server-v2 by pod IP", (status, who))
    answers = {scene.get(CLIENT, scene.vip("demo/server"), 80, f"/{SECRET}")[1] for _ in range(20)}
    report.claim(answers == {"server-v1", "server-v2"}, "client reaches both servers by the service's VIP", answers)
    packets = [packet for packet in capture.stop() if packet.payload]
    ports = {15008} & {p for packet in packets for p in (packet.source_port, packet.destination_port)}
    foreign = [p for p in packets if 15008 not in (p.source_port, p.destination_port)]
    report.claim(bool(ports) and not foreign, f"the link between the nodes carried {len(packets)} packets, all of port 15008",
                 len(foreign))
    records = b"".join(packet.payload for packet in packets)
    report.claim(records[:1] in (b"\x16", b"\x17", b"\x14") and SECRET.encode() not in records and b"HTTP/1.1" not in records,
                 "they are TLS records, and hold not one byte of the payload")


def identities(scene: Scene, report: Report) -> None:
    report.step(2, "The server sees the client itself; the log says who talked to whom")
    body = scene.get(CLIENT, scene.ip(SERVER_V2), APP_PORT)[2]
    report.claim(f"peer={scene.ip(CLIENT)}" in body.splitlines(), f"server-v2 was connected to from {scene.ip(CLIENT)}, the client pod",
                 body)
    line = access_line(scene.lab.ztunnels["node2"], f"dst.hbone_addr={scene.ip(SERVER_V2)}:{APP_PORT}")
    names = [scene.lab.pod(pod).identity for pod in (CLIENT, SERVER_V2)]
    report.claim(all(name in line for name in names), "the access log of node2 has both SPIFFE identities", line)
    for name in names:
        report.show(name)


def outside(scene: Scene, report: Report) -> None:
    report.step(3, "A namespace without the label stays as it is, and still interoperates")
    for source, target, text in ((OUTSIDER, LEGACY, "outside to outside"), (CLIENT, LEGACY, "mesh to outside"),
                                 (OUTSIDER, SERVER_V2, "outside to mesh")):
        capture = scene.lab.capture("node1", "node2")
        status, _, body = scene.get(source, scene.ip(target), APP_PORT, "/plain-text")
        plain = b"/plain-text" in b"".join(packet.payload for packet in capture.stop())
        report.claim(status == 200 and plain and f"peer={scene.ip(source)}" in body.splitlines(),
                     f"{text}: works, in plain text on the link", (status, plain))


def l4_policy(scene: Scene, report: Report) -> None:
    report.step(4, "An L4 policy denies one service account, and ends what is open")
    target = (scene.ip(SERVER_V2), 7000)
    app = sockets.Server(scene.lab.ns(SERVER_V2), target, sockets.echo)
    with app, sockets.connect(scene.lab.ns(INTRUDER), target) as before, sockets.connect(scene.lab.ns(CLIENT), target) as other:
        for sock in (before, other):
            sock.sendall(b"hello")
            sockets.receive_exactly(sock, 5)
        report.claim(True, "intruder and client have open connections to server-v2")
        scene.lab.set_policies([{
            "name": "no-intruder", "namespace": "demo", "scope": "Namespace", "action": "Deny", "dryRun": False,
            "rules": [[[{"principals": [Tagged("Exact", "cluster.local/ns/demo/sa/intruder")]}]]],
        }])
        report.claim(_ends(before), "the policy arrives: the intruder's open connection ends")
        other.sendall(b"still")
        report.claim(sockets.receive_exactly(other, 5) == b"still", "the client's goes on")
        with sockets.connect(scene.lab.ns(INTRUDER), target) as after:
            after.sendall(b"hello?")
            report.claim(_ends(after), "a new connection of the intruder is refused")
    line = access_line(scene.lab.ztunnels["node2"], "sa/intruder.*error=.*(polic|no-intruder)")
    report.claim("demo/no-intruder" in line or "policy" in line, "the log of node2 says why", line)
    report.show("error=" + line.split("error=")[1])
    scene.lab.set_policies([])


def _ends(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def waypoint(scene: Scene, report: Report) -> None:
    report.step(5, "Traffic to the labelled service crosses the waypoint")
    served = scene.shop("/", 20)
    report.claim(set(served) == {(200, "server-v1"), (200, "server-v2")}, "the shop answers through its waypoint", served)
    line = access_line(scene.lab.ztunnels["node1"], "dst.service=.*shop.demo")
    report.claim(f"{scene.ip('demo/waypoint')}:15008" in line, "the client's ztunnel sent it to the waypoint", line)
    testers = scene.shop("/", 10, x_tester="yes")
    report.claim(set(testers) == {(200, "server-v2")}, "header x-tester: yes is routed to version 2", testers)
    split = scene.shop("/split", 500)
    second = split[200, "server-v2"]
    # Five standard deviations around 50 of 500.
    report.claim(sum(split.values()) == 500 and 17 <= second <= 83 and len(split) == 2,
                 f"a 90/10 split: {split[200, 'server-v1']} to version 1, {second} to version 2", split)
    status, _, body = scene.get(CLIENT, scene.vip("demo/shop"), 80, "/admin/users")
    report.claim((status, body) == (403, "RBAC: access denied"), "/admin is forbidden: 403, RBAC: access denied", (status, body))
    evaded = scene.get(CLIENT, scene.vip("demo/shop"), 80, "/x/..//admin/%75sers")[0]
    report.claim(evaded == 403, "also when spelled /x/..//admin/%75sers", evaded)
    app = scene.apps[SERVER_V1]
    app.broken = True
    flaky = scene.shop("/flaky", 40)
    app.broken = False
    report.claim(set(flaky) == {(200, "server-v2")} and app.failures > 0,
                 f"version 1 failed {app.failures} times; retries hid it from the client: {flaky[200, 'server-v2']} of 40 answered",
                 flaky)


def replacement(scene: Scene, report: Report) -> None:
    report.step(6, "A node's ztunnel is drained and replaced while fortio runs")
    url = f"http://{scene.ip(SERVER_V2)}:{LOAD_PORT}/"
    old = scene.lab.ztunnels["node2"]
    kept = fortio.Load(scene.lab, CLIENT, url, 6, 4, "-qps", "400")
    fresh = fortio.Load(scene.lab, CLIENT, url, 6, 4, "-qps", "200", "-keepalive=false")
    wait_until(lambda: old.metric("istio_tcp_connections_opened_total", reporter="destination") > 100, 5, "load on node2")
    new = scene.lab.start_ztunnel("node2")
    old.signal(15)
    results = {"new connections": fresh.result(), "kept connections": kept.result()}
    for name, result in results.items():
        report.claim(result.failed == 0, f"{name}: {result.requests} requests, {result.failed} failed")
    carried = new.metric("istio_tcp_connections_opened_total", reporter="destination")
    report.claim(carried > 0, f"the new ztunnel took over: {carried:.0f} connections")
    status = old.wait(30)
    report.claim(status == 0, "the old one ended by itself", status)
