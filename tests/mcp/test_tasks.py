"""The protocol side of tasks: who is offered them, whose they are, and that they outlive processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

import mcp_types as types
import pytest
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim

from accounts import rates
from accounts.models import ApiKey
from accounts.services import revoke_key
from tests.conftest import SdkClient, Serve, SurfaceAt
from tests.mcp import wire
from tests.mcp.tasks import ABSENT, EXTENSION, WAIT, Asker, declaring, messages
from tests.support import servers
from tests.support.cast import Caller, Credential
from tests.support.homes import Home
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess, create_workspace
from tests.support.surfaces import Surface, SurfaceName

METHODS = ("tasks/get", "tasks/cancel", "tasks/update")
SOON = 30.0


@pytest.fixture
def ann(lane_url: str, alice: Caller) -> Asker:
    """Alice's client that takes tasks."""
    return Asker(lane_url, alice)


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Home:
    """An installation."""
    return make_home()


@pytest.fixture
def credential(home: Home) -> Credential:
    """A key of a workspace there."""
    return Credential(create_workspace(home))


def more(method: str) -> dict[str, Any]:
    """Return what else a method takes."""
    return {"inputResponses": {}} if method == "tasks/update" else {}


# --- who is offered tasks ----------------------------------------------------------------------------------------


def test_the_extension_is_told_of_in_discovery_and_nowhere_else(lane_url: str, alice: Caller) -> None:
    found = wire.result(lane_url, wire.request(alice, "server/discover"))
    assert found["capabilities"]["extensions"] == {EXTENSION: {}}
    for version in wire.OLDER:
        begun = wire.result(lane_url, wire.initialize(alice, version))
        assert "extensions" not in begun["capabilities"]


def test_a_client_that_does_not_declare_the_extension_gets_no_task(lane_url: str, alice: Caller) -> None:
    arguments = {"instance_id": "ann", "max_wait_minutes": 0.51, "timeout_seconds": 0.1, "persistent": False}
    answer = wire.result(lane_url, wire.call(alice, WAIT, arguments))
    assert answer["resultType"] == "complete"


@pytest.mark.parametrize("method", METHODS)
def test_a_client_that_does_not_declare_the_extension_is_told_to(ann: Asker, method: str) -> None:
    task = ann.begin(instance_id="ann")
    sent = wire.request(ann.caller, method, {"taskId": task, **more(method)}).with_headers(Mcp_Name=task)
    error = wire.error(ann.url, sent)
    assert error["code"] == -32021
    assert error["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    ann.cancel(task)


@pytest.mark.parametrize("version", wire.OLDER)
def test_the_older_protocols_know_no_tasks(ann: Asker, version: str) -> None:
    for method in METHODS:
        sent = wire.request(ann.caller, method, {"taskId": "x", **more(method)}, version)
        assert wire.error(ann.url, sent)["code"] == -32601


@pytest.mark.slow
def test_a_switch_turns_tasks_off(home: Home, credential: Credential, serve: Serve) -> None:
    server = serve(home, env={"MCP_TASKS": "false"})
    client = Asker(server.url, credential)
    found = wire.result(server.url, declaring(wire.request(credential, "server/discover")))
    assert "extensions" not in found["capabilities"]
    assert client.refused("tasks/get", "x")["code"] == -32601
    client.data("register", instance_id="ann")
    waited = client.start(WAIT, instance_id="ann")
    wait_until(lambda: waits_on(client) == ["general"], SOON, lambda: "the call does not wait")
    client.data("send_message", sender="bob", content="hello")
    assert waited.result(SOON)["structuredContent"]["ended"] == "message"


def waits_on(client: Asker) -> list[str]:
    """Return where the only instance waits."""
    (instance,) = client.data("list_instances")["instances"]
    return list(instance["waiting_on"])


# --- whose they are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_task_and_somebody_elses_look_alike(
    ann: Asker, alice: Caller, bob: Caller, mallory: Caller, method: str
) -> None:
    task = ann.begin(instance_id="ann")
    strangers = [Asker(ann.url, each) for each in (bob, mallory, alice.with_key("ann"), alice.with_key(read_only=True))]
    refusals = [each.refused(method, task, **more(method)) for each in strangers]
    refusals += [ann.refused(method, unknown, **more(method)) for unknown in (f"{task}x", "x", "%")]
    assert refusals == [ABSENT] * len(refusals)
    assert ann.cancel(task)["resultType"] == "complete"


