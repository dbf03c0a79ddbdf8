"""A channel's messages as HTML: the same lines for a page that is asked for and for one that is open.

What a page weighs is bounded: long texts are folded, very long ones and what is past the page's budget are cut, with a
link to all of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import pairwise

from django.template.loader import get_template
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from accounts.principals import PERSON
from bus import markup
from bus.models import Message
from bus.services import claims
from bus.services.rooms import Held, State, Stretch

FOLD_CHARACTERS, FOLD_LINES = 3_000, 30
"""What is longer is folded."""
CUT_CHARACTERS = 10_000
"""What is longer still is only begun in a channel; the message's own page has all of it."""
PAGE_BUDGET = 60_000
"""Bytes of texts on one page, and characters that are taken for Markdown there."""
WHOLE_BUDGET = 120_000
"""Bytes of one text on its message's own page; what is larger is offered as a file."""
EXCERPT, QUOTE = 240, 120
HUES = 8
_TEXT = "\0"
"""Stands for a message's text while the markup around it is put on one line; no message has it."""
_FOLDED = re.compile(r"\s*\n\s*")
KINDS = {"human": "person", "system": "system"}


@dataclass(frozen=True)
class Place:
    """The channel a conversation is shown in, and what its reader may do there."""

    workspace: str
    channel: str
    may_post: bool

    @cached_property
    def url(self) -> str:
        """Where the channel's page is."""
        return reverse("channel", args=[self.workspace, self.channel])


@dataclass(frozen=True)
class Who:
    """A sender as people are shown it."""

    name: str
    kind: str
    verified: bool = False

    @property
    def initials(self) -> str:
        """One or two letters that stand for it."""
        parts = [part for part in self.name.replace("-", " ").replace("_", " ").replace(".", " ").split() if part]
        return "".join(part[0] for part in parts[:2]).upper() or "?"

    @property
    def hue(self) -> int:
        """A number that gives each name a colour of its own."""
        return hashlib.sha256(self.name.encode()).digest()[0] % HUES


@dataclass(frozen=True)
class Line:
    """One message, ready to be shown. `begins_day`: the one before it, if any is shown, is of another day."""

    message: Message
    answers: int | None
    who: Who
    at: datetime
    quoted: Message | None
    quoted_who: Who | None
    quote: str
    claim: tuple[str, datetime] | None
    html: SafeString
    excerpt: str
    size: str
    begins_day: bool = True

    @property
    def is_claimable(self) -> bool:
        """Whether an instance can claim it."""
        return self.message.message_type in claims.CLAIMABLE


def who_wrote(message: Message) -> Who:
    """Return who wrote a message; people without the prefix that sets their names apart."""
    name = message.sender.removeprefix(PERSON)  # no instance can have it
    return Who(name, KINDS.get(message.sender_kind, "agent"), message.verified)


def lines(stretch: Stretch, held: Held, *, thread_of: int | None = None) -> list[Line]:
    """Return a stretch of messages ready to be shown; the newest have the first claim on the page's budget.

    `thread_of`: the message whose own page this is; it is shown whole, and its replies need not say what they answer.
    """
    left = PAGE_BUDGET
    shown: list[Line] = []
    for message in reversed(stretch.messages):
        line = _line(message, stretch, held, left, thread_of)
        left -= (
            0 if message.number == thread_of else max(len(line.html.encode()), len(message.content) if line.html else 0)
        )
        shown.append(line)
    return _with_days(shown[::-1])


def _with_days(shown: Sequence[Line]) -> list[Line]:
    first = [replace(line, begins_day=True) for line in shown[:1]]
    rest = [replace(line, begins_day=line.at.date() != before.at.date()) for before, line in pairwise(shown)]
    return [*first, *rest]


def render(shown: Iterable[Line], place: Place) -> list[str]:
    """Return each line as HTML, in the time zone that is active."""
    template = get_template("bus/line.html")
    return [
        _FOLDED.sub(" ", template.render({"line": line, "place": place, "text": _TEXT})).replace(_TEXT, line.html)
        for line in shown
    ]


def render_state(state: State) -> str:
    """Return what stands above a channel's messages as HTML."""
    return get_template("bus/room.html").render({"state": state})


def render_waiting(state: State) -> str:
    """Return as HTML who sees at once what is written."""
    return get_template("bus/waiting.html").render({"state": state})


def render_claims(held: Held) -> dict[int, str]:
    """Return by number what is shown of each claim."""
    template = get_template("bus/claim.html")
    return {number: template.render({"claim": claim}) for number, claim in held.items()}


def _line(message: Message, stretch: Stretch, held: Held, left: int, thread_of: int | None) -> Line:
    text = message.content
    is_whole = message.number == thread_of
    answers = None if message.in_reply_to == thread_of else message.in_reply_to
    quoted = stretch.parents.get(answers or 0)
    html = _html(message, left, is_whole=is_whole)
    rows = text.count("\n") + 1
    is_long = not is_whole and (len(text) > FOLD_CHARACTERS or rows > FOLD_LINES or not html)
    return Line(
        message=message,
        answers=answers,
        who=who_wrote(message),
        at=timezone.localtime(message.created_at),
        quoted=quoted,
        quoted_who=who_wrote(quoted) if quoted else None,
        quote=markup.excerpt(quoted.content, QUOTE) if quoted else "",
        claim=held.get(message.number),
        html=html,
        excerpt=markup.excerpt(text, EXCERPT) if is_long else "",
        size=f"{len(text):,} characters, {rows:,} line{'s' if rows > 1 else ''}" if is_long else "",
    )


def _html(message: Message, left: int, *, is_whole: bool) -> SafeString:
    """Return a text as HTML, or nothing when it is too much here."""
    text = message.content
    most = WHOLE_BUDGET if is_whole else min(left, PAGE_BUDGET)
    if len(text) > (most if is_whole else min(most, CUT_CHARACTERS)):
        return mark_safe("")
    is_words = message.sender_kind == Message.SenderKind.SYSTEM
    html = markup.plain(text) if is_words else markup.render(text)
    if len(html.encode()) > most:
        return mark_safe("")
    return mark_safe(html)  # noqa: S308 - what bus/markup.py makes is safe
