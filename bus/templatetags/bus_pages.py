"""Links to what is in a workspace: `{% load bus_pages %}`, then `{% channel_link "orders" %}`."""

from __future__ import annotations

from typing import Any

from django import template

from bus.views import sentences

register = template.Library()


@register.simple_tag(takes_context=True)
def channel_link(context: dict[str, Any], name: str) -> str:
    """Return a link to a channel of the workspace the page is about."""
    return sentences.channel_link(context["here"].workspace.slug, name)
