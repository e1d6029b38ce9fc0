"""The numbers of all rounds, and what they say: medians, spread, ratios of what was measured side by side."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from tests.bench.scenario import Metric, Scenario


@dataclasses.dataclass
class Spread:
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread | None":
        return Spread(statistics.median(values), min(values), max(values)) if values else None


@dataclasses.dataclass
class Row:
    """One metric of one target. `ratio`: to the base, round by round, since rounds differ more than programs do on a
    machine that others use too; None for the base itself."""

    scenario: Scenario
    metric: Metric
    target: str
    values: Spread
    ratio: Spread | None
    pairs: int = 0  # rounds behind the ratio

    @property
    def verdict(self) -> str:
        """Empty unless five rounds or more all say the same; of one program against itself they do so once in sixteen."""
        if self.ratio is None or self.pairs < 5 or self.ratio.low <= 1 <= self.ratio.high:
            return ""
        return "better" if (self.ratio.median > 1) == self.metric.higher_is_better else "worse"


class Results:
    def __init__(self) -> None:
        self.rounds: list[dict[str, dict[str, dict[str, float | None]]]] = []  # [round][scenario][target][metric]
        self.failures: list[str] = []

    def begin_round(self) -> None:
        self.rounds.append({})

    def add(self, scenario: str, target: str, values: dict[str, float | None]) -> None:
        """A second measurement of the same in a round: their mean counts."""
        found = self.rounds[-1].setdefault(scenario, {})
        before = found.get(target, values)
        found[target] = {name: None if value is None or before[name] is None else (value + before[name]) / 2
                         for name, value in values.items()}

    def _value(self, number: int, scenario: str, target: str, metric: str) -> float | None:
        return self.rounds[number].get(scenario, {}).get(target, {}).get(metric)

    def _pairs(self, scenario: str, target: str, base: str, metric: str) -> list[float]:
        found = []
        for number in range(len(self.rounds)):
            value, other = (self._value(number, scenario, name, metric) for name in (target, base))
            if value is not None and other:
                found.append(value / other)
        return found

    def rows(self, scenarios: list[Scenario], targets: list[str], base: str) -> list[Row]:
        rows = []
        for scenario in scenarios:
            for metric in scenario.metrics:
                for target in targets:
                    values = Spread.of([value for number in range(len(self.rounds))
                                        if (value := self._value(number, scenario.name, target, metric.name)) is not None])
                    if values:
                        pairs = self._pairs(scenario.name, target, base, metric.name) if target != base else []
                        rows.append(Row(scenario, metric, target, values, Spread.of(pairs), len(pairs)))
        return rows


def to_json(rows: list[Row]) -> list[dict[str, Any]]:
    return [{
        "scenario": row.scenario.name, "metric": row.metric.name, "title": row.metric.title, "target": row.target,
        "higher_is_better": row.metric.higher_is_better, **dataclasses.asdict(row.values),
        "ratio": dataclasses.asdict(row.ratio) if row.ratio else None, "verdict": row.verdict,
    } for row in rows]
