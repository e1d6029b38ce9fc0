"""ztunnel as a process: command line, environment, dedicated mode, the local mesh file while it changes."""

from __future__ import annotations

import pathlib
import re
import socket
import subprocess

import pytest

from tests.integration.mesh import CLIENT, DEMO, REMOTE_SERVER, dial, fields, server, wait_for_access
from tests.lab import sockets
from tests.lab.cluster import Cluster
from tests.lab.lab import Daemon, Lab, binary
from tests.lab.netns import inside
from tests.lab.process import wait_until

PORT = 7000


def run_ztunnel(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """To its end; whoever starts to serve instead fails by the time limit."""
    return subprocess.run([binary("ztunnel"), *args], env={"PATH": "/usr/bin", **env}, capture_output=True, text=True,
                          timeout=20, check=False)


# ---- command line

def test_version():
    done = run_ztunnel("version", ISTIO_META_ISTIO_VERSION="1.99.0")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r'version\.BuildInfo\{Version:"[^"]+", GitRevision:"[^"]+", RustVersion:"[^"]*", '
                        r'BuildProfile:"[^"]+", BuildStatus:"[^"]+", IstioVersion:"1\.99\.0", '
                        r'CryptoProvider:"[^"]+"\}\n', done.stdout), done.stdout


@pytest.mark.parametrize("command", ["help", "--help", "-h"])
def test_help(command):
    done = run_ztunnel(command)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("proxy", "version", "help"):
        assert f"ztunnel {word}" in done.stdout or f"[{word}" in done.stdout


def test_an_unknown_command_is_refused():
    done = run_ztunnel("dance")
    assert done.returncode == 1
    assert done.stderr == "unknown command: dance\n"
    assert "usage:" in done.stdout


def test_one_c_plus_plus_runtime():
    """A program that brings it along must not load a shared library that wants another: two would share some of their state."""
    program = binary("ztunnel")
    own = subprocess.run(["llvm-readelf-19", "--needed-libs", program], capture_output=True, text=True, timeout=20, check=True)
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=20, check=True)
    assert "libc.so" in own.stdout
    assert ("libstdc++" in own.stdout) == ("libstdc++" in loaded.stdout), loaded.stdout


# ---- environment

def test_all_errors_of_the_environment_at_once():
    """One run shows everything that is wrong, each with its name, its value and why."""
    wrong = {"ZTUNNEL_WORKER_THREADS": "many", "IPV6_ENABLED": "maybe", "KEEPALIVE_TIME": "soon",
             "KEEPALIVE_RETRIES": "-1", "POOL_MAX_STREAMS_PER_CONNECTION": "99999", "PACKET_MARK": "",
             "HTTP2_FRAME_SIZE": "1e6", "XDS_ADDRESS": "ftp://istiod:1"}
    done = run_ztunnel("proxy", "ztunnel", PROXY_MODE="sidecar", **wrong)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("ztunnel: ")
    for name, value in wrong.items():
        if name != "XDS_ADDRESS":
            assert f"invalid env var {name}={value} (" in done.stderr, name
    assert "invalid uri: ftp://istiod:1" in done.stderr
    assert "PROXY_MODE must be one of dedicated, shared" in done.stderr


@pytest.mark.parametrize("env, message", [
    ({"PROXY_MODE": "Shared"}, "PROXY_MODE must be one of dedicated, shared"),
    ({"PROXY_MODE": "dedicated"}, "PROXY_MODE=dedicated requires PROXY_WORKLOAD_INFO to be set"),
    ({"PROXY_MODE": "dedicated", "PROXY_WORKLOAD_INFO": "ns/name"},
     "PROXY_WORKLOAD_INFO must match the format 'namespace/name/service-account' (got "),
    ({"ENABLE_PROXY": "false", "ISTIO_META_DNS_CAPTURE": "false"}, "ztunnel run without any servers enabled"),
    ({"ENABLE_PROXY": "TRUE"}, "invalid env var ENABLE_PROXY=TRUE ("),
    ({"XDS_ON_DEMAND": "true"}, "DNS proxy does not currently support on-demand mode"),
    ({"LOCAL_XDS": "{}", "LOCAL_XDS_PATH": "/x"}, "only one of LOCAL_XDS_PATH or LOCAL_XDS may be set"),
    ({"SECRET_TTL": "1 fortnight"}, "invalid env var SECRET_TTL=1 fortnight ("),
    ({"RUST_LOG": "no=such=level"}, "no=such=level"),
    ({"ZTUNNEL_CPU_LIMIT": "-3"}, "ZTUNNEL_CPU_LIMIT"),
])
def test_a_wrong_value_ends_the_process_with_one_readable_message(tmp_path, env, message):
    done = run_ztunnel("proxy", "ztunnel", LOCAL_CA_DIR=str(tmp_path / "ca"), **env)
    assert done.returncode == 1, done
    assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr


# ---- one lab for the rest

@pytest.fixture(scope="module")
def lab():
    with Lab(Cluster.load(DEMO)) as made:
        made.start_ztunnel("node2")
        yield made


