from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts import principals, services
from accounts.models import ApiKey, AuditEvent, Workspace
from crosswire.lib import clock as product_clock
from crosswire.lib import keys
from crosswire.lib.errors import CrossWireError
from tests.accounts.stored_keys import code_of, key_row
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.surfaces import Surface

# --- what is kept -----------------------------------------------------------------------------------------------


def test_the_database_holds_a_digest_and_what_lists_may_show(alice: Caller) -> None:
    row = key_row(alice.key)
    assert row.digest == keys.digest(alice.key)
    assert row.prefix == alice.key[: keys.DISPLAY_LENGTH]
    assert len(row.prefix) <= 11


def test_the_key_itself_is_in_no_row_of_any_table(alice: Caller, call: Surface) -> None:
    call.ok(alice, "whoami")
    secret = alice.key[keys.DISPLAY_LENGTH :]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        assert "accounts_apikey" in tables
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of tables that are there
            assert secret not in str(cursor.fetchall()), table


def test_making_and_revoking_are_recorded_without_the_secret(alice: Caller) -> None:
    key, text = services.create_key(alice.workspace, "ci", instance_id="robot", actor="ann@example.com")
    services.revoke_key(key, actor="bea@example.com")
    services.revoke_key(key, actor="again@example.com")
    events = AuditEvent.objects.filter(workspace=alice.workspace, target="ci").order_by("pk")
    assert [(each.action, each.actor) for each in events] == [
        ("key.created", "ann@example.com"),
        ("key.revoked", "bea@example.com"),
    ]
    assert events[0].details == {"prefix": key.prefix, "instance_id": "robot"}
    assert text not in str([each.details for each in events])


def test_a_made_key_is_the_only_copy_of_its_text(alice: Caller) -> None:
    key, text = services.create_key(alice.workspace, "ci")
    assert code_of(text) == ""
    assert code_of(key.digest) == code_of(key.prefix) == code_of(text.upper()) == code_of(text[:-1]) == "unauthorized"


def test_a_refused_use_is_not_noted(call: Surface, alice: Caller) -> None:
    services.suspend(alice.workspace, "")
    services.revoke_key(key_row(alice.key))
    call.refused(alice, "whoami")
    assert key_row(alice.key).last_used_at is None


# --- making -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ci", "two\nlines", "x" * 81])
def test_a_keys_name_is_one_line(alice: Caller, name: str) -> None:
    with pytest.raises(CrossWireError) as refusal:
        services.create_key(alice.workspace, name)
    assert refusal.value.code == "invalid_input"


@pytest.mark.parametrize("instance_id", [" a", "a\nb", "x" * 81, "human", "SYSTEM"])
def test_a_key_is_bound_to_a_legal_name_alone(alice: Caller, instance_id: str) -> None:
    with pytest.raises(CrossWireError) as refusal:
        services.create_key(alice.workspace, "ci", instance_id=instance_id)
    assert refusal.value.code == "invalid_input"
    assert ApiKey.objects.filter(workspace=alice.workspace).count() == 1


def test_an_instance_has_one_key_of_its_own_at_a_time(alice: Caller) -> None:
    key, _ = services.create_key(alice.workspace, "ci", instance_id="robot")
    with pytest.raises(CrossWireError) as refusal:
        services.create_key(alice.workspace, "ci 2", instance_id="robot")
    assert refusal.value.code == "instance_in_use"
    services.revoke_key(key)
    services.create_key(alice.workspace, "ci 3", instance_id="robot")


@pytest.mark.parametrize(("plan", "most"), [("free", 20), ("pro", 100)])
def test_live_keys_are_limited_and_dead_ones_do_not_count(
    make_workspace: MakeWorkspace, clock: Clock, plan: str, most: int
) -> None:
    caller = make_workspace(plan)
    row = key_row(caller.key)
    ApiKey.objects.bulk_create(
        ApiKey(workspace=caller.workspace, name="n", digest=f"{row.digest[:50]}{number:014}", prefix="cw_")
        for number in range(most - 2)
    )
    last, _ = services.create_key(caller.workspace, "the last one")
    with pytest.raises(CrossWireError) as refusal:
        services.create_key(caller.workspace, "one too many")
    assert refusal.value.code == "limit_reached"
    assert str(most) in refusal.value.message
    services.revoke_key(last)
    expiring, _ = services.create_key(caller.workspace, "again")
    ApiKey.objects.filter(pk=expiring.pk).update(expires_at=clock.now())
    services.create_key(caller.workspace, "and again")


