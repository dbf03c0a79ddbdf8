"""Who may not do something reads who may."""

from __future__ import annotations

import pytest

from tests.support.cast import Caller
from tests.support.pages import shown, text_of
from tests.support.people import make_person

OWNER_ONLY = "Only the owner of the workspace can do that."
MANAGERS = "An admin or the owner of the workspace can do that. An admin or the owner can give you a role that may."


@pytest.mark.parametrize(
    ("role", "path", "said"),
    [
        ("admin", "billing/change?plan=pro", OWNER_ONLY),
        ("admin", "settings/delete", OWNER_ONLY),
        ("member", "settings", MANAGERS),
        ("viewer", "audit", MANAGERS),
    ],
)
def test_a_page_beyond_ones_role_names_who_may_see_it(alice: Caller, role: str, path: str, said: str) -> None:
    assert said in text_of(shown(make_person(alice.workspace, role), path, 403))


def test_the_console_names_no_workspace_to_who_is_no_operator(alice: Caller) -> None:
    answer = make_person(alice.workspace, "member").client().get("/admin/", follow=True)
    text = text_of(answer.content.decode())
    assert answer.status_code == 403
    assert "These pages are for the people who run this installation." in text
    assert "role" not in text
