"""Jobs in tests: done by the test itself, when it wants, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from crosswire.lib import jobs


@dataclass
class Jobs:
    """What was asked for and is not done: `(task, ids)`, in order."""

    waiting: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return the tasks, without what comes before their own names."""
        return [task.rpartition(".")[2] for task, _ in self.waiting]

    def do(self) -> None:
        """Do all of it, and what is asked for meanwhile."""
        while self.waiting:
            task, ids = self.waiting.pop(0)
            jobs.run(task, *ids)

    def forget(self) -> None:
        """Lose it, as a broker may that is restarted."""
        self.waiting.clear()


@contextmanager
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Have jobs wait for the test."""
    found = Jobs()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "start", lambda task, *ids: found.waiting.append((task, ids)))
        yield found
