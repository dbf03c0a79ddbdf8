from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import principals
from accounts.models import ApiKey, AuditEvent, Workspace
from bus.models import Channel, Counters
from tests.support.cast import Credential
from tests.support.surfaces import Surface


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("create_workspace", *arguments, stdout=out)
    return out.getvalue()


def made() -> Workspace:
    return Workspace.objects.latest("pk")


def test_it_prints_a_key_that_works(call: Surface) -> None:
    printed = command("Acme Robots")
    assert "Acme Robots" in printed
    assert "plan free" in printed
    key = printed.split()[-1]
    me = call.ok(Credential(key), "whoami")
    assert (me["workspace"], me["usage"]["plan"], me["kind"]) == ("Acme Robots", "free", "workspace_key")


def test_for_programs_it_prints_json_alone() -> None:
    answer = json.loads(command("Zwölf 日本", "--plan", "pro", "--json"))
    assert set(answer) == {"workspace", "api_key"}
    assert answer["workspace"] == "Zwölf 日本"
    assert principals.authenticate(answer["api_key"]).plan.name == "pro"


def test_the_workspace_has_its_counters_its_general_channel_and_a_record() -> None:
    command("Acme")
    workspace = made()
    assert Counters.objects.get(workspace=workspace).last_number == 0
    assert Channel.objects.get(workspace=workspace).name == "general"
    assert list(AuditEvent.objects.filter(workspace=workspace).order_by("pk").values_list("action", flat=True)) == [
        "workspace.created",
        "key.created",
    ]


def test_two_workspaces_may_have_one_name_and_share_nothing(call: Surface) -> None:
    first, second = (Credential(json.loads(command("Same", "--json"))["api_key"]) for _ in range(2))
    call.ok(first, "send_message", sender="a", content="x")
    assert call.ok(second, "check_messages")["messages"] == []


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 121])
def test_a_bad_name_is_refused_and_leaves_nothing(name: str) -> None:
    before = Workspace.objects.count(), ApiKey.objects.count()
    with pytest.raises(CommandError, match="name must"):
        command(name)
    assert (Workspace.objects.count(), ApiKey.objects.count()) == before


def test_an_unknown_plan_is_refused_with_those_there_are() -> None:
    with pytest.raises(CommandError, match="starter"):
        command("Acme", "--plan", "gold")
