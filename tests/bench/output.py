"""The table, and a chart of the ratios."""

from __future__ import annotations

import html
import math
import pathlib

from tests.bench.results import Row


def number(value: float) -> str:
    """Four digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(3 - math.floor(math.log10(abs(value))), 0)}f}"


def table(rows: list[Row], base: str) -> str:
    lines, scenario, metric = [], None, None
    for row in rows:
        if row.scenario is not scenario:
            scenario, metric = row.scenario, None
            lines += ["", f"{scenario.name}: {scenario.title}",
                      f"{'':32}{'':10}{'median':>10}  {'min..max':<20}{'to ' + base:>8}  min..max"]
        title = row.metric.title if row.metric is not metric else ""
        metric = row.metric
        spread = f"{number(row.values.low)}..{number(row.values.high)}"
        line = f"  {title:30}{row.target:10}{number(row.values.median):>10}  {spread:<20}"
        if row.ratio:
            line += f"{row.ratio.median:>8.2f}  {row.ratio.low:.2f}..{row.ratio.high:.2f} {row.verdict}"
        lines.append(line.rstrip())
    return "\n".join(lines)


_GOOD, _BAD, _EVEN = "#2a7f3f", "#b03a2e", "#888888"
_ROW, _MIDDLE, _SCALE, _WIDTH = 20, 560, 110, 960  # pixels; _SCALE: of a factor of two


def chart(rows: list[Row], base: str) -> str:
    """A bar for each ratio, in powers of two; to the right is better, a thin line is the spread."""
    shown = [row for row in rows if row.ratio and row.ratio.low > 0 and row.target != "direct"]
    height = _ROW * (len(shown) + 3)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
             f'<text x="{_MIDDLE}" y="16" text-anchor="middle">factor to {html.escape(base)}; right is better</text>']
    for power in range(-2, 4):
        x = _MIDDLE + power * _SCALE
        label = f"{2 ** power:g}" if power >= 0 else f"1/{2 ** -power}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="40" y2="{height}" stroke="#dddddd"/>'
                     f'<text x="{x}" y="34" text-anchor="middle">{label}</text>')
    for i, row in enumerate(shown):
        parts += _bar(row, 40 + i * _ROW)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(row: Row, y: int) -> list[str]:
    def place(ratio: float) -> float:
        power = math.log2(ratio) * (1 if row.metric.higher_is_better else -1)
        return min(max(_MIDDLE + power * _SCALE, _MIDDLE - 2.2 * _SCALE), _MIDDLE + 3.2 * _SCALE)

    middle, ends = place(row.ratio.median), sorted((place(row.ratio.low), place(row.ratio.high)))
    color = {"better": _GOOD, "worse": _BAD}.get(row.verdict, _EVEN)
    text = html.escape(f"{row.scenario.name}: {row.metric.title} ({row.target}) {row.ratio.median:.2f}")
    return [f'<text x="8" y="{y + 14}">{text}</text>',
            f'<rect x="{min(middle, _MIDDLE):.1f}" y="{y + 4}" width="{abs(middle - _MIDDLE):.1f}" height="{_ROW - 8}" '
            f'fill="{color}"/>',
            f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y + 10}" y2="{y + 10}" stroke="black"/>']


def write_chart(path: pathlib.Path, rows: list[Row], base: str) -> None:
    path.write_text(chart(rows, base))
