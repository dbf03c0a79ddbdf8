"""A workspace's first key, keys for several instances, new names, and rotation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from accounts import keyring, principals, services
from accounts.keyring import Made
from accounts.models import ApiKey, AuditEvent, User, Workspace
from crosswire.lib.errors import CrossWireError
from tests.accounts.stored_keys import code_of, key_row
from tests.bus.waiters import SOON, WAIT, begin
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.people import Person, make_person
from tests.support.surfaces import Refusal, Surface

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)


@pytest.fixture
def ada(alice: Caller) -> Person:
    """The owner of Alice's workspace."""
    return make_person(alice.workspace)


@pytest.fixture
def bare(ada: Person) -> Workspace:
    """A workspace that never had a key."""
    return services.create_workspace("bare")


def actions(workspace: Workspace) -> list[tuple[str, str]]:
    events = AuditEvent.objects.filter(workspace=workspace, action__startswith="key.").order_by("pk")
    return [(each.action, each.actor) for each in events]


def together(work: Callable[[], object], times: int = 6) -> list[object]:
    """Do something in several threads at once; return what came out, or the refusals' codes."""
    met: list[object] = []

    def one() -> None:
        try:
            met.append(work())
        except CrossWireError as refusal:
            met.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(met) == times
    return met


# --- the first key ----------------------------------------------------------------------------------------------


def test_the_first_key_is_made_once_and_by_its_person(bare: Workspace, ada: Person) -> None:
    made = keyring.make_first(bare, ada.user)
    assert made is not None
    assert (made.key.name, made.key.created_by, made.key.kind) == ("first key", ada.user, "workspace")
    assert code_of(made.text) == ""
    assert keyring.make_first(bare, ada.user) is None
    assert actions(bare) == [("key.created", ada.user.email)]


def test_of_many_that_ask_for_the_first_key_one_gets_it(bare: Workspace, ada: Person) -> None:
    met = together(lambda: keyring.make_first(Workspace.objects.get(pk=bare.pk), User.objects.get(pk=ada.user.pk)))
    assert len([each for each in met if isinstance(each, Made)]) == 1
    assert met.count(None) == len(met) - 1
    assert ApiKey.objects.filter(workspace=bare).count() == 1


def test_a_workspace_that_had_a_key_gets_no_first_one(bare: Workspace, ada: Person) -> None:
    key, _ = services.create_key(bare, "old")
    services.revoke_key(key)
    assert keyring.make_first(bare, ada.user) is None


# --- several at once --------------------------------------------------------------------------------------------


def test_each_instance_gets_a_key_of_its_own(ada: Person) -> None:
    made = keyring.make_for_instances(ada.workspace, ["api-expert", 'a "b" \\c'], ada.user)
    assert [each.key.instance_id for each in made] == ["api-expert", 'a "b" \\c']
    assert [principals.authenticate(each.text).instance for each in made] == ["api-expert", 'a "b" \\c']


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([], "invalid_input"),
        ([f"n{number}" for number in range(6)], "invalid_input"),
        (["a", "a"], "invalid_input"),
        (["a", "human"], "invalid_input"),
        (["a", "two\nlines"], "invalid_input"),
        (["a", "taken"], "instance_in_use"),
    ],
)
def test_of_keys_that_cannot_all_be_made_none_is(ada: Person, names: list[str], code: str) -> None:
    services.create_key(ada.workspace, "n", instance_id="taken")
    before = ApiKey.objects.filter(workspace=ada.workspace).count()
    with pytest.raises(CrossWireError) as refusal:
        keyring.make_for_instances(ada.workspace, names, ada.user)
    assert refusal.value.code == code
    assert ApiKey.objects.filter(workspace=ada.workspace).count() == before


# --- names ------------------------------------------------------------------------------------------------------


def test_a_new_name_is_recorded_and_known_at_once(ada: Person, alice: Caller) -> None:
    assert principals.authenticate(alice.key).key_name == "first key"
    keyring.rename(key_row(alice.key), "laptop", actor=ada.user.email)
    assert principals.authenticate(alice.key).key_name == "laptop"
    event = AuditEvent.objects.get(workspace=alice.workspace, action="key.renamed")
    assert (event.target, event.details["before"], event.actor) == ("laptop", "first key", ada.user.email)
    keyring.rename(key_row(alice.key), "laptop", actor=ada.user.email)
    assert AuditEvent.objects.filter(workspace=alice.workspace, action="key.renamed").count() == 1


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 81, "\x00"])
def test_a_new_name_is_one_line(ada: Person, alice: Caller, name: str) -> None:
    with pytest.raises(CrossWireError) as refusal:
        keyring.rename(key_row(alice.key), name, actor="x")
    assert refusal.value.code == "invalid_input"
    assert key_row(alice.key).name == "first key"


# --- rotation ---------------------------------------------------------------------------------------------------


def test_a_rotated_key_works_on_for_a_day_and_no_longer(ada: Person, alice: Caller, clock: Clock) -> None:
    old = alice.key_for("robot", read_only=True)
    made = keyring.rotate(key_row(old), by=ada.user)
    one, other = principals.authenticate(old), principals.authenticate(made.text)
    assert one.credential == other.credential
    assert (other.instance, other.is_read_only, other.key_name) == ("robot", True, one.key_name)
    clock.forward(hours=23, minutes=59)
    assert code_of(old) == ""
    clock.forward(minutes=1)
    assert code_of(old) == "unauthorized"
    assert code_of(made.text) == ""
    assert actions(alice.workspace)[-1] == ("key.rotated", ada.user.email)