def test_a_rotated_keys_task_stays(ann: Asker, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    other = alice.with_key()
    credential = ApiKey.objects.get(workspace=alice.workspace, name="first key").credential
    ApiKey.objects.filter(workspace=alice.workspace, name="a key").update(credential=credential)
    assert Asker(ann.url, other).cancel(task)["resultType"] == "complete"


def test_a_task_can_be_asked_for_however_often_its_key_has_called(ann: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PROTOCOL_CALLS", 1)
    task = ann.begin(instance_id="ann")
    ann.data("send_message", sender="bo", content="x")
    assert [ann.get(task)["status"] for _ in range(5)] == ["completed"] * 5


def test_who_asks_again_and_again_for_what_is_not_there_is_slowed_down(
    ann: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "PROTOCOL_CALLS", 2)
    errors = [wire.error(ann.url, ann.request("tasks/get", "unknown")) for _ in range(3)]
    assert errors[:2] == [ABSENT, ABSENT]
    assert "protocol calls a minute" in errors[2]["message"]


def test_a_revoked_key_asks_for_nothing(ann: Asker, alice: Caller) -> None:
    task = ann.begin(instance_id="ann")
    revoke_key(ApiKey.objects.get(workspace=alice.workspace))
    assert ann.post("tasks/get", task).status_code == 401


@pytest.mark.parametrize("arguments", [{}, {"taskId": 7}, {"taskId": None}, {"taskId": "x" * 300}])
def test_a_task_that_is_not_named_is_refused(ann: Asker, arguments: dict[str, Any]) -> None:
    sent = declaring(wire.request(ann.caller, "tasks/get"))
    sent.body["params"] |= arguments
    assert wire.error(ann.url, sent)["code"] == -32602


def test_an_update_is_acknowledged_and_ignored(ann: Asker) -> None:
    task = ann.begin(instance_id="ann")
    sent = ann.request("tasks/update", task, inputResponses={"x": {"action": "accept"}})
    assert wire.result(ann.url, sent)["resultType"] == "complete"
    ann.cancel(task)


# --- the official client -----------------------------------------------------------------------------------------


class _Created(types.Result):
    """An answer that is a task."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class _Shown(types.Result, extra="allow"):
    """How a task stands."""

    status: str
    result: dict[str, Any] | None = None


class _TaskParams(types.RequestParams):
    task_id: str


class _Get(types.Request[_TaskParams, Literal["tasks/get"]]):
    name_param = "taskId"
    method: Literal["tasks/get"] = "tasks/get"
    params: _TaskParams


class _Tasks(ClientExtension):
    """The extension as a client of the SDK would have it: whoever calls a tool does not see that it was a task."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = asyncio.Event()

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=_Created, resolve=self._finish)]

    async def _finish(self, created: _Created, ctx: ClaimContext) -> types.CallToolResult:
        while True:
            self.asked.append(created.task_id)
            self.begun.set()
            shown = await ctx.session.send_request(_Get(params=_TaskParams(task_id=created.task_id)), _Shown)
            if shown.result is not None:
                return types.CallToolResult.model_validate(shown.result)


async def test_a_client_of_the_python_sdk_waits_by_a_task(
    sdk_client: SdkClient, alice: Caller, surface: Callable[[SurfaceName], Surface]
) -> None:
    tasks, rest = _Tasks(), surface("lane")
    async with sdk_client(alice, extensions=[tasks]) as client, asyncio.timeout(SOON):
        waiting = asyncio.create_task(client.call_tool(WAIT, {"instance_id": "ann"}))
        await tasks.begun.wait()
        await asyncio.to_thread(rest.ok, alice, "send_message", sender="bob", content="hello")
        answer = await waiting
    assert answer.structured_content is not None
    assert answer.structured_content["ended"] == "message"
    assert len(tasks.asked) == 1


# --- processes ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_any_process_answers_for_a_task_and_a_message_by_another_wakes_it(
    home: Home, credential: Credential, serve: Serve, surface_at: SurfaceAt
) -> None:
    one, other = serve(home), serve(home)
    task = Asker(one.url, credential).begin(instance_id="ann")
    answers = [Asker(server.url, credential).ask(task) for server in (one, other)]
    number = surface_at("lane", one.url).ok(credential, "send_message", sender="bob", content="hello")["id"]
    found = [answer.result(SOON) for answer in answers]
    assert [messages(each) for each in found] == [[number]] * 2
    assert found[0]["result"] == found[1]["result"]


@pytest.mark.slow
def test_a_task_outlives_the_process_that_made_it(
    home: Home, credential: Credential, serve: Serve, surface_at: SurfaceAt
) -> None:
    first = serve(home)
    task = Asker(first.url, credential).begin(instance_id="ann")
    unheard = Asker(first.url, credential).ask(task)
    first.kill()
    assert unheard.exception(SOON) is not None
    second = serve(home)
    number = surface_at("lane", second.url).ok(credential, "send_message", sender="bob", content="hello")["id"]
    assert messages(Asker(second.url, credential).get(task)) == [number]
    second.kill()
    assert messages(Asker(serve(home).url, credential).get(task)) == [number]


@pytest.mark.slow
@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
def test_a_server_that_stops_answers_with_the_present_state(
    home: Home, credential: Credential, serve: Serve, program: servers.Program
) -> None:
    server = serve(home, program)
    client = Asker(server.url, credential)
    task = client.begin(instance_id="ann")
    answer = client.ask(task)
    _until_held(server, client)
    server.stop()
    assert answer.result(SOON)["status"] == "working"
    again = Asker(serve(home).url, credential)
    again.cancel(task)
    assert again.get(task)["status"] == "cancelled"


def _until_held(server: ServerProcess, client: Asker) -> None:
    """Wait until somebody who asked is made to wait: then a second wait is told so."""
    wait_until(
        lambda: client.call(instance_id="ann")["resultType"] == "complete",
        SOON,
        lambda: f"Nobody is made to wait.\n{server.log}",
    )
