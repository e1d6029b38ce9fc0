"""What the demo prints, and whether all of it was true."""

from __future__ import annotations

import os
import sys


class Report:
    def __init__(self) -> None:
        self.failed: list[str] = []
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._good, self._bad, self._bold, self._end = ("\033[32m", "\033[31m", "\033[1m", "\033[0m") if color else ("",) * 4

    def step(self, number: int, title: str) -> None:
        print(f"\n{self._bold}{number}. {title}{self._end}", flush=True)

    def claim(self, holds: bool, text: str, seen: object = "") -> None:
        """A claim and what was seen of it; a false one makes the demo fail at its end."""
        mark = f"{self._good}ok{self._end}    " if holds else f"{self._bad}FALSE{self._end} "
        print(f"   {mark} {text}" + (f": {seen}" if not holds and seen != "" else ""), flush=True)
        if not holds:
            self.failed.append(text)

    def show(self, text: str) -> None:
        for line in text.splitlines():
            print(f"          {line}", flush=True)

    def table(self, rows: list[list[str]]) -> None:
        """The first row is the heading; the first column is text, the others are numbers."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            print("   " + "   ".join(cells), flush=True)