def test_a_key_rotated_at_once_ends_at_once(call: Surface, ada: Person, alice: Caller) -> None:
    robot = alice.with_key("robot")
    call.ok(robot, "register")
    made = keyring.rotate(key_row(robot.key), by=ada.user, at_once=True)
    call.refused(robot, "whoami", "unauthorized")
    assert call.ok(Caller(made.text, alice.workspace), "whoami")["instance"] == "robot"
    assert actions(alice.workspace)[-2:] == [("key.rotated", ada.user.email), ("key.revoked", ada.user.email)]


def test_its_conversations_go_on_under_the_new_key(call: Surface, ada: Person, alice: Caller) -> None:
    mine = alice.with_key()
    call.ok(mine, "register", instance_id="ann")
    call.ok(alice, "send_message", sender="bo", content="for you")
    new = Caller(keyring.rotate(key_row(mine.key), by=ada.user).text, alice.workspace)
    assert [each["content"] for each in call.ok(new, "inbox", instance_id="ann")["messages"]]
    call.ok(new, "register", instance_id="ann")
    call.ok(mine, "register", instance_id="ann")


@ONE
def test_a_wait_under_a_key_that_is_rotated_at_once_is_told_to_come_back(
    call: Surface, ada: Person, alice: Caller
) -> None:
    mine = alice.with_key()
    waited = begin(call, mine, WAIT, instance_id="ann")
    keyring.rotate(key_row(mine.key), by=ada.user, at_once=True)
    answer = waited.result(SOON)
    assert isinstance(answer, Refusal) or answer["ended"] == "restart"


@ONE
def test_a_wait_under_a_key_that_overlaps_goes_on(call: Surface, ada: Person, alice: Caller) -> None:
    mine = alice.with_key()
    waited = begin(call, mine, WAIT, instance_id="ann")
    keyring.rotate(key_row(mine.key), by=ada.user)
    call.ok(alice, "send_message", sender="bo", content="x")
    answer = waited.result(SOON)
    assert not isinstance(answer, Refusal)
    assert answer["ended"] == "message"


def test_only_the_newest_of_a_credential_is_rotated(ada: Person, alice: Caller) -> None:
    made = keyring.rotate(key_row(alice.key), by=ada.user)
    with pytest.raises(CrossWireError) as refusal:
        keyring.rotate(key_row(alice.key), by=ada.user)
    assert refusal.value.code == "invalid_input"
    again = keyring.rotate(made.key, by=ada.user)
    assert again.key.credential == key_row(alice.key).credential


def test_of_many_rotations_at_once_one_is_done(ada: Person, alice: Caller) -> None:
    met = together(lambda: keyring.rotate(key_row(alice.key), by=User.objects.get(pk=ada.user.pk)))
    assert len([each for each in met if isinstance(each, Made)]) == 1
    assert met.count("invalid_input") == len(met) - 1


def test_at_the_limit_a_key_is_rotated_at_once_alone(ada: Person, alice: Caller) -> None:
    live = services.live_keys(alice.workspace).count()
    Workspace.objects.filter(pk=alice.workspace.pk).update(overrides={"live_keys": live})
    with pytest.raises(CrossWireError) as refusal:
        keyring.rotate(key_row(alice.key), by=ada.user)
    assert refusal.value.code == "limit_reached"
    keyring.rotate(key_row(alice.key), by=ada.user, at_once=True)
    assert services.live_keys(alice.workspace).count() == live


def test_a_key_that_ends_earlier_than_a_day_still_does(ada: Person, alice: Caller, clock: Clock) -> None:
    soon = clock.now() + timedelta(hours=1)
    ApiKey.objects.filter(pk=key_row(alice.key).pk).update(expires_at=soon)
    made = keyring.rotate(key_row(alice.key), by=ada.user)
    assert key_row(alice.key).expires_at == made.key.expires_at == soon


DEEDS: dict[str, Callable[[ApiKey, User], object]] = {
    "rotate": lambda key, user: keyring.rotate(key, by=user),
    "rename": lambda key, user: keyring.rename(key, "n", actor=user.email),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_dead_key_is_neither_rotated_nor_renamed(ada: Person, alice: Caller, deed: str) -> None:
    held = key_row(alice.key)
    services.revoke_key(key_row(alice.key))
    with pytest.raises(CrossWireError) as refusal:
        DEEDS[deed](held, ada.user)
    assert refusal.value.code == "not_found"


def test_when_the_newer_key_is_revoked_the_older_one_can_be_rotated_for_good(ada: Person, alice: Caller) -> None:
    lost = keyring.rotate(key_row(alice.key), by=ada.user)
    services.revoke_key(lost.key)
    assert keyring.rotate(key_row(alice.key), by=ada.user).key.expires_at is None


# --- lists ------------------------------------------------------------------------------------------------------


def test_a_list_has_the_live_ones_and_the_newest_fifty_of_the_others(ada: Person, alice: Caller) -> None:
    for number in range(keyring.ENDED_SHOWN + 2):
        services.revoke_key(services.create_key(ada.workspace, f"n{number}")[0])
    listed = keyring.listed(ada.workspace)
    assert [each.prefix for each in listed.live] == [key_row(alice.key).prefix]
    assert len(listed.ended) == keyring.ENDED_SHOWN
    assert listed.ended[0].name == f"n{keyring.ENDED_SHOWN + 1}"
    assert listed.limit == 100


def test_a_strangers_key_looks_absent(ada: Person, mallory: Caller) -> None:
    with pytest.raises(CrossWireError) as refusal:
        keyring.find(ada.workspace, key_row(mallory.key).prefix)
    assert refusal.value.code == "not_found"
