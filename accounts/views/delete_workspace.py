"""Deleting a workspace."""

from __future__ import annotations

import unicodedata

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import closing, members
from accounts.here import Here, member_page
from accounts.roles import Action


class DeleteForm(forms.Form):
    """Asks for the name, so that nobody deletes by accident."""

    typed = forms.CharField(label="Type the workspace's name", max_length=120, required=False)

    def __init__(self, *args: object, name: str, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # whatever a form takes
        self.name = name
        self.fields["typed"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean_typed(self) -> str:
        """Compare. Raises: ValidationError."""
        typed: str = self.cleaned_data["typed"]
        if unicodedata.normalize("NFKC", typed) != unicodedata.normalize("NFKC", self.name):
            raise forms.ValidationError(f"That is not the name. Type “{self.name}”.")
        return typed


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.DELETE, while_suspended=True)
def delete_workspace(request: HttpRequest, here: Here) -> HttpResponse:
    """Show what goes, or delete it."""
    workspace = here.workspace
    form = DeleteForm(request.POST if request.method == "POST" else None, name=workspace.name, label_suffix="")
    if form.is_valid():
        with members.acting(here.member, Action.DELETE):
            closing.close(workspace, actor=here.actor)
        messages.success(request, f"The workspace “{workspace.name}” is deleted. Its content is being erased.")
        return redirect("home")
    shown = {"form": form, "what_goes": [(what, f"{count:,}") for what, count in closing.what_goes(workspace)]}
    return render(request, "accounts/delete_workspace.html", shown, status=400 if form.errors else 200)
