"""Small pieces of HTML that lists and pages share."""

from __future__ import annotations

from typing import Literal

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import User, Workspace

type Tone = Literal["", "good", "warn", "bad", "accent"]


def badge(word: str, tone: Tone = "", before: str = "") -> str:
    """Return a word as a badge, after something plain."""
    return format_html(
        '{} <span class="badge {}">{}</span>' if before else '{}<span class="badge {}">{}</span>', before, tone, word
    )


def of_all(used: str, limit: str) -> str:
    """Return how much of a limit is used; without one that alone."""
    return f"{used} of {limit}" if limit else used


def link_to(row: Model, word: str) -> str:
    """Return a link to the page of a row."""
    about = row._meta  # noqa: SLF001 - Django's way to ask
    url = reverse(f"admin:{about.app_label}_{about.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, word)


def states(row: Workspace) -> str:
    """Return what a workspace may do."""
    if row.closing_at is not None:
        return badge("being erased", "bad")
    return badge("suspended", "bad") if row.suspended_at is not None else badge("active", "good")


def standing(person: User) -> str:
    """Return what a person may do."""
    if person.closing_at is not None:
        return badge("being erased", "bad")
    return badge("active", "good") if person.is_active else badge("deactivated", "bad")
