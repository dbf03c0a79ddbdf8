"""Who waits for whom, as sentences: safe HTML in which names of channels are links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join

from accounts.templatetags.pages import ago, lasting
from bus.results import InstanceItem
from bus.services.standing import Unheard, Waiting


def channel_link(workspace: str, name: str) -> str:
    """Return `#name`, as a link to the channel's page where there is one."""
    try:
        return format_html('<a href="{}">#{}</a>', reverse("channel", args=[workspace, name]), name)
    except NoReverseMatch:
        return format_html('<span class="channel-name">#{}</span>', name)


def circle(workspace: str, waits: Sequence[Waiting]) -> str:
    """Return that these wait for each other: `ann waits in #orders for an answer, for 3 minutes; so does bo, …`."""
    first, *others = waits
    so_do = format_html_join(
        "",
        "; so does <strong>{}</strong>{}, for {}",
        (
            (
                each.instance,
                "" if each.channel == first.channel else _in(workspace, each.channel),
                lasting(each.since),
            )
            for each in others
        ),
    )
    return format_html(
        "<strong>{}</strong> waits{} for an answer, for {}{}: {} wait for each other. "
        "A message there by anybody else wakes them.",
        first.instance,
        _in(workspace, first.channel),
        lasting(first.since),
        so_do,
        "both" if len(waits) == 2 else f"all {len(waits)}",
    )


def waiting(workspace: str, wait: Waiting) -> str:
    """Return where an instance waits, since when, and who could answer."""
    if not wait.channel:
        return format_html(
            "<strong>{}</strong> waits for news in any channel, for {}.", wait.instance, lasting(wait.since)
        )
    if wait.is_parked:
        text = "<strong>{}</strong> is parked{}, for {}; it expects nothing soon."
        return format_html(text, wait.instance, _in(workspace, wait.channel), lasting(wait.since))
    return format_html(
        '<strong>{}</strong> waits{} for an answer, for {}. <span class="soft">{}</span>',
        wait.instance,
        _in(workspace, wait.channel),
        lasting(wait.since),
        _who_could(wait),
    )


def unheard(workspace: str, task: Unheard) -> str:
    """Return that nobody asks for a task any more."""
    return format_html(
        "<strong>{}</strong> left a task to wait{} {}, but its client has not asked for it for {}: nobody listens. "
        "It hears of an answer when it asks again.",
        task.instance,
        _in(workspace, task.channel) if task.channel else " for news in any channel",
        ago(task.since),
        lasting(task.asked_at),
    )


def wake(workspace: str, instance: InstanceItem) -> str:
    """Return how an instance hears of a message now."""
    if instance["wake"] == "waiting":
        channels = [wait["channel"] for wait in instance["waits"] if wait["kind"] != "events"]
        if None in channels:
            return "Waits for news in any channel: a message reaches it at once."
        named = dict.fromkeys(channel for channel in channels if channel)
        places = format_html_join(", ", "{}", ((channel_link(workspace, each),) for each in named))
        return format_html("Waits in {}: a message there reaches it at once.", places)
    if instance["wake"] == "events":
        return "Follows the stream of events: a program of its hears of a message at once."
    if instance["status"] == "online":
        return "Sees a message when it looks next."
    return "Sees messages when it comes back."


def with_wakes(workspace: str, instances: Iterable[InstanceItem]) -> list[tuple[InstanceItem, str]]:
    """Return instances, each with how it hears of a message."""
    return [(each, wake(workspace, each)) for each in instances]


def in_words(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: `ann, bo and cy`."""
    return " and ".join([", ".join(names[:-1]), *names[-1:]] if len(names) > 1 else names)


def _in(workspace: str, channel: str) -> str:
    return format_html(" in {}", channel_link(workspace, channel))


def _who_could(wait: Waiting) -> str:
    if wait.answering:
        more = [f"{wait.more} others" if wait.more > 1 else "1 other"] if wait.more else []
        return f"{in_words([*wait.answering, *more])} could answer."
    if wait.stuck:
        return f"Who could answer waits as well: {in_words(wait.stuck)}."
    return "Nobody else who was there in the last hour is online."
