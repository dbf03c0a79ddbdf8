"""Jobs: work that a request asks for and does not wait for.

With Redis a Celery worker does it. Without, a thread of this process does, one job after the other: an eager task would
hold up the request. Either way a job may be cut off at any moment, so each is safe to run again, and the schedule finds
what was left (`accounts.tasks.resume`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread

from django.conf import settings
from django.db import connections, transaction
from django.utils.module_loading import import_string

from crosswire.lib import redis_clients

logger = logging.getLogger(__name__)

type Job = Callable[[], None]

_waiting: SimpleQueue[Job] = SimpleQueue()
_lock = Lock()
_worker: Thread | None = None


def queue(task: str, *ids: int) -> None:
    """Have a Celery task run after this transaction's commit, beside the request."""
    transaction.on_commit(lambda: start(task, *ids))


def start(task: str, *ids: int) -> None:
    """Have a task run soon. A broker that is away is logged, no more: the schedule finds what is left to do."""
    if settings.CELERY_TASK_ALWAYS_EAGER:
        _have_done(partial(run, task, *ids))
        return
    if not redis_clients.is_worth_asking():  # it failed just now: one request a second finds out whether it still does
        logger.error("job_not_queued", extra={"task": task})
        return
    try:
        import_string(settings.JOBS_APP).send_task(task, ids)
    except Exception as problem:  # whatever the broker's client raises; what was asked for is committed
        logger.exception("job_not_queued", extra={"task": task})
        redis_clients.note_away(problem)


def run(task: str, *ids: int) -> None:
    """Run a task, which is named by where it stands, in this thread; one that fails is logged."""
    try:
        import_string(task)(*ids)
    except Exception:
        logger.exception("job_failed", extra={"task": task})


def _have_done(job: Job) -> None:
    global _worker  # noqa: PLW0603 - one thread a process
    with _lock:
        _waiting.put(job)
        if _worker is None or not _worker.is_alive():
            # A daemon: the process ends whatever is under way, and the job begins anew some time.
            _worker = Thread(target=_work, name="crosswire-jobs", daemon=True)
            _worker.start()


def _work() -> None:
    while True:
        job = _waiting.get()
        try:
            job()
        finally:
            connections.close_all()
