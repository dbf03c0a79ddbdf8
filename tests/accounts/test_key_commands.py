"""`manage.py create_key` and `manage.py revoke_key`."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiKey
from tests.support.cast import Caller, Credential
from tests.support.surfaces import Surface

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)


def made(*arguments: str) -> str:
    out = StringIO()
    call_command("create_key", *arguments, "--json", stdout=out)
    key: str = json.loads(out.getvalue())["api_key"]
    return key


@LANE
def test_a_bound_key_made_by_command_speaks_for_its_instance(call: Surface, alice: Caller) -> None:
    key = made(alice.workspace.slug, "for one", "--instance", "api-expert")
    sent = call.ok(Credential(key), "send_message", content="x")
    seen = call.ok(alice, "check_messages")["messages"][-1]
    assert (seen["id"], seen["sender"], seen["verified"]) == (sent["id"], "api-expert", True)


@LANE
def test_a_revoked_key_is_refused(call: Surface, alice: Caller) -> None:
    key = made(alice.workspace.slug, "short-lived")
    call.ok(Credential(key), "whoami")
    call_command("revoke_key", key[:11], stdout=StringIO())
    assert call.refused(Credential(key), "whoami").code == "unauthorized"
    assert ApiKey.objects.get(workspace=alice.workspace, name="short-lived").revoked_at is not None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("create_key", ["no such workspace", "x"]),
        ("revoke_key", ["cw_nosuchkey"]),
        ("revoke_key", ["cw_"]),
    ],
)
def test_what_is_not_there_is_named(command: str, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command(command, *arguments, stdout=StringIO())
