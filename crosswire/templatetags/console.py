"""`{% load console %}`: what the lists of the console need beside what Django's admin makes for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

register = template.Library()


@register.filter
def labelled(cells: Iterable[SafeString], headers: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the cells of a row, each with its column's name, under which it stands where a row is a card."""
    return mark_safe("".join(_labelled(*each) for each in zip(cells, headers, strict=True)))  # noqa: S308 - Django's own


def _labelled(cell: SafeString, header: Mapping[str, Any]) -> str:
    if cell.startswith("<th"):
        return f'<th scope="row" role="rowheader"{cell[3:]}'
    return format_html('<td role="cell" data-label="{}"', capfirst(str(header["text"]))) + cell[3:]
