"""Fixtures every test may ask for. Data is committed and stays: each test makes workspaces of its own.

`call` runs a test once over each surface; `@pytest.mark.parametrize("call", ["lane"], indirect=True)` narrows it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
import redis
from django.conf import settings
from django.db import connection, connections
from mcp import Client
from pytest_django.plugin import DjangoDbBlocker

from crosswire.lib import clock as product_clock
from crosswire.lib import executor, redis_clients
from tests.plugin import RUN
from tests.support import cast, clients, servers
from tests.support import statements as sql
from tests.support.cast import Caller, Credential
from tests.support.homes import Home, Run
from tests.support.jobs import Jobs, collected
from tests.support.servers import Program, ServerProcess
from tests.support.surfaces import SURFACES, Surface, SurfaceName

# --- the database -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """The test run this process belongs to."""
    return request.config.stash[RUN]


@pytest.fixture(scope="session", autouse=True)
def database(run: Run, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Migrate this process's database and let every test and thread use it."""
    with django_db_blocker.unblock():
        sql.watch_connections()
        run.prepare()
        settings.WHITENOISE_AUTOREFRESH = True  # else each test client lists all static files, which takes it 0.1 s
        yield
        _close_connections()


@pytest.fixture(scope="session")
def django_db_setup(database: None) -> None:
    """Have pytest-django use our database instead of making one of its own."""


def _close_connections() -> None:
    """Close the connections of the executor's threads and of this one; left open they are a warning each."""
    together = threading.Barrier(settings.EXECUTOR_THREADS)

    def job() -> None:
        together.wait(10)  # holds this thread, so that each gets one job
        connections.close_all()

    with suppress(RuntimeError):  # shut down already
        for done in [executor.pool().submit(job) for _ in range(settings.EXECUTOR_THREADS)]:
            done.result(10)
        executor.pool().shutdown()
    connections.close_all()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined] # PostgreSQL's alone


@pytest.fixture
def statements() -> Callable[..., Any]:
    """`with statements() as ran:` records the SQL of the server's threads; see tests/support/statements.py."""
    return sql.statements


# --- time -------------------------------------------------------------------------------------------------------


class Clock:
    """The product's clock in this process, thread servers included."""

    def forward(self, **by: float) -> None:
        """Move it, for example `forward(days=8)`."""
        product_clock.shift(timedelta(**by))

    def now(self) -> datetime:
        """Return what the product takes for now."""
        return product_clock.now()


@pytest.fixture
def clock() -> Clock:
    """A clock to move; it is put right after each test."""
    return Clock()


@pytest.fixture(autouse=True)
def _clock_put_right() -> Iterator[None]:
    yield
    product_clock.reset()
    redis_clients._away_until = 0.0  # for the second after a test took Redis away calls would pass uncounted


@pytest.fixture
def empty_queue(run: Run) -> None:
    """See to it that no worker finds jobs of tests before, whose workers were killed."""
    if run.home.redis_url:
        with redis.Redis.from_url(run.home.redis_url) as client:
            client.delete("celery")


# --- people -----------------------------------------------------------------------------------------------------


class MakeWorkspace(Protocol):
    """What the fixture `make_workspace` is."""

    def __call__(self, plan: str = "pro", name: str = "acme") -> Caller: ...


@pytest.fixture
def make_workspace() -> MakeWorkspace:
    """Make a workspace and return a caller with its key; `.key_for()`, `.with_key()` make further keys."""
    return cast.make_workspace


@pytest.fixture
def alice() -> Caller:
    """Owns a workspace on the plan `pro`."""
    return cast.make_workspace(name="alice")


@pytest.fixture
def bob(alice: Caller) -> Caller:
    """A second caller in Alice's workspace, with a workspace key of his own."""
    return alice.with_key()


@pytest.fixture
def mallory() -> Caller:
    """A stranger with a workspace of her own."""
    return cast.make_workspace(name="mallory")


