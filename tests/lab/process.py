"""Processes inside of namespaces: started, watched, measured, stopped."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import time

from tests.lab.netns import entering

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|invariant broken|"
    r"a task ended with an exception")


def wait_until(condition, timeout: float, what: str):
    """Polls until `condition()` is true and returns its value; TimeoutError names `what`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.02)


class Process:
    def __init__(self, namespace: str, argv: list[str], log: pathlib.Path, env: dict[str, str] | None = None,
                 cwd: str | None = None) -> None:
        self.argv, self.log_path = argv, log
        fd, enter = entering(namespace)
        with log.open("wb") as out:
            self._popen = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                           env=env, cwd=cwd, preexec_fn=enter, start_new_session=True)
        os.close(fd)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def lines(self) -> list[str]:
        """The log's lines; not the last one while it is still being written."""
        return self.log().rpartition("\n")[0].splitlines()

    def wait_for_log(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        expression = re.compile(pattern)
        return wait_until(lambda: expression.search(self.log()), timeout,
                          lambda: f"/{pattern}/ in the log of {self.argv[0]}:\n{self.log()[-3000:]}")

    def wait(self, timeout: float) -> int:
        return self._popen.wait(timeout)

    def signal(self, number: int) -> None:
        if self.running:
            self._popen.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP; returns when the last thread has stopped: on a busy machine they run on for a while."""
        self.signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self._popen.pid}/task")
        wait_until(lambda: all((task / "stat").read_text().rpartition(") ")[2].startswith("T") for task in tasks.iterdir()),
                   5, f"{self.name} is stopped")

    def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM, and SIGKILL if that does not help; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
            raise TimeoutError(f"{self.argv[0]} did not end within {timeout} s:\n{self.log()[-3000:]}") from None

    def kill(self) -> None:
        if self.running:
            self._popen.kill()
        self._popen.wait()

    def reports(self) -> list[str]:
        """Lines of the log that say that something is wrong with the program itself."""
        return [line for line in self.log().splitlines() if SANITIZER_REPORT.search(line)]

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))