def test_parallel_makers_stop_exactly_at_the_limit(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace()
    Workspace.objects.filter(pk=caller.workspace.pk).update(overrides={"live_keys": 4})
    codes: list[str] = []

    def make() -> None:
        try:
            services.create_key(Workspace.objects.get(pk=caller.workspace.pk), "n")
            codes.append("")
        except CrossWireError as refusal:
            codes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [""] * 3 + ["limit_reached"] * 5
    assert services.live_keys(caller.workspace).count() == 4


# --- working and not --------------------------------------------------------------------------------------------


def test_no_key_and_a_wrong_one_are_refused_alike_on_every_surface(call: Surface, alice: Caller) -> None:
    wrong = Caller(keys.generate(), alice.workspace)
    missing, unknown = call.refused(None, "whoami"), call.refused(wrong, "whoami")
    for refusal in (missing, unknown):
        assert (refusal.status, refusal.code) == (401, "unauthorized")
        assert refusal.headers["www-authenticate"].startswith('Bearer realm="CrossWire"')


def test_a_revoked_key_ends_at_once_and_the_others_go_on(call: Surface, alice: Caller, bob: Caller) -> None:
    call.ok(alice, "whoami")
    call.ok(bob, "whoami")
    services.revoke_key(key_row(bob.key))
    assert call.refused(bob, "whoami").code == "unauthorized"
    call.ok(alice, "whoami")


def test_an_expired_key_ends_at_its_time_though_it_is_remembered(call: Surface, alice: Caller, clock: Clock) -> None:
    ApiKey.objects.filter(digest=keys.digest(alice.key)).update(expires_at=clock.now() + timedelta(hours=1))
    call.ok(alice, "whoami")
    clock.forward(minutes=59)
    call.ok(alice, "whoami")
    clock.forward(minutes=1)
    assert call.refused(alice, "whoami").code == "unauthorized"


def test_a_suspended_workspace_is_refused_with_the_reason_until_it_is_resumed(
    call: Surface, alice: Caller, bob: Caller, mallory: Caller
) -> None:
    call.ok(alice, "whoami")
    services.suspend(alice.workspace, "unpaid bill", actor="operator")
    for caller in (alice, bob, alice.with_key("robot")):
        refusal = call.refused(caller, "whoami")
        assert (refusal.status, refusal.code) == (403, "suspended")
        assert "unpaid bill" in refusal.message
    call.ok(mallory, "whoami")
    services.resume(alice.workspace, actor="operator")
    call.ok(alice, "whoami")
    actions = AuditEvent.objects.filter(workspace=alice.workspace, action__startswith="workspace.").order_by("pk")
    assert [each.action for each in actions] == ["workspace.created", "workspace.suspended", "workspace.resumed"]


def test_a_name_belongs_to_its_key_from_the_moment_that_is_made_until_it_ends(call: Surface, alice: Caller) -> None:
    call.ok(alice, "send_message", sender="robot", content="mine still")
    key, text = services.create_key(alice.workspace, "ci", instance_id="robot")
    call.refused(alice, "send_message", "wrong_instance", sender="robot", content="x")
    call.refused(alice, "check_messages", "wrong_instance", instance_id="robot")
    robot = Caller(text, alice.workspace)
    (first, _) = call.ok(alice, "check_messages")["messages"] + [call.ok(robot, "send_message", content="stamped")]
    assert first["verified"] is False
    last = call.ok(alice, "check_messages")["messages"][-1]
    assert (last["sender"], last["verified"]) == ("robot", True)
    services.revoke_key(key)
    call.ok(alice, "send_message", sender="robot", content="free again")


def test_a_rotated_key_is_the_same_credential(alice: Caller) -> None:
    key, old = services.create_key(alice.workspace, "ci", instance_id="robot")
    new = keys.generate()
    ApiKey.objects.create(
        workspace=alice.workspace,
        name="ci",
        kind="instance",
        instance_id="robot",
        credential=key.credential,
        digest=keys.digest(new),
        prefix=new[:11],
    )
    for text in (old, new):
        principal = principals.authenticate(text)
        assert principal.speaks_for("sender", "robot") == "robot"
        assert "robot" not in principal.foreign_instances
    services.revoke_key(key)
    assert principals.authenticate(new).instance == "robot"
    assert principals.authenticate(alice.key).foreign_instances == {"robot"}, "the other one still holds the name"


def test_expired_keys_do_not_hold_a_name(alice: Caller) -> None:
    key, _ = services.create_key(alice.workspace, "ci", instance_id="robot")
    assert principals.authenticate(alice.key).foreign_instances == {"robot"}
    ApiKey.objects.filter(pk=key.pk).update(expires_at=product_clock.now())
    principals._forget({"workspace": alice.workspace.pk})
    assert principals.authenticate(alice.key).foreign_instances == frozenset()
    services.create_key(alice.workspace, "ci 2", instance_id="robot")
