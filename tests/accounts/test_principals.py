"""What a process remembers of keys, and when it forgets it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from accounts import principals, services
from accounts.models import ApiKey
from accounts.principals import Principal
from crosswire.lib import keys
from tests.accounts.stored_keys import code_of, key_row
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests that were looked up in the database."""
    asked: list[str] = []
    look_up = principals._look_up

    def noted(digest: str) -> Any:
        asked.append(digest)
        return look_up(digest)

    monkeypatch.setattr(principals, "_look_up", noted)
    return asked


def test_a_key_is_looked_up_once_in_five_seconds(alice: Caller, look_ups: list[str]) -> None:
    for _ in range(3):
        principals.authenticate(alice.key)
    assert len(look_ups) == 1
    principals._entries[keys.digest(alice.key)].read_at -= principals.REMEMBERED_SECONDS
    assert principals.recall(alice.key) is None
    principals.authenticate(alice.key)
    assert len(look_ups) == 2
    assert principals.REMEMBERED_SECONDS <= 5


@pytest.mark.parametrize("change", ["make", "revoke another", "suspend", "resume"])
def test_a_change_drops_what_is_remembered_of_that_workspace_alone(
    alice: Caller, bob: Caller, mallory: Caller, change: str
) -> None:
    for caller in (alice, bob, mallory):
        principals.authenticate(caller.key)
    match change:
        case "make":
            services.create_key(alice.workspace, "n")
        case "revoke another":
            services.revoke_key(key_row(bob.key))
        case "suspend":
            services.suspend(alice.workspace, "")
        case "resume":
            services.resume(alice.workspace)
    assert principals.recall(alice.key) is None
    assert principals.recall(bob.key) is None
    assert principals.recall(mallory.key) is not None


def test_a_change_that_is_rolled_back_drops_nothing(alice: Caller) -> None:
    principals.authenticate(alice.key)
    with transaction.atomic():
        services.suspend(alice.workspace, "")
        transaction.set_rollback(True)
    assert principals.recall(alice.key) is not None
    assert code_of(alice.key) == ""


def test_a_look_up_that_began_before_a_drop_brings_nothing_back(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    of_key = principals.of_key

    def revoked_meanwhile(row: ApiKey) -> Principal:
        found = of_key(row)
        services.revoke_key(key_row(alice.key))
        return found

    monkeypatch.setattr(principals, "of_key", revoked_meanwhile)
    principals.authenticate(alice.key)  # read before the change: this one call is let in
    monkeypatch.undo()
    assert principals.recall(alice.key) is None
    assert code_of(alice.key) == "unauthorized"


def test_wrong_keys_are_not_remembered(look_ups: list[str]) -> None:
    wrong = keys.generate()
    before = len(principals._entries)
    for _ in range(2):
        assert code_of(wrong) == "unauthorized"
    assert len(look_ups) == 2
    assert len(principals._entries) == before


def test_what_is_remembered_is_bounded(make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principals, "REMEMBERED_MOST", 3)
    callers = [make_workspace() for _ in range(5)]
    for caller in callers:
        principals.authenticate(caller.key)
    assert len(principals._entries) == 3
    assert principals.recall(callers[0].key) is None
    assert principals.recall(callers[-1].key) is not None


def test_a_key_that_is_no_text_at_all_is_merely_wrong() -> None:
    for odd in ("", "cw_", "x" * 10_000, "\udcff", "日本", "cw_\x00"):
        assert code_of(odd) == "unauthorized"


def test_a_principal_holds_nothing_of_the_secret(alice: Caller) -> None:
    assert alice.key[keys.DISPLAY_LENGTH :] not in repr(principals.authenticate(alice.key))
