"""A person's request inside a workspace: who they are there, and what they may do.

    @member_page(Action.VIEW)
    def overview(request: HttpRequest, here: Here) -> HttpResponse: ...

The address names the workspace (`/w/<workspace>/…`), so two tabs may show two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, Concatenate

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import once, principals, roles
from accounts.models import Member, User, Workspace
from accounts.principals import Principal
from accounts.roles import Action
from crosswire.lib.errors import CrossWireError

LAST_WORKSPACE = "workspace"
"""Where the session remembers which workspace a person saw last."""
FIRST_KEY = "first_key"
"""Set in the session of who has just made a workspace: Connect makes a first key and shows it."""


@dataclass(eq=False)
class Here:
    """A member of a workspace, in one request."""

    member: Member
    notes: dict[str, Any] = field(default_factory=dict)
    """What apps above this one read once a request."""

    @property
    def workspace(self) -> Workspace:
        """The workspace the address names."""
        return self.member.workspace

    @property
    def user(self) -> User:
        """The person."""
        return self.member.user

    @property
    def actor(self) -> str:
        """How the audit log names the person."""
        return self.member.user.email

    @cached_property
    def principal(self) -> Principal:
        """The caller that services take."""
        return principals.of_member(self.member)

    def may(self, action: Action) -> bool:
        """Return whether this person may do that here."""
        return roles.may(self.member.role, action)

    def require(self, action: Action) -> None:
        """Raises: PermissionDenied, with who may, when this person may not do that here."""
        if not self.may(action):
            raise PermissionDenied(roles.who_may(action))


def find(user: User, workspace: str) -> Here:
    """Return a person's place in a workspace by its slug. Raises: Http404 for strangers, as if it were not there."""
    member = Member.objects.select_related("workspace", "user").filter(user=user, workspace__slug=workspace).first()
    if member is None:
        raise Http404
    return Here(member)


def last(request: HttpRequest) -> Member | None:
    """Return a person's place in the workspace they saw last, else in their oldest one; None without any."""
    assert isinstance(request.user, User)
    memberships = Member.objects.filter(user=request.user).select_related("workspace").order_by("pk")
    return memberships.filter(workspace__slug=request.session.get(LAST_WORKSPACE)).first() or memberships.first()


type Page[**P] = Callable[Concatenate[HttpRequest, Here, P], HttpResponse]


def member_page[**P](
    action: Action, *, while_suspended: bool = False
) -> Callable[[Page[P]], Callable[..., HttpResponse]]:
    """Make a view one that only members who may do `action` reach; others get 404 (strangers) or 403.

    A CrossWireError becomes a page that says what was wrong, with its status. Nothing of a workspace is ever cached.
    `while_suspended`: the page stays reachable in a suspended workspace.
    """

    def decorate(view: Page[P]) -> Callable[..., HttpResponse]:
        @login_required
        @wraps(view)
        def page(request: HttpRequest, workspace: str, *args: Any, **kwargs: Any) -> HttpResponse:
            assert isinstance(request.user, User)
            if any("\0" in str(each) for each in (workspace, *kwargs.values())):
                raise Http404  # PostgreSQL refuses to look for such a name
            here = find(request.user, workspace)
            request.here = here  # type: ignore[attr-defined] # the context processor's
            if request.session.get(LAST_WORKSPACE) != here.workspace.slug:  # to set it is to store the session
                request.session[LAST_WORKSPACE] = here.workspace.slug
            here.require(action)
            response = _answer(view, request, here, args, kwargs, while_suspended=while_suspended)
            add_never_cache_headers(response)
            return response

        return page

    return decorate


def _answer(
    view: Callable[..., HttpResponse],
    request: HttpRequest,
    here: Here,
    args: Any,
    kwargs: Any,
    *,
    while_suspended: bool,
) -> HttpResponse:
    if here.workspace.suspended_at and not while_suspended:
        return render(request, "accounts/suspended.html", status=403)
    try:
        return view(request, here, *args, **kwargs)
    except CrossWireError as refusal:
        return refused(request, refusal)
    except once.SentAlreadyError:
        messages.warning(
            request,
            "This form was sent already; the key it made was shown then. "
            "If you have not seen it, revoke it here and make another one.",
        )
        return redirect("keys", here.workspace.slug)


def refused(request: HttpRequest, refusal: CrossWireError) -> HttpResponse:
    """Return the page that says why something was not done, with a way back."""
    before = request.headers.get("referer", "")
    back = before if url_has_allowed_host_and_scheme(before, allowed_hosts={request.get_host()}) else ""
    is_absent = refusal.status == 404 and request.method in ("GET", "HEAD")
    return render(
        request,
        "accounts/refused.html",
        {"refusal": refusal, "back": back, "is_absent": is_absent},
        status=refusal.status,
    )
