"""Pruning that is killed in the middle loses nothing, and is gone on with."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from accounts import pruned
from accounts.models import Pruned
from bus import pruning
from bus.models import Message
from crosswire.lib import clock as product_clock
from tests.accounts.filling import fill
from tests.bus.test_prune_runs import left
from tests.support.aged import age
from tests.support.cast import make_workspace
from tests.support.homes import ROOT, Run
from tests.support.messages import seed
from tests.support.processes import end, spawn, tail, wait_until

MANY = 20_000


@pytest.fixture
def celery(run: Run) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a Celery program of the product; it is killed after the test."""
    with ExitStack() as running:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "celery", "-A", "tests.support.hurried", *arguments, "-l", "INFO"]
            process = spawn(command, run.home.folder / "celery.log", env=run.home.environment(), cwd=ROOT)
            running.callback(end, process)
            return process

        yield start


@pytest.mark.slow
@pytest.mark.home("postgres")
@pytest.mark.usefixtures("empty_queue")
def test_a_worker_that_is_killed_while_it_prunes_loses_nothing_and_the_next_one_goes_on(
    run: Run, celery: Callable[..., subprocess.Popen[bytes]]
) -> None:
    caller = make_workspace("free")
    fill(caller.workspace, MANY)
    age(caller, days=8)
    Message.objects.filter(workspace=caller.workspace, number__gt=MANY - 5).update(created_at=product_clock.now())
    told = lambda: f"{left(caller)} messages\n{tail(run.home.folder / 'celery.log', 40)}"  # noqa: E731 - a name for it
    beat = celery("beat", "--schedule", str(run.home.folder / "beat"), "--pidfile", "")
    dying = celery("worker", "--pool", "solo")
    wait_until(lambda: left(caller) < MANY, 60, told)
    end(dying, signal.SIGKILL)
    at = left(caller)
    assert 5 < at < MANY, "it was not in the middle"
    numbers = Message.objects.filter(workspace=caller.workspace).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(MANY - at + 1, MANY + 1))
    assert Pruned.objects.get(workspace=caller.workspace, what="messages").count == MANY - at
    celery("worker", "--pool", "solo")
    wait_until(lambda: left(caller) == 5, 60, told)
    wait_until(lambda: pruned.health().state == "complete", 60, told)
    assert Pruned.objects.get(workspace=caller.workspace, what="messages").count == MANY - 5
    assert seed(caller, ["goes on"]) == [MANY + 1]
    assert beat.poll() is None


@pytest.mark.slow
@pytest.mark.home("sqlite")
def test_a_command_that_is_killed_while_it_prunes_is_gone_on_with(run: Run) -> None:
    caller = make_workspace("free")
    fill(caller.workspace, MANY)
    age(caller, days=8)
    log = run.home.folder / "prune.log"
    command = [sys.executable, "manage.py", "prune", "--workspace", caller.workspace.slug]
    dying = spawn(command, log, env=run.home.environment(), cwd=ROOT)
    wait_until(lambda: left(caller) < MANY, 60, lambda: tail(log))
    end(dying, signal.SIGKILL)
    at = left(caller)
    assert 0 < at < MANY, "it was not in the middle"
    gone, _ = pruning.prune(caller.workspace.pk)
    assert gone["messages"] == at
    assert Pruned.objects.get(workspace=caller.workspace, what="messages").count == MANY
