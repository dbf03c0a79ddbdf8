"""Figures as one table for people and as JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """What was measured, and at most what it should be (None: it is written down, no more)."""

    case: str
    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def verdict(self) -> str:
        """What stands beside the figure."""
        if self.most is None:
            return ""
        return f"{'ok' if self.value <= self.most else 'MISSED'} (at most {self.most:g})"


@dataclass
class Report:
    """All figures of a run, printed as they come."""

    bench: str
    json_file: Path | None = None
    figures: list[Figure] = field(default_factory=list)

    def add(self, case: str, name: str, value: float, unit: str, most: float | None = None) -> None:
        """Note a figure."""
        figure = Figure(case, name, value, unit, most)
        self.figures.append(figure)
        print(f"  {case:44} {name:34} {value:10.2f} {unit:8} {figure.verdict}", flush=True)
        line = {"bench": self.bench, "case": case, "figure": name, "value": round(value, 4), "unit": unit, "most": most}
        if self.json_file is not None:
            with self.json_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def times(self, case: str, name: str, seconds: Sequence[float], most: Mapping[int, float] | None = None) -> None:
        """Note the 50th, 99th and last percentile of times, in milliseconds; `most` by percentile."""
        for percent in (50, 99, 100):
            value = 1_000 * percentile(seconds, percent)
            label = "max" if percent == 100 else f"p{percent}"
            self.add(case, f"{name}, {label}", value, "ms", (most or {}).get(percent))

    def skip(self, case: str, why: str) -> None:
        """Say that a case was left out."""
        print(f"  {case:44} left out: {why}", flush=True)

    def close(self) -> None:
        """Say at the end what missed its target."""
        missed = [figure for figure in self.figures if figure.verdict.startswith("MISSED")]
        print(f"\n{self.bench}: {len(self.figures)} figures, {len(missed)} beyond their targets")
        for each in missed:
            print(f"  {each.case}: {each.name} {each.value:.2f} {each.unit}, at most {each.most:g}")
        sys.stdout.flush()


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]
