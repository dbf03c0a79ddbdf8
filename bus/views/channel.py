"""A channel: the conversation, and writing in it."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import rates
from accounts.here import Here, member_page
from accounts.roles import Action
from accounts.templatetags.pages import readable
from bus import access, conversation
from bus.models import Channel, Message
from bus.params import BIGGEST_ID
from bus.services import people, rooms
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import channel_name, storable

CONTENT_MOST = 64_000


class Post(forms.Form):
    """What a person writes."""

    content = forms.CharField(
        label="Message",
        strip=False,
        widget=forms.Textarea(
            {
                "rows": 2,
                "placeholder": "Write to everybody here",
                "data-most": CONTENT_MOST,  # no maxlength: a browser would cut what is pasted, and say nothing
            }
        ),
        error_messages={"required": "Write something first."},
    )
    message_type = forms.ChoiceField(label="Type", choices=[(each.value, each.value) for each in Message.Type])
    in_reply_to = forms.IntegerField(required=False, min_value=1, max_value=BIGGEST_ID, widget=forms.HiddenInput)
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def clean_content(self) -> str:
        """Return the text with line ends as agents write them."""
        content: str = self.cleaned_data["content"].replace("\r\n", "\n")
        if not content.strip():
            raise forms.ValidationError("Write something first.")
        if len(content) > CONTENT_MOST:
            told = f"Not sent: the text has {len(content):,} characters, and a message holds at most {CONTENT_MOST:,}."
            raise forms.ValidationError(told)
        try:
            return storable("content", content)
        except CrossWireError as refusal:
            raise forms.ValidationError(refusal.message) from None


def new_key() -> str:
    """Return what has a form sent twice store one message."""
    return secrets.token_urlsafe(16)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.VIEW)
def channel(request: HttpRequest, here: Here, name: str) -> HttpResponse:
    """Show a stretch of the conversation; take a message."""
    found, is_exact = find(here, name)
    if request.method == "POST":
        here.require(Action.POST)
        return _take(request, here, found)
    if not is_exact:
        return redirect("channel", here.workspace.slug, found.name)
    reply_to = number_in(request, "reply")
    form = Post(initial={"key": new_key(), "in_reply_to": reply_to, "message_type": "message"})
    return show(request, here, found, form)


def find(here: Here, name: str) -> tuple[Channel, bool]:
    """Return a channel, and whether it was named in the normal form. Raises: Http404, CrossWireError `not_found`."""
    try:
        known = channel_name(name)
    except CrossWireError:
        raise Http404 from None
    return access.get_channel(here.principal, known), known == name


def number_in(request: HttpRequest, field: str) -> int | None:
    """Return a message's number from the query string, None for none or nonsense."""
    given = request.GET.get(field, "")
    return min(int(given), BIGGEST_ID) if given.isdecimal() and given.isascii() and len(given) < 20 else None


def show(request: HttpRequest, here: Here, found: Channel, form: Post, status: int = 200) -> HttpResponse:
    """Return the page with the stretch of messages that the query string asks for."""
    stretch = _stretch(request, here, found)
    state = rooms.state(here.principal, found)
    place = conversation.Place(here.workspace.slug, found.name, may_post=here.may(Action.POST))
    lines = conversation.lines(stretch, state.claims)
    shown = {
        "channel": found,
        "state": state,
        "place": place,
        "lines": conversation.render(lines, place),
        "first": lines[0].message.number if lines else 0,
        "last": lines[-1].message.number if lines else (0 if not stretch.has_newer else found.last_number),
        "has_older": stretch.has_older,
        "has_newer": stretch.has_newer,
        "form": form,
        "reply": _replied(here, found, form),
        "may_post": here.may(Action.POST),
        "may_moderate": here.may(Action.MODERATE),
    }
    return render(request, "bus/channel.html", shown, status=status)


def _stretch(request: HttpRequest, here: Here, found: Channel) -> rooms.Stretch:
    if (number := number_in(request, "around")) is not None:
        return rooms.around(here.principal, found, number)
    if (number := number_in(request, "after")) is not None:
        return rooms.after(here.principal, found, number)
    return rooms.before(here.principal, found, number_in(request, "before"))


def _replied(here: Here, found: Channel, form: Post) -> conversation.Line | None:
    """Return the message that the form replies to, if it is there."""
    given = form["in_reply_to"].value()
    number = int(given) if str(given or "").isdecimal() and len(str(given)) < 20 else 0
    row = access.messages(here.principal).filter(channel=found, number=number).first() if number else None
    return conversation.lines(rooms.Stretch([row], {}), {})[0] if row else None


def _take(request: HttpRequest, here: Here, found: Channel) -> HttpResponse:
    """Store what was sent; a script gets JSON, a form is led to its message."""
    is_script = "application/json" in request.headers.get("accept", "")
    form = Post(request.POST)
    key = str(request.POST.get("key", ""))
    try:
        if not form.is_valid():
            refusal = CrossWireError("invalid_input", str(next(iter(form.errors.values()))[0]))
        else:
            sent = _post(here, found, form.cleaned_data)
            if is_script:
                return JsonResponse({"id": sent["id"], "recipients": sent["recipients"], "key": new_key()})
            return redirect(f"{request.path}#m{sent['id']}")
    except CrossWireError as problem:
        refusal = problem
        form.add_error("in_reply_to" if refusal.code == "not_found" else "content", refusal.message)
    # Whatever was stored under a key that another text came with, the next one goes under a new key.
    key = new_key() if refusal.code == "idempotency_conflict" or not key else key
    if is_script:
        told = {**refusal.as_dict(), "error": readable(refusal.message), "key": key}
        return JsonResponse(told, status=refusal.status)
    form.data = {**request.POST.dict(), "key": key}
    return show(request, here, found, form, status=refusal.status)


def _post(here: Here, found: Channel, said: dict[str, Any]) -> Any:
    rates.count_operation(here.principal)
    return people.post(
        here.principal,
        channel=found.name,
        content=said["content"],
        message_type=said["message_type"],
        in_reply_to=said["in_reply_to"],
        idempotency_key=f"page-{said['key']}",
        passes_pause=here.may(Action.MODERATE),
    )
