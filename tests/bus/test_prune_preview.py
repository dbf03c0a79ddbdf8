"""`manage.py prune --dry-run` for one workspace."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from tests.support.cast import Caller


def test_a_workspace_of_which_nothing_would_go_is_named_with_nothing(alice: Caller) -> None:
    out = StringIO()
    call_command("prune", "--workspace", alice.workspace.slug, "--dry-run", stdout=out)
    assert out.getvalue() == f"This would go:\n{alice.workspace.slug}: nothing\n"
