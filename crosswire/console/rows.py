"""What every list of the console has in common: it is looked at here, and changed by deeds alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar

from allauth.account.decorators import reauthentication_required
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from crosswire.console.deeds import Deed


class Rows(admin.ModelAdmin):  # type: ignore[type-arg] # generic in the stubs alone
    """A list with a page for each row. Django's forms, bulk actions and deletions are not offered at all: they would
    pass the services by."""

    actions = None
    empty_value_display = ""
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    heading = ""
    page_template = ""
    deeds: ClassVar[tuple[type[Deed[Any]], ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes rows here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits rows here; deeds ask for their own rights."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Every operator may look."""
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Every operator may look."""
        return True

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Return whether something may be asked for in the address: filters, no fields of a table. By those whoever may
        look could find out digests and passwords, letter by letter."""
        return lookup in {getattr(each, "parameter_name", None) for each in self.list_filter}

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the list, of a row's page, and of what can be done to it."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        found = [path("", self._guarded(self.changelist_view), name=f"{name}_changelist")]
        if self.page_template:
            found.append(path("<int:pk>/", self._guarded(require_safe(self.page)), name=f"{name}_change"))
        return found + [
            path(f"<int:pk>/{deed.address}", self._guarded(self._doing(deed)), name=f"{name}_{deed.name}")
            for deed in self.deeds
        ]

    def _guarded(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        guarded: Callable[..., HttpResponse] = self.admin_site.admin_view(view)
        return guarded

    def _doing(self, deed: type[Deed[Any]]) -> Callable[..., HttpResponse]:
        def do(request: HttpRequest, row: Model, **named: Any) -> HttpResponse:
            return deed(row, **named).answer(request, self.admin_site.each_context(request))

        confirmed = reauthentication_required(do) if deed.is_dangerous else do

        def view(request: HttpRequest, pk: int, **named: Any) -> HttpResponse:
            row = get_object_or_404(self.get_queryset(request), pk=pk)
            if not deed.is_allowed(request.user):
                raise PermissionDenied("A superuser can do that, or give you the right.")
            answer: HttpResponse = confirmed(request, row, **named)
            return answer

        return update_wrapper(view, deed, updated=())

    def page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show one row."""
        row = get_object_or_404(self.get_queryset(request), pk=pk)
        offered = [
            {"title": deed.title, "url": deed.url(row), "is_dangerous": deed.is_dangerous}
            for deed in self.deeds
            if deed.is_listed and deed.is_offered(row) and deed.is_allowed(request.user)
        ]
        shown = {**self.admin_site.each_context(request), "title": str(row), "row": row, "deeds": offered}
        return render(request, self.page_template, shown | self.about(request, row))

    def about(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page of a row shows beside it."""
        return {}


class ConditionFilter(admin.SimpleListFilter):
    """A filter each of whose choices is a title and a condition."""

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the choices by their names in addresses."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return names and titles."""
        return [(name, title) for name, (title, _) in self.conditions().items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list; a choice that there is not narrows nothing, and the page says so."""
        asked = self.value() or ""
        _, condition = self.conditions().get(asked, ("", Q()))
        if asked and asked not in self.conditions():
            messages.warning(request, f"There is no {self.title} “{asked[:40]}” to choose: all are shown.")
        return queryset.filter(condition)
