"""Instructions that carrying costs through the whole path of a byte, both proxies, counted by valgrind and so the same on
every machine, but for a few per cent. Counted apart: encryption, as which code the TLS library takes depends on the
processor, and copying, as how many records a read cuts depends on the kernel.

    python3 tests/budget/instructions.py build/dev/bin/byte_path_budget [--all]

prints instructions per relayed KiB of bulk and per request and answer of 1 KiB, and fails when they are above their
bounds; --all: the functions that cost most, too."""

from __future__ import annotations

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

TIMES = 100  # as in byte_path.cc
CASES = {  # test, function: unit, how many of them, bounds: 10 % above what was measured, and for copying
    ("Bulk", "counted_bulk"): ("KiB of bulk", TIMES * 2 * 64, 230, 450),
    ("Requests", "counted_requests"): ("request and answer of 1 KiB", TIMES, 8230, 140),
}
APART = {
    "encryption": re.compile(r"aes|gcm|ghash|chacha|poly1305|EVP_AEAD|CRYPTO_|OPENSSL_|bssl::", re.IGNORECASE),
    "copying": re.compile(r"mem(cpy|move)"),  # `rep movsb` counts each byte
    "applications": re.compile(r"BytePathTest|ByteBudget"),
}


def own_costs(profile: str) -> dict[str, int]:
    """Instructions of each function itself, of a callgrind profile: https://valgrind.org/docs/manual/cl-format.html."""
    names, costs, current, skip = {}, collections.Counter(), "", False
    for line in profile.splitlines():
        if match := re.match(r"fn=\((\d+)\)(?: (.*))?$", line):
            current = names.setdefault(match[1], match[2])
        elif match := re.match(r"cfn=\((\d+)\)(?: (.*))?$", line):
            names.setdefault(match[1], match[2])
        elif line.startswith("calls="):
            skip = True  # the next line is what was spent in there
        elif match := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line):
            if not skip:
                costs[current] += int(match[1])
            skip = False
    return dict(costs)


def measure(program: str, test: str, function: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "profile")
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--toggle-collect={function}", f"--callgrind-out-file={out}", program,
             f"--gtest_filter=ByteBudget.{test}"], capture_output=True, text=True, timeout=100)
        if run.returncode != 0:
            raise SystemExit(f"{test} failed:\n{run.stdout}{run.stderr}")
        return own_costs(out.read_text())


def main() -> int:
    failed = False
    for (test, function), (unit, count, bound, copying) in CASES.items():
        costs = measure(sys.argv[1], test, function)
        parts: dict[str, float] = collections.defaultdict(float)
        for name, cost in costs.items():
            parts[next((part for part, names in APART.items() if names.search(name)), "ours")] += cost / count
        print(f"per {unit}: {parts['ours']:.1f} instructions, at most {bound}; {parts['copying']:.1f} for copying, at most "
              f"{copying}; {parts['encryption']:.1f} for encryption")
        failed |= not 1 < parts["ours"] <= bound or parts["copying"] > copying
        if "--all" in sys.argv:
            for name, cost in sorted(costs.items(), key=lambda item: -item[1])[:40]:
                print(f"  {cost / count:10.2f} {name}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
