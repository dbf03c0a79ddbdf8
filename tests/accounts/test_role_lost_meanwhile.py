"""A role that is taken away while its request is under way: what it allowed is not done any more."""

from __future__ import annotations

import pytest

from accounts.here import Here
from accounts.models import ApiKey, Export, Member, Workspace
from accounts.roles import Action
from crosswire.lib import keys
from tests.support.cast import Caller
from tests.support.people import make_person

DEEDS = {
    "keys": {"name": "one more"},
    "connect": {"client": "claude-code"},
    "connect ": {"client": "claude-code", "names": "one, two"},
    "keys/{prefix}/rename": {"name": "mine now"},
    "keys/{prefix}/rotate": {"old": "now"},
    "keys/{prefix}/revoke": {},
    "settings": {"name": "mine now"},
    "settings/exports": {},
    "settings/delete": {"typed": "{workspace}"},
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_lost_role_allowed_is_not_done(alice: Caller, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, require = make_person(alice.workspace), Here.require

    def demoted_just_after(here: Here, action: Action) -> None:
        require(here, action)
        Member.objects.filter(pk=here.member.pk).update(role="viewer")

    given = {name: value.format(workspace=alice.workspace.name) for name, value in DEEDS[deed].items()}
    client = ada.client()
    before = stored(alice)
    monkeypatch.setattr(Here, "require", demoted_just_after)
    client.post(ada.home + deed.strip().format(prefix=keys.display_prefix(alice.key)), given)
    assert stored(alice) == before


def stored(alice: Caller) -> list[object]:
    """Return what the deeds would have changed."""
    home = Workspace.objects.get(pk=alice.workspace.pk)
    found = ApiKey.objects.filter(workspace=home).order_by("pk").values_list("pk", "name", "expires_at", "revoked_at")
    return [home.name, home.closing_at, Export.objects.filter(workspace=home).count(), *found]
