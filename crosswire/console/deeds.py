"""What operators do: each deed on a page of its own, which says what it means before a button does it.

class Suspend(Deed[Workspace]):
    name, title, button = "suspend", "Suspend", "Suspend it"
    means = "Every call is refused from now on."

    def do(self, given, by): services.suspend(self.row, given["reason"], actor=audit.operator(by))
"""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts import operators
from accounts.models import User
from crosswire.lib.errors import CrossWireError


class Deed[M: Model]:
    """One thing that can be done to a row. `right` is one of accounts/operators.py; `means` says what it comes to;
    `is_listed`: the row's page links to it among the others. Before what `is_dangerous` an operator shows that it is
    still them."""

    name: ClassVar[str]
    title: ClassVar[str]
    button: ClassVar[str]
    means: ClassVar[str] = ""
    done: ClassVar[str] = "Done."
    right: ClassVar[str] = "workspaces"
    is_dangerous: ClassVar[bool] = False
    is_listed: ClassVar[bool] = True
    address: ClassVar[str] = ""
    template: ClassVar[str] = "console/deed.html"
    form_class: ClassVar[type[forms.Form]] = forms.Form

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.address = cls.__dict__.get("address") or f"{getattr(cls, 'name', '')}/"

    def __init__(self, row: M) -> None:
        self.row = row

    @classmethod
    def is_allowed(cls, operator: Any) -> bool:
        """Return whether this operator may do it."""
        return operators.may(operator, cls.right)

    @classmethod
    def is_offered(cls, row: M) -> bool:
        """Return whether there is anything to do just now."""
        return True

    @classmethod
    def url(cls, row: M, **named: Any) -> str:
        """Return the address of its page for a row."""
        about = row._meta  # noqa: SLF001 - Django's way to ask
        return reverse(f"admin:{about.app_label}_{about.model_name}_{cls.name}", kwargs={"pk": row.pk, **named})

    @property
    def back(self) -> str:
        """The page of the row."""
        about = self.row._meta  # noqa: SLF001 - as above
        return reverse(f"admin:{about.app_label}_{about.model_name}_change", args=[self.row.pk])

    @property
    def after(self) -> str:
        """Where the operator goes when it is done."""
        return self.back

    def form(self, data: Any) -> forms.Form:
        """Return what has to be said for it."""
        return self.form_class(data)

    def about(self) -> dict[str, Any]:
        """Return what its page shows beside the form."""
        return {}

    def do(self, given: dict[str, Any], by: User) -> None:
        """Do it. Raises: CrossWireError, which the page shows."""
        raise NotImplementedError

    def answer(self, request: HttpRequest, shown: dict[str, Any]) -> HttpResponse:
        """Show the page, or do it."""
        if request.method not in {"GET", "HEAD", "POST"}:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.is_offered(self.row):
            messages.warning(request, f"{self.title}: there is nothing to do.")
            return redirect(self.back)
        form = self.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            assert isinstance(request.user, User)
            try:
                self.do(form.cleaned_data, request.user)
            except CrossWireError as refusal:
                form.add_error(None, refusal.message)
            else:
                messages.success(request, self.done)
                return redirect(self.after)
        shown = {**shown, "title": f"{self.title}: {self.row}", "deed": self, "row": self.row, "form": form}
        return render(request, self.template, shown | self.about(), status=400 if form.errors else 200)