# --- servers in this process, and calls to them -----------------------------------------------------------------


@pytest.fixture(scope="session")
def lane_url(database: None) -> Iterator[str]:
    """The address of a thread server as shipped: /mcp, and /api with the lane."""
    from crosswire.asgi import build_application  # noqa: PLC0415 - only who needs the server loads it

    with servers.thread_server(build_application(lane=True)) as server:
        yield server.url


@pytest.fixture(scope="session")
def drf_url(database: None) -> Iterator[str]:
    """The address of a thread server whose /api is DRF's alone."""
    from crosswire.asgi import build_application  # noqa: PLC0415 - as above

    with servers.thread_server(build_application(lane=False)) as server:
        yield server.url


@pytest.fixture(scope="session")
def surface(request: pytest.FixtureRequest) -> Iterator[Callable[[SurfaceName], Surface]]:
    """`surface("lane")` returns one surface by name, for tests that compare them."""
    made: dict[SurfaceName, Surface] = {}

    def named(name: SurfaceName) -> Surface:
        if name not in made:
            made[name] = Surface(name, request.getfixturevalue("drf_url" if name == "drf" else "lane_url"))
        return made[name]

    yield named
    for one in made.values():
        one.close()


@pytest.fixture(params=SURFACES)
def call(request: pytest.FixtureRequest, surface: Callable[[SurfaceName], Surface]) -> Surface:
    """`call(alice, "send_message", sender="a", content="x")` over each surface in turn; see Surface."""
    return surface(request.param)


class SdkClient(Protocol):
    """What the fixture `sdk_client` is."""

    def __call__(
        self, caller: Credential, mode: clients.Mode = "2026-07-28", url: str | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture
def sdk_client(request: pytest.FixtureRequest) -> SdkClient:
    """`async with sdk_client(alice) as client:` is the official SDK's client, on the thread server unless told."""

    def connect(
        caller: Credential, mode: clients.Mode = "2026-07-28", url: str | None = None, **options: Any
    ) -> AbstractAsyncContextManager[Client]:
        return clients.connected_client(caller, url or request.getfixturevalue("lane_url"), mode, **options)

    return connect


# --- servers in processes of their own --------------------------------------------------------------------------


@pytest.fixture
def make_home(run: Run, database: None) -> Iterator[Callable[[], Home]]:
    """Make a home for server processes: a migrated, empty database, its own Redis if the run has one."""
    with ExitStack() as homes:

        def make() -> Home:
            home = run.new_home()
            homes.callback(run.discard, home)
            return home

        yield make


class Serve(Protocol):
    """What the fixture `serve` is."""

    def __call__(
        self,
        home: Home | None = None,
        program: Program = "uvicorn",
        *,
        app: str = servers.APPLICATION,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        is_cold: bool = False,
    ) -> ServerProcess: ...


@pytest.fixture
def serve(make_home: Callable[[], Home]) -> Iterator[Serve]:
    """Start a server process, in a fresh home if none is given; it is killed after the test."""
    with ExitStack() as running:

        def start(home: Home | None = None, program: Program = "uvicorn", **options: Any) -> ServerProcess:
            return running.enter_context(ServerProcess(home or make_home(), program, **options))

        yield start


class SurfaceAt(Protocol):
    """What the fixture `surface_at` is."""

    def __call__(self, name: SurfaceName, url: str) -> Surface: ...


@pytest.fixture
def surface_at() -> Iterator[SurfaceAt]:
    """`surface_at("lane", server.url)` calls another server than the thread servers."""
    with ExitStack() as open_surfaces:

        def at(name: SurfaceName, url: str) -> Surface:
            made = Surface(name, url)
            open_surfaces.callback(made.close)
            return made

        yield at


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """What this process was asked to do beside a request; the test does it itself (`jobs.do()`) or nobody does."""
    with collected(monkeypatch) as found:
        yield found