def start_dedicated(lab: Lab, pod_key: str, name: str, **env: str) -> Daemon:
    pod = lab.pod(pod_key)
    daemon = Daemon(lab, lab.ns(pod_key), [binary("ztunnel"), "proxy"], name, {
        "PROXY_MODE": "dedicated", "PROXY_WORKLOAD_INFO": f"{pod.namespace}/{pod.name}/{pod.service_account}",
        # The pod's redirection leaves this mark alone; dedicated mode has none of its own.
        "PACKET_MARK": "1337", "NODE_NAME": pod.node, "XDS_ADDRESS": "", "LOCAL_XDS_PATH": str(lab.mesh_file),
        "ZTUNNEL_WORKER_THREADS": "2", **env})
    lab.processes.append(daemon)
    return daemon


@pytest.fixture
def dedicated(lab):
    daemon = start_dedicated(lab, CLIENT, "dedicated", INPOD_UDS="/nosuch/socket")
    daemon.wait_ready()
    yield daemon
    assert daemon.stop() == 0, daemon.log()
    lab.processes.remove(daemon)


def exchange(lab: Lab) -> None:
    with server(lab, REMOTE_SERVER, PORT), dial(lab, CLIENT, REMOTE_SERVER, PORT) as sock:
        sock.sendall(b"hello")
        assert sockets.receive_exactly(sock, 5) == b"hello"


def test_a_dedicated_proxy_serves_its_pod_without_an_agent(lab, dedicated):
    exchange(lab)
    line = fields(wait_for_access(dedicated, f"hbone_addr={lab.pod(REMOTE_SERVER).ip}:{PORT}")[-1])
    assert line["src.identity"] == lab.pod(CLIENT).identity
    assert line["dst.identity"] == lab.pod(REMOTE_SERVER).identity
    assert "node agent" not in dedicated.log(), "dedicated mode never talks to the agent"
    assert not [name for name in dedicated.metrics() if name.startswith("workload_manager")]
    assert b"workloadState" not in dedicated.get(15000, "/config_dump")[2]


def test_a_dedicated_proxy_takes_connections_into_its_pod(lab, dedicated):
    with server(lab, CLIENT, PORT), dial(lab, REMOTE_SERVER, CLIENT, PORT) as sock:
        sock.sendall(b"hello")
        assert sockets.receive_exactly(sock, 5) == b"hello"
    line = fields(wait_for_access(dedicated, f'hbone_addr={lab.pod(CLIENT).ip}:{PORT}.*"inbound"')[-1])
    assert line["src.identity"] == lab.pod(REMOTE_SERVER).identity


def test_a_dedicated_proxy_that_cannot_listen_ends_with_an_error(lab):
    with inside(lab.ns(CLIENT)):
        holder = socket.socket(socket.AF_INET6)
    with holder:
        holder.bind(("::", 15001))
        holder.listen(1)
        daemon = start_dedicated(lab, CLIENT, "occupied")
        assert daemon.wait(15) == 1
    assert "cannot start the proxy" in daemon.log() and "in use" in daemon.log()
    lab.processes.remove(daemon)


# ---- the local mesh file

def test_a_broken_mesh_file_keeps_what_was_loaded(lab, dedicated):
    good = lab.mesh_file.read_text()
    loads = dedicated.log().count("local config initialized")
    try:
        for number, broken in enumerate(["workloads: [", "workloads: {a: b}\n", good + "nosuchsection: []\n", ""], 1):
            replace(lab.mesh_file, broken)
            wait_until(lambda n=number: dedicated.log().count("cannot be used, keeping") == n, 10,
                       lambda b=broken: f"a refusal of {b[-40:]!r}:\n{dedicated.log()[-1500:]}")
            exchange(lab)
            assert dedicated.metric("culvert_config_rejected_total") == number
    finally:
        replace(lab.mesh_file, good)
    wait_until(lambda: dedicated.log().count("local config initialized") > loads, 10, "the good file")
    assert dedicated.metric("culvert_config_loads_total") == loads + 1
    exchange(lab)


def test_a_mesh_file_that_disappears_keeps_what_was_loaded(lab, dedicated):
    good = lab.mesh_file.read_text()
    lab.mesh_file.unlink()
    try:
        exchange(lab)
    finally:
        replace(lab.mesh_file, good)
    exchange(lab)


@pytest.mark.parametrize("content, message", [
    ("workloads: [", "(line 1)"), ("", "document"), (None, "No such file")])
def test_a_broken_mesh_file_at_start_ends_the_process(lab, tmp_path, content, message):
    path = tmp_path / "mesh.yaml"
    if content is not None:
        path.write_text(content)
    daemon = start_dedicated(lab, CLIENT, f"broken-{message[1:5]}", LOCAL_XDS_PATH=str(path))
    assert daemon.wait(15) == 1
    last = daemon.lines()[-1]
    assert last.startswith("ztunnel: ") and message in last and str(path) in last, last
    lab.processes.remove(daemon)


def replace(path: pathlib.Path, content: str) -> None:
    """In one step, as a mounted ConfigMap changes."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(content)
    temporary.replace(path)
