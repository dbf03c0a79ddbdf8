"""Whatever is asked, the answer is a result or a coded refusal, and the workspace's rows fit together afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, note, reject
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bus.operations import OPERATIONS, Operation
from crosswire.lib.errors import CODES
from tests.isolation.world import make_alice, rows_of
from tests.properties.strategies import CHANNELS, FOREIGN, INSTANCES, KEYS, Asked, calls, extremes
from tests.support import laws
from tests.support.cast import Caller, make_workspace
from tests.support.messages import principal_of
from tests.support.properties import tried
from tests.support.surfaces import MCP, SURFACES, Refusal, Result, Surface, SurfaceName

PROTOCOL_FAULTS = {"jsonrpc:-32700", "jsonrpc:-32600", "jsonrpc:-32602"}
"""What JSON-RPC calls no JSON, no request and no valid parameters."""


@pytest.fixture(scope="module")
def stranger(database: None) -> Caller:
    return make_alice(FOREIGN)


@dataclass(frozen=True)
class World:
    """A workspace with something of everything, and its keys."""

    owner: Caller
    keys: tuple[Caller, ...]


@pytest.fixture
def world(stranger: Caller) -> Iterator[World]:
    before = rows_of(stranger)
    owner = make_workspace("unlimited", "ours")

    def do(operation: str, **arguments: Any) -> Any:
        return OPERATIONS[operation](principal_of(owner), arguments)

    for sender in INSTANCES:
        for channel in CHANNELS:
            do("send_message", channel=channel, sender=sender, content="the plan", message_type="request")
        do("send_message", sender=sender, content="POL-3 日本", in_reply_to=1, idempotency_key="once")
    for key in KEYS:
        do("share_data", key=key, sender=INSTANCES[0], content="é🦊 x" * 30)
    do("inbox", instance_id=INSTANCES[1], limit=2)
    yield World(owner, (owner, owner, owner, owner.with_key("bound"), owner.with_key(read_only=True)))
    assert laws.broken(owner) == []
    assert rows_of(stranger) == before, "another workspace's rows were touched"


def cases() -> Iterator[Any]:
    for operation in OPERATIONS.values():
        for surface in SURFACES:
            if operation.is_tool if surface in MCP else operation.http is not None:
                yield pytest.param(operation, surface, id=f"{operation.name}-{surface}")


@pytest.mark.parametrize(("operation", "name"), list(cases()))
def test_any_arguments_get_a_result_or_a_coded_refusal(
    surface: Callable[[SurfaceName], Surface], world: World, operation: Operation, name: SurfaceName
) -> None:
    call = surface(name)

    @tried(15 if operation.params.model_fields else 5)
    @given(asked=calls(operation, on_mcp=call.is_mcp), key=st.integers(0, len(world.keys) - 1))
    def law(asked: Asked, key: int) -> None:
        try:
            answer = call(world.keys[key], operation.name, **asked.arguments)
        except httpx2.InvalidURL:
            reject()  # longer than the client can write
        note(f"key {key} got {str(answer)[:1_000]}")
        if isinstance(answer, Result):
            assert asked.is_known, "an argument that there is not was taken"
            assert_result(operation, call, answer)
        else:
            assert_refusal(call, answer)
            assert not asked.is_valid or answer.code in CODES, "what the schema allows was called malformed"
            assert not asked.is_valid or answer.code != "invalid_input", "what the schema allows was refused"
        if not operation.is_read:
            assert laws.broken(world.owner) == []

    for asked in extremes(operation, on_mcp=call.is_mcp):
        law = example(asked=asked, key=0)(law)
    law()


def assert_result(operation: Operation, call: Surface, answer: Result) -> None:
    assert answer.status == 200
    TypeAdapter(operation.result).validate_python(answer.data)
    if call.is_mcp:
        assert answer.text


def assert_refusal(call: Surface, answer: Refusal) -> None:
    assert isinstance(answer.message, str)
    assert answer.message.strip()
    if answer.code in PROTOCOL_FAULTS and call.is_mcp:
        assert answer.status in {200, 400}
        return
    assert answer.code in CODES
    assert 400 <= CODES[answer.code] < 500
    if answer.status is not None:
        assert answer.status == CODES[answer.code]
        assert answer.headers["content-type"].startswith("application/json")
    else:
        assert answer.raw["isError"] is True
        assert "structuredContent" not in answer.raw
        assert answer.raw["_meta"]["crosswire/error"]["code"] == answer.code
