"""Jobs run beside the request: in a thread where there is no Redis, in a Celery worker where there is."""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Any

import pytest
from celery import Celery
from django.db import transaction
from django.utils.module_loading import import_string

from accounts import exports, tasks
from accounts.models import Export
from crosswire import ticker
from crosswire.celery import app
from crosswire.lib import jobs as product_jobs
from crosswire.lib import redis_clients
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.homes import ROOT, Run
from tests.support.jobs import Jobs
from tests.support.processes import end, spawn, tail, wait_until

START = product_jobs.start
"""The product's own; see the fixture `jobs`."""


@pytest.fixture(autouse=True)
def _for_real(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_jobs, "start", START)


def test_a_job_begins_after_the_commit_and_not_at_all_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(product_jobs, "start", lambda task, *ids: begun.append((task, ids)))
    with transaction.atomic():
        product_jobs.queue("a", 1)
        assert begun == []
    assert begun == [("a", (1,))]
    with transaction.atomic():
        product_jobs.queue("b", 2)
        transaction.set_rollback(True)
    assert begun == [("a", (1,))]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What failed."""
    found: list[str] = []
    monkeypatch.setattr(product_jobs.logger, "exception", lambda what, **more: found.append(what))
    return found


def test_a_job_that_fails_is_logged_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    ran = threading.Event()

    def fail() -> None:
        raise ValueError("boom")

    monkeypatch.setattr("django.conf.settings.CELERY_TASK_ALWAYS_EAGER", True)
    monkeypatch.setattr(tasks, "resume", fail)
    monkeypatch.setattr(tasks, "tell", ran.set)
    product_jobs.start("accounts.tasks.resume")
    product_jobs.start("accounts.tasks.tell")
    assert ran.wait(30)
    assert logged == ["job_failed"]


def test_a_broker_that_is_away_fails_no_request(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    def away(*args: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr("django.conf.settings.CELERY_TASK_ALWAYS_EAGER", False)
    monkeypatch.setattr(app, "send_task", away)
    monkeypatch.setattr(redis_clients, "_away_until", 0.0)
    product_jobs.start("accounts.tasks.resume")
    assert logged == ["job_not_queued"]


def test_a_broker_that_swallows_everything_holds_requests_up_for_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hushed = Celery("hushed", broker=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        hushed.conf.broker_transport_options = {**app.conf.broker_transport_options, "socket_timeout": 0.2}
        hushed.conf.task_publish_retry_policy = app.conf.task_publish_retry_policy
        assert 1 < app.conf.broker_transport_options["socket_timeout"] <= 5, "workers wait a second for each answer"
        monkeypatch.setattr("django.conf.settings.CELERY_TASK_ALWAYS_EAGER", False)
        monkeypatch.setattr(product_jobs, "import_string", lambda name: hushed)
        monkeypatch.setattr(redis_clients, "_away_until", 0.0)
        began = time.monotonic()
        product_jobs.start("accounts.tasks.resume")
        assert time.monotonic() - began < 5
        assert logged == ["job_not_queued"]
        assert not redis_clients.is_worth_asking(), "the next request would wait as long"


def test_without_a_beat_a_thread_keeps_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, asked = threading.Event(), []

    def note(task: str) -> None:
        asked.append(task)
        if len(asked) == 2 * len(app.conf.beat_schedule):
            ended.set()

    schedule = {name: {**entry, "schedule": 0.01} for name, entry in app.conf.beat_schedule.items()}
    monkeypatch.setattr(product_jobs, "start", note)
    monkeypatch.setattr(ticker, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(ticker, "TICK_SECONDS", 0.01)
    ticker.keep(schedule, ended)
    assert set(asked) == {entry["task"] for entry in schedule.values()}


@pytest.mark.slow
@pytest.mark.home("postgres")
@pytest.mark.usefixtures("empty_queue")
def test_a_real_worker_makes_an_export_that_this_process_hands_out(alice: Caller, run: Run, clock: Clock) -> None:
    command = [sys.executable, "-m", "celery", "-A", "crosswire.celery", "worker", "--pool", "solo", "-l", "INFO"]
    log = run.home.folder / "worker.log"
    worker = spawn(command, log, env=run.home.environment(), cwd=ROOT)
    try:
        export = exports.ask(alice.workspace)

        def is_made() -> bool:
            export.refresh_from_db()
            return export.state != Export.State.WAITING

        wait_until(is_made, 60, lambda: tail(log, 40))
    finally:
        end(worker)
    assert export.state == Export.State.READY, export.problem
    _, path = exports.find_file(alice.workspace, export.pk, actor="test")
    assert path.stat().st_size == export.size_bytes


def test_an_export_is_made_beside_the_request(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.CELERY_TASK_ALWAYS_EAGER", True)
    export = exports.ask(alice.workspace)

    def is_made() -> bool:
        export.refresh_from_db()
        return export.state == Export.State.READY

    wait_until(is_made, 30, lambda: export.state)


def test_every_task_is_named_by_where_it_stands() -> None:
    app.loader.import_default_modules()
    ours = [name for name in app.tasks if not name.startswith("celery.")]
    assert len(ours) >= 6
    assert [import_string(name).name for name in ours] == ours
