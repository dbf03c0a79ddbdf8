"""Choices of the console's lists."""

from __future__ import annotations

from django.test import Client

from tests.support.pages import text_of


def test_a_choice_that_there_is_not_is_said_to_be_none(console: Client) -> None:
    for path in ("accounts/workspace/?plan=gold", "accounts/workspace/?paying=maybe", "accounts/user/?standing=x"):
        text = text_of(console.get(f"/admin/{path}", follow=True).content.decode())
        assert "to choose: all are shown." in text, path
    assert "to choose" not in text_of(console.get("/admin/accounts/workspace/?paying=yes").content.decode())
