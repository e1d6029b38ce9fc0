"""Counts the system calls of a program's threads between two marks, with strace."""

from __future__ import annotations

import contextlib
import pathlib
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator

from tests.lab.process import wait_until


def threads(pid: int, name: str) -> list[int]:
    """Those whose name matches."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(task.name) for task in tasks if re.fullmatch(name, (task / "comm").read_text().strip()))


class Counts(dict[str, int]):
    @property
    def total(self) -> int:
        return sum(self.values())

    def of(self, pattern: str) -> int:
        return sum(count for name, count in self.items() if re.fullmatch(pattern, name))


@contextlib.contextmanager
def counting(tids: list[int]) -> Iterator[Counts]:
    """Filled when the block is left. A traced thread is slower by far, so that it finds more at each read: this is the
    least that it needs, and steady."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        out, told = pathlib.Path(folder, "counts"), pathlib.Path(folder, "told")
        with told.open("wb") as stderr:
            tracer = subprocess.Popen(["strace", "-c", "-U", "calls,name", "-o", str(out), *(f"-p{tid}" for tid in tids)],
                                      stderr=stderr)
        try:
            wait_until(lambda: tracer.poll() is not None or told.read_text().count(" attached") == len(tids), 10,
                       lambda: f"strace attaching: {told.read_text()}")
            yield counts
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        for line in out.read_text().splitlines():
            if (row := re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", line)) and row[2] != "total":
                counts[row[2]] = int(row[1])
    if not counts:
        raise RuntimeError(f"strace counted nothing: {told.read_text() if told.exists() else ''}")
