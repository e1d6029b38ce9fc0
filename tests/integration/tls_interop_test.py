"""Our TLS, as the program tls_echo, against other implementations: the command lines of OpenSSL and BoringSSL. Bytes
with a checksum, records of all sizes and with padding, keys that change on either side, tickets, half-close."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

from tests.lab import identity
from tests.lab.process import wait_until

ECHO = pathlib.Path(os.environ.get("CULVERT_BIN", "build/dev/bin")) / "tls_echo"
ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 30
SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
LAYERS = ["own", "library"]


def bssl() -> str:
    """scripts/setup builds it beside the library."""
    found = subprocess.run([ROOT / "scripts/setup", "--print-boringssl-root"], capture_output=True, text=True, check=True)
    return os.path.join(os.environ.get("BORINGSSL_ROOT") or found.stdout.strip(), "bin/bssl")


class Process:
    """A program with its output collected as it comes."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.out, self.err = bytearray(), bytearray()
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()

    def _collect(self, stream, into: bytearray):
        while part := stream.read1(1 << 16):
            with self.changed:
                into += part
                self.changed.notify_all()

    def wait_for(self, condition, what: str):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT), f"no {what}: {bytes(self.out[-500:])} {bytes(self.err[-500:])}"

    def expect(self, text: bytes):
        """In either output."""
        self.wait_for(lambda: text in self.out or text in self.err, repr(text))

    def send(self, data: bytes):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end_input(self):
        self.process.stdin.close()

    def exit_status(self) -> int:
        status = self.process.wait(TIMEOUT)
        for reader in self.readers:
            reader.join(TIMEOUT)
        return status

    def stop(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def run():
    """Starts programs that end with the test."""
    with contextlib.ExitStack() as stack:
        def start(*command) -> Process:
            process = Process(*command)
            stack.callback(process.stop)
            return process
        yield start


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Our flags and theirs, and the CA."""
    folder = tmp_path_factory.mktemp("tls")
    ca = identity.new_ca("interop root")
    roots, _ = identity.write(folder, "root", ca)

    class Files:
        cert, key = identity.write(folder, "ours", identity.issue(ca, ["spiffe://cluster.local/ns/demo/sa/ours"]))
        their_cert, their_key = identity.write(folder, "theirs", identity.issue(ca, ["spiffe://cluster.local/ns/demo/sa/theirs"]))
        ours = ["--cert", cert, "--key", key, "--roots", roots]
        theirs = ["-cert", their_cert, "-key", their_key]
        ca_file = roots
    return Files


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def our_server(run, files, *options) -> int:
    server = run(ECHO, "server", "--address", "127.0.0.1:0", *files.ours, *options)
    server.expect(b"listening on port ")
    server.wait_for(lambda: re.search(rb"port (\d+)\n", server.out), "port")
    return int(re.search(rb"port (\d+)\n", server.out)[1])


def accepting(port: int):
    """Waits for a server that says nothing of its own. It sees a connection that ends at once."""
    def accepts() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False
    wait_until(accepts, TIMEOUT, f"a server on port {port}")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def transfer(process: Process, payload: bytes, got: bytearray, reader: Process):
    """Writes the payload to `process` while `got`, of `reader`, fills with it."""
    writer = threading.Thread(target=process.send, args=(payload,), daemon=True)
    start = len(got)
    writer.start()
    reader.wait_for(lambda: len(got) >= start + len(payload), "echo")
    writer.join(TIMEOUT)
    assert digest(bytes(got[start:])) == digest(payload)


@pytest.mark.parametrize("client_layer", LAYERS)
@pytest.mark.parametrize("server_layer", LAYERS)
def test_ourselves_with_half_close_and_many_keys(run, files, client_layer, server_layer):
    port = our_server(run, files, "--record-layer", server_layer, "--records-per-key", "5")
    client = run(ECHO, "client", "--address", f"127.0.0.1:{port}", *files.ours, "--record-layer", client_layer,
                 "--records-per-key", "7", "--report")
    payload = os.urandom(20 << 20)
    client.send(payload)
    client.end_input()  # most of the echo is still on its way
    assert client.exit_status() == 0, client.err
    assert digest(bytes(client.out)) == digest(payload)
    assert b"peer spiffe://cluster.local/ns/demo/sa/ours" in client.err


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("extra", [[], ["-record_padding", "1000"], ["-max_send_frag", "512"]], ids=lambda extra: "".join(extra[:1]) or "plain")
@pytest.mark.parametrize("layer", LAYERS)
def test_openssl_client(run, files, suite, extra, layer):
    port = our_server(run, files, "--record-layer", layer, "--records-per-key", "50")
    client = run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-tls1_3", "-ciphersuites", suite,
                 "-CAfile", files.ca_file, "-verify_return_error", *files.theirs, *extra)
    payload = os.urandom(4 << 20)
    transfer(client, payload, client.out, client)


@pytest.mark.parametrize("layer", LAYERS)
def test_openssl_client_changes_keys(run, files, layer):
    port = our_server(run, files, "--record-layer", layer)
    client = run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-CAfile", files.ca_file, *files.theirs)
    client.expect(b"Verify return code: 0")
    for turn in range(20):
        command = b"K\n" if turn % 2 else b"k\n"  # asks for ours, or not
        client.send(command)
        client.wait_for(lambda n=turn: client.err.count(b"KEYUPDATE") == n + 1, "KEYUPDATE")
        client.send(b"<turn %d>\n" % turn)
        client.expect(b"<turn %d>\n" % turn)
    client.end_input()
    client.wait_for(lambda: b"DONE" in client.out or b"DONE" in client.err, "DONE")


def openssl_server(run, files, *options) -> tuple[Process, int]:
    port = free_port()
    server = run("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3", "-Verify", "2", "-verify_return_error",
                 "-CAfile", files.ca_file, *files.theirs, *options)
    return server, port


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("extra", [["-num_tickets", "0"], ["-num_tickets", "10"], ["-record_padding", "3000"], ["-max_send_frag", "512"]],
                         ids=lambda extra: "".join(extra))
@pytest.mark.parametrize("layer", LAYERS)
def test_openssl_server(run, files, suite, extra, layer):
    server, port = openssl_server(run, files, "-quiet", "-ciphersuites", suite, *extra)
    accepting(port)
    client = run(ECHO, "client", "--address", f"127.0.0.1:{port}", *files.ours, "--record-layer", layer, "--records-per-key", "50")
    payload = os.urandom(4 << 20)
    transfer(client, payload, server.out, server)
    transfer(server, payload, client.out, client)
    client.end_input()
    assert client.exit_status() == 0, client.err  # theirs answers close_notify with its own


@pytest.mark.parametrize("layer", LAYERS)
def test_openssl_server_changes_keys(run, files, layer):
    server, port = openssl_server(run, files, "-msg")
    server.expect(b"ACCEPT")
    client = run(ECHO, "client", "--address", f"127.0.0.1:{port}", *files.ours, "--record-layer", layer)
    client.send(b"<hello>\n")
    server.expect(b"<hello>\n")
    for turn in range(20):
        server.send(b"K\n" if turn % 2 else b"k\n")
        # s_server drops what it reads together with a command; it looks at its input before the socket.
        client.send(b"<our turn %d>\n" % turn)
        server.expect(b"<our turn %d>\n" % turn)
        server.send(b"<their turn %d>\n" % turn)
        client.expect(b"<their turn %d>\n" % turn)
    # Half of them asked for ours, which goes out with our next data: the last answer may not have been due.
    assert server.out.count(b", KeyUpdate") in (20 + 9, 20 + 10)
    client.end_input()
    assert client.exit_status() == 0, client.err


def test_openssl_client_without_certificate_is_refused(run, files):
    port = our_server(run, files)
    client = run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-tls1_3", "-CAfile", files.ca_file)
    client.expect(b"certificate required")
    assert client.exit_status() != 0


@pytest.mark.parametrize("layer", LAYERS)
def test_boringssl_client(run, files, layer):
    port = our_server(run, files, "--record-layer", layer, "--records-per-key", "50")
    client = run(bssl(), "client", "-connect", f"127.0.0.1:{port}", "-cert", files.their_cert, "-key", files.their_key,
                 "-root-certs", files.ca_file)
    client.expect(b"Version: TLSv1.3")
    transfer(client, os.urandom(4 << 20), client.out, client)


@pytest.mark.parametrize("layer", LAYERS)
def test_boringssl_server(run, files, layer):
    port = free_port()
    server = run(bssl(), "server", "-accept", str(port), "-cert", files.their_cert, "-key", files.their_key,
                 "-require-any-client-cert", "-loop")
    accepting(port)
    client = run(ECHO, "client", "--address", f"127.0.0.1:{port}", *files.ours, "--record-layer", layer, "--records-per-key", "50")
    payload = os.urandom(4 << 20)
    transfer(client, payload, server.out, server)
    transfer(server, payload, client.out, client)


def test_what_the_program_cannot_do_is_said(run, files):
    process = run(ECHO, "server", "--address", "127.0.0.1:0", *files.ours, "--no-client-cert")
    assert process.exit_status() == 2
    assert b"cannot be turned off" in process.err
    assert b"SPIFFE" in subprocess.run([ECHO, "--help"], capture_output=True, check=True).stdout
