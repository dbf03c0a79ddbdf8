"""That the harness stands: the home, servers in threads and in processes, the clock, the calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from accounts.models import Workspace
from crosswire.lib import executor
from tests.conftest import Clock, MakeWorkspace, SdkClient, Serve, SurfaceAt
from tests.plugin import BOTH_HOMES, surfaces_left_to_others
from tests.support import loopback, servers
from tests.support.cast import Caller, Credential
from tests.support.echo import echo
from tests.support.homes import ROOT, Home, Run, settings_variables
from tests.support.servers import ServerProcess, thread_server
from tests.support.surfaces import MCP, REST, SURFACES, Refusal, Result, Surface, SurfaceName, rest_request

ECHO = "tests.support.echo:echo"

# --- the home ---------------------------------------------------------------------------------------------------


def test_the_database_is_the_runs_own_and_migrated(run: Run) -> None:
    assert connection.vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[run.kind]
    assert str(connection.settings_dict["NAME"]).endswith(
        str(run.home.folder / "crosswire.db") if run.kind == "sqlite" else f"_{run.worker}"
    )
    call_command("migrate", check_unapplied=True, verbosity=0)


def test_the_postgres_home_has_a_redis_and_the_sqlite_home_none(run: Run) -> None:
    assert bool(settings.REDIS_URL) == (run.kind == "postgres")
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            assert client.ping()


def test_of_each_two_surfaces_that_are_alike_one_is_left_to_the_other_home(
    request: pytest.FixtureRequest, run: Run
) -> None:
    elsewhere = {kind: surfaces_left_to_others(kind) for kind in ("sqlite", "postgres")}
    assert sorted([*elsewhere["sqlite"], *elsewhere["postgres"]]) == sorted(SURFACES)
    ran = {item.nodeid.rpartition("test_an_operation_succeeds_on_every_surface")[2] for item in request.session.items}
    here = {surface for surface in SURFACES if f"[{surface}]" in ran}
    left_out = here & elsewhere[run.kind]
    assert request.config.option.every_surface or not left_out or here == left_out  # asked for by name


def test_what_runs_on_both_homes_is_there() -> None:
    assert [path for path in BOTH_HOMES if not (ROOT / path).exists()] == []


def test_settings_come_from_the_harness_alone(run: Run) -> None:
    assert {"DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY_FILE", "MAIL_BACKEND"} <= settings_variables()
    assert settings.PUBLIC_URL == "http://localhost:8000"
    assert run.folder in Path(settings.VAR_DIR).parents


def test_what_a_test_stores_is_committed_for_other_threads(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace()
    seen = []

    def look() -> None:
        seen.append(Workspace.objects.filter(pk=caller.workspace.pk).exists())
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(10)
    assert seen == [True]


async def test_the_cast_can_be_made_while_an_event_loop_runs(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace(plan="free")
    assert caller.workspace.plan == "free"
    assert caller.key_for("worker-1", read_only=True).startswith("cw_")


def test_bob_shares_alices_workspace_and_mallory_does_not(alice: Caller, bob: Caller, mallory: Caller) -> None:
    assert alice.workspace == bob.workspace != mallory.workspace
    assert len({alice.key, bob.key, mallory.key}) == 3


def test_a_new_home_has_a_migrated_database_of_its_own(make_home: Callable[[], Home], run: Run) -> None:
    first, second = make_home(), make_home()
    assert len({run.home.database_url, first.database_url, second.database_url}) == 3
    servers.manage(second, "migrate", "--check")


def test_the_clock_moves(clock: Clock) -> None:
    before = clock.now()
    clock.forward(days=8)
    assert timedelta(days=8) <= clock.now() - before < timedelta(days=8, minutes=1)


def test_statements_of_the_executors_threads_are_counted(statements: Callable[..., Any]) -> None:
    with statements() as ran:
        Workspace.objects.count()  # ours, not the executor's
        asyncio.run(executor.run(Workspace.objects.count))
    assert len(ran) == 1
    assert "accounts_workspace" in ran.queries[0]


# --- servers ----------------------------------------------------------------------------------------------------


def test_a_thread_server_answers_and_ends() -> None:
    with thread_server(echo) as server:
        assert loopback.get(f"{server.url}/here").text == "/here"
    with pytest.raises(httpx2.ConnectError):
        loopback.get(server.url)


def test_a_server_that_cannot_start_shows_its_log(make_home: Callable[[], Home]) -> None:
    with pytest.raises(RuntimeError, match="nothing_of_that_name"):
        ServerProcess(make_home(), app="tests.nothing_of_that_name:app").start()


@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
def test_a_server_process_answers_stops_and_dies(serve: Serve, program: servers.Program) -> None:
    server = serve(program=program, app=ECHO)
    assert server.is_healthy()
    assert server.stop() < servers.STOP_SECONDS
    assert not server.is_healthy()
    server.start().kill()
    assert not server.is_running
    assert not server.is_healthy()


@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
def test_the_product_starts_in_a_process_with_a_key_and_a_clock(
    serve: Serve, make_home: Callable[[], Home], surface_at: SurfaceAt, program: servers.Program
) -> None:
    home = make_home()
    anna = Credential(servers.create_workspace(home, "anna"))
    call = surface_at("lane", serve(home, program).url)
    before = call.ok(anna, "whoami")
    servers.move_clock(home, timedelta(days=3))
    after = call.ok(anna, "whoami")
    assert before["workspace"] == after["workspace"]
    assert after["server_time"][:10] > before["server_time"][:10]


# --- calls ------------------------------------------------------------------------------------------------------


def test_rest_requests_come_from_the_operations_table() -> None:
    assert rest_request("get_replies", {"channel": "a b", "message_id": 3}) == (
        "GET",
        "/messages/a%20b/3/replies",
        {},
    )
    assert rest_request("find_channel", {"query": "x"}) == ("GET", "/channels/search", {"q": "x"})
    assert rest_request("check_messages", {"limit": 5}) == ("GET", "/messages/general", {"limit": 5})
    with pytest.raises(LookupError, match="no REST call"):
        rest_request("wait_for_reply", {})
    with pytest.raises(LookupError, match="needs id"):
        rest_request("get_replies", {})


def test_an_operation_succeeds_on_every_surface(call: Surface, alice: Caller) -> None:
    sent = call.ok(alice, "send_message", channel="general", sender="a", content="hello")
    assert isinstance(sent, Result)
    assert sent["id"] == 1
    assert sent.status == 200
    assert (sent.text is not None) == call.is_mcp


def test_a_refusal_comes_back_as_one_on_every_surface(call: Surface, alice: Caller) -> None:
    refusal = call.refused(alice, "send_message", "invalid_input", sender="a")
    assert "content" in refusal.message
    assert refusal.status == (None if call.is_mcp else 400)


def test_no_key_is_refused_on_every_surface(call: Surface) -> None:
    refusal = call(None, "whoami")
    assert isinstance(refusal, Refusal)
    assert refusal.status == 401
    assert "www-authenticate" in refusal.headers


def test_the_servers_statements_are_counted_on_every_surface(
    call: Surface, alice: Caller, statements: Callable[..., Any]
) -> None:
    call.ok(alice, "check_messages", channel="general")
    with statements() as ran:
        call.ok(alice, "check_messages", channel="general")
    assert 0 < len(ran) < 50, str(ran)


@pytest.mark.django_db
def test_a_test_may_still_ask_for_a_transaction_that_is_rolled_back(make_workspace: MakeWorkspace) -> None:
    assert connection.in_atomic_block
    assert make_workspace().workspace.pk


def test_calls_can_run_beside_each_other(call: Surface, alice: Caller) -> None:
    answers = [call.start(alice, "send_message", sender=f"s{n}", content="x") for n in range(8)]
    numbers = [answer.result(30)["id"] for answer in answers]  # type: ignore[index] # a refusal fails here as well
    assert sorted(numbers) == list(range(1, 9))


@pytest.mark.parametrize("mode", ["2026-07-28", "2025-11-25", "legacy", "auto"])
async def test_the_official_client_connects(sdk_client: SdkClient, alice: Caller, mode: Any) -> None:
    async with sdk_client(alice, mode) as client:
        answer = await client.call_tool("whoami", {})
        assert not answer.is_error
        assert (await client.list_tools()).tools


@pytest.mark.parametrize("name", [*MCP, *REST])
def test_a_surface_can_be_had_by_name(surface: Callable[[SurfaceName], Surface], name: SurfaceName) -> None:
    assert surface(name).name == name
    assert urlsplit(surface(name).url).hostname == "127.0.0.1"
