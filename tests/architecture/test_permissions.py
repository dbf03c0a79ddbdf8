"""Who may do what: this table is the whole policy, and every operation is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accounts import services
from accounts.models import ApiKey
from bus.models import Cursor, Instance
from bus.operations import OPERATIONS
from crosswire.lib import keys
from tests.support.cast import Caller, Credential, make_workspace
from tests.support.messages import principal_of
from tests.support.surfaces import SURFACES, Refusal, Surface

KEYS = (
    "workspace",
    "workspace, read-only",
    "instance",
    "instance, read-only",
    "instance, naming another",
    "workspace, naming an instance that has a key",
    "none",
    "revoked",
    "suspended",
)
"""The kinds of key, in the order of the table's columns."""

POLICY = {
    "register": "+ R + R W W U U S",
    "unregister": "+ R + R W W U U S",
    "list_instances": "+ + + + - - U U S",
    "create_channel": "+ R + R - - U U S",
    "list_channels": "+ + + + - - U U S",
    "find_channel": "+ + + + - - U U S",
    "send_message": "+ R + R W W U U S",
    "check_messages": "+ + + + W W U U S",
    "wait_for_reply": "+ + + + W W U U S",
    "get_replies": "+ + + + - - U U S",
    "message_status": "+ + + + - - U U S",
    "claim_message": "+ R + R W W U U S",
    "inbox": "+ R + R W W U U S",
    "ack_inbox": "+ R + R W W U U S",
    "subscribe": "+ R + R W W U U S",
    "unsubscribe": "+ R + R W W U U S",
    "search_messages": "+ + + + - - U U S",
    "share_data": "+ R + R W W U U S",
    "list_shared_data": "+ + + + - - U U S",
    "get_shared_data": "+ + + + - - U U S",
    "delete_shared_data": "+ R + R - - U U S",
    "whoami": "+ + + + - - U U S",
    "usage": "+ + + + - - U U S",
}
OUTCOMES = {"+": "", "R": "read_only_key", "W": "wrong_instance", "U": "unauthorized", "S": "suspended"}
"""`+` succeeds, `-` does not apply: nobody is named."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "create_channel": {"name": "room"},
    "find_channel": {"query": "gen"},
    "send_message": {"content": "x"},
    "wait_for_reply": {"timeout_seconds": 0.05, "persistent": False, "after_id": 0},
    "get_replies": {"message_id": 1},
    "message_status": {"message_id": 1},
    "claim_message": {"message_id": 1, "release": True},
    "ack_inbox": {"channel": "general", "up_to": 1},
    "subscribe": {"channel": "general"},
    "unsubscribe": {"channel": "general"},
    "search_messages": {"query": "hello"},
    "share_data": {"key": "k", "content": "x"},
    "get_shared_data": {"key": "k"},
    "delete_shared_data": {"key": "k"},
}
"""What each operation is given besides who calls."""

OFFERED = [
    (surface, name)
    for surface in SURFACES
    for name, each in OPERATIONS.items()
    if (each.is_tool if surface.startswith("mcp") else each.http)
]


@dataclass
class Keyring:
    """One workspace and a key of every kind; `free` is an instance anybody may be, `bound` has a key of its own."""

    keys: dict[str, Credential | None]

    @classmethod
    def make(cls) -> Keyring:
        alice, closed = make_workspace("unlimited"), make_workspace("unlimited")
        bound, revoked = alice.with_key("bound"), alice.with_key()
        services.revoke_key(ApiKey.objects.get(digest=keys.digest(revoked.key)))
        services.suspend(closed.workspace, "unpaid")
        kinds = (
            alice,
            alice.with_key(read_only=True),
            bound,
            _read_only_of_an_instance(alice),
            bound,
            alice,
            None,
            revoked,
            closed,
        )
        made = cls(dict(zip(KEYS, kinds, strict=True)))
        made.prepare()
        return made

    def prepare(self) -> None:
        """Have there be what the operations are about, again after one took it away."""
        alice, bound = self.keys["workspace"], self.keys["instance"]
        assert alice is not None
        assert bound is not None
        OPERATIONS["send_message"](
            principal_of(alice), {"sender": "asker", "content": "hello", "message_type": "request"}
        )
        OPERATIONS["share_data"](principal_of(alice), {"key": "k", "content": "x", "sender": "free"})
        OPERATIONS["register"](principal_of(bound), {})


def _read_only_of_an_instance(alice: Caller) -> Caller:
    return alice.with_key("bound-reader", read_only=True)


def who(kind: str) -> str:
    """Return the instance that a caller with this kind of key says to be."""
    match kind:
        case "instance":
            return "bound"
        case "instance, read-only":
            return "bound-reader"
        case "workspace, read-only":
            return "onlooker"
        case "workspace, naming an instance that has a key":
            return "bound"
        case _:
            return "free"


def test_every_operation_has_its_row_and_no_other_has() -> None:
    assert set(POLICY) == set(OPERATIONS)
    for name, row in POLICY.items():
        assert len(row.split()) == len(KEYS), name
        assert ("-" in row) == (OPERATIONS[name].instance is None), name


@pytest.mark.parametrize(("call", "operation"), OFFERED, indirect=["call"])
def test_each_kind_of_key_may_do_what_the_table_says(call: Surface, operation: str) -> None:
    keyring = Keyring.make()
    naming = OPERATIONS[operation].instance
    met = {}
    for kind, cell in zip(KEYS, POLICY[operation].split(), strict=True):
        if cell == "-":
            continue
        keyring.prepare()
        named = {naming: who(kind)} if naming else {}
        answer = call(keyring.keys[kind], operation, **ARGUMENTS.get(operation, {}), **named)
        met[kind] = answer.code if isinstance(answer, Refusal) else ""
    expected = dict(zip(KEYS, POLICY[operation].split(), strict=True))
    assert met == {kind: OUTCOMES[cell] for kind, cell in expected.items() if cell != "-"}
    alice = keyring.keys["workspace"]
    assert isinstance(alice, Caller)
    left_by_readers = {"workspace": alice.workspace, "name__in": ["onlooker", "bound-reader"]}
    assert not Instance.objects.filter(**left_by_readers).exists(), "a read-only key left an instance"
    assert not Cursor.objects.filter(
        instance__name__in=["onlooker", "bound-reader"], workspace=alice.workspace
    ).exists()


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "X-Auth-Token"])
def test_the_same_policy_holds_wherever_the_key_stands(
    surface: Callable[..., Surface], alice: Caller, header: str
) -> None:
    class Elsewhere(Credential):
        @property
        def headers(self) -> dict[str, str]:
            return {header: f"Bearer {self.key}" if header == "Authorization" else self.key}

    reader = Elsewhere(alice.key_for(read_only=True))
    for name in SURFACES:
        surface(name).ok(reader, "whoami")
        surface(name).refused(reader, "create_channel", "read_only_key", name="room")
