"""What is measured, and what the numbers mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    title: str
    higher_is_better: bool = False


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`run(mesh, options)` gives a value for each metric; None where there is nothing to measure. It may restart the
    program, and leaves it running."""

    name: str
    title: str
    run: Callable
    metrics: list[Metric]
    needs_proxy: bool = False
    short: bool = False  # cheap enough to be measured twice a round, forth and back through the targets
