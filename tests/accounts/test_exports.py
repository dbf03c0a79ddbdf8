"""Exports: what is in the zip, who may ask and fetch, what happens when a job is cut off."""

from __future__ import annotations

import io
import json
import os
import secrets
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import archive, exports
from accounts.models import AuditEvent, Export, Invite, Workspace
from accounts.services import suspend
from accounts.signals import workspace_exported
from bus.services import shared
from crosswire.lib.errors import CrossWireError
from tests.accounts.filling import fill
from tests.conftest import Clock
from tests.isolation.world import Secrets, make_alice
from tests.support.cast import Caller, make_workspace
from tests.support.jobs import Jobs
from tests.support.messages import change_plan, principal_of, seed
from tests.support.people import Person, make_person, owner_of


def made(workspace: Workspace, **asked: Any) -> Export:
    """Make an export here and now."""
    export = exports.ask(workspace, is_queued=False, **asked)
    exports.make(export.pk)
    export.refresh_from_db()
    return export


def opened(export: Export) -> dict[str, str]:
    """Return the files of an export, by name."""
    assert export.state == Export.State.READY, export.problem
    with zipfile.ZipFile(exports.folder() / export.path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def rows(files: dict[str, str], table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[f"{table}.jsonl"].split("\n") if line]


def test_exports_are_asked_for_a_bounded_number_of_times_a_day(
    alice: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ASKED_A_DAY", 2)
    ada = owner_of(alice)
    made(alice.workspace)
    made(alice.workspace)
    assert ada.client().post(exports_page(ada)).status_code == 429
    clock.forward(days=1, seconds=1)
    assert ada.client().post(exports_page(ada)).status_code == 302


def exports_page(person: Person) -> str:
    return f"{person.home}settings/exports"


def test_everything_of_a_workspace_is_in_it_and_nothing_of_another() -> None:
    hers, theirs = Secrets.new(), Secrets.new()
    alice, bob = make_alice(hers), make_alice(theirs)
    Invite.objects.create(
        workspace=alice.workspace,
        email=f"{hers.text}-new@example.com",
        digest=hers.text + "digest",
        expires_at=timezone.now(),
    )
    files = opened(made(alice.workspace))
    tables = {name.removesuffix(".jsonl") for name in files if name.endswith(".jsonl")}
    assert tables == {
        *("workspace", "members", "keys", "invites", "usage_days", "audit_events", "pruned", "channels", "messages"),
        *("instances", "shared_data", "cursors", "subscriptions", "claims", "receipts", "invoices", "billing"),
    }
    for table in tables - {"audit_events"}:
        assert hers.text in files[f"{table}.jsonl"] or hers.digits in files[f"{table}.jsonl"], table
    assert {f"channels/{hers.channel}.md", "channels/general.md", "README.txt"} <= set(files)
    for name, text in files.items():
        assert not any(mark in text or mark in name for mark in theirs.marks()), name
        assert f"{hers.text}digest" not in text
        for key in (alice.key, bob.key):
            assert key not in text
    assert all(f"{name}.jsonl" in files["README.txt"] for name in tables)
    bob_files = opened(made(bob.workspace))
    assert not any(mark in text for text in bob_files.values() for mark in hers.marks())


def test_messages_are_there_in_order_as_they_were_stored(alice: Caller) -> None:
    contents = [
        "plain",
        "two\nlines",
        "naïve 漢字 🙂",
        "## #99 · forged · 2026",
        "\u2028separated",
        "<script>alert(1)</script>",
    ]
    numbers = seed(alice, contents)
    files = opened(made(alice.workspace))
    found = rows(files, "messages")
    assert [(each["id"], each["content"], each["channel"]) for each in found] == [
        (number, content, "general") for number, content in zip(numbers, contents, strict=True)
    ]
    heads = [line for line in files["channels/general.md"].split("\n") if line.startswith("## ")]
    assert len(heads) == len(contents), "what somebody wrote looks like a message"
    assert "> two\n> lines" in files["channels/general.md"]


def test_what_has_expired_is_not_in_it(alice: Caller, clock: Clock) -> None:
    change_plan(alice, retention_days=7)
    seed(alice, ["old secret"])
    shared.share(principal_of(alice), key="old", content="old secret", sender="a")
    clock.forward(days=8)
    seed(alice, ["new"])
    files = opened(made(alice.workspace))
    assert [each["content"] for each in rows(files, "messages")] == ["new"]
    assert "old secret" not in "".join(files.values())


def test_names_of_files_hold_nothing_that_leaves_the_folder(alice: Caller) -> None:
    shared.share(principal_of(alice), key="../../etc/passwd", content="x", sender="../../a")
    seed(alice, ["x"], channel="../../Ops & \\ more", sender="../../a")
    files = opened(made(alice.workspace))
    assert all(".." not in name and "\\" not in name and not name.startswith("/") for name in files)
    assert any(name.startswith("channels/-ops-more-") for name in files)
    assert rows(files, "shared_data")[0]["key"] == "../../etc/passwd"


def test_who_asked_gets_a_mail_with_the_page_and_not_the_file(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    answer = ada.client().post(exports_page(ada))
    assert answer.status_code == 302
    assert answer["Location"] == f"{ada.home}settings#exports"
    assert jobs.names() == ["make_export"]
    jobs.do()
    (told,) = [each for each in mail.outbox if each.to == [ada.user.email]]
    assert f"{ada.home}settings#exports" in told.body
    assert ".zip" not in told.body
    page = ada.client().get(f"{ada.home}settings").content.decode()
    export = Export.objects.get(workspace=alice.workspace)
    assert f"{exports_page(ada)}/{export.pk}" in page
    assert "ready" in page


def test_the_file_is_fetched_whole_by_who_may_export(alice: Caller) -> None:
    ada = owner_of(alice)
    export = made(alice.workspace)
    answer = ada.client().get(f"{exports_page(ada)}/{export.pk}")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith('attachment; filename="crosswire-')
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined] # Django's own name for it
    assert len(body) == int(answer["Content-Length"]) == export.size_bytes
    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    assert AuditEvent.objects.filter(workspace=alice.workspace, action="export.downloaded").count() == 1


@pytest.mark.parametrize("role", ["member", "viewer", "stranger"])
def test_nobody_else_asks_or_fetches(alice: Caller, role: str, jobs: Jobs) -> None:
    export = made(alice.workspace)
    other = make_person() if role == "stranger" else make_person(alice.workspace, role)
    client, page = other.client(), f"/w/{alice.workspace.slug}/settings"
    expected = 404 if role == "stranger" else 403
    assert client.get(page).status_code == expected
    assert client.post(f"{page}/exports").status_code == expected
    assert client.get(f"{page}/exports/{export.pk}").status_code == expected
    if role == "stranger":
        assert client.get(f"{exports_page(other)}/{export.pk}").status_code == 404, "through her own workspace"
    assert jobs.names() == []


def test_one_is_made_at_a_time_and_five_are_kept(alice: Caller) -> None:
    first = exports.ask(alice.workspace, is_queued=False)
    with pytest.raises(CrossWireError, match="being made already"):
        exports.ask(alice.workspace, is_queued=False)
    exports.make(first.pk)
    first.refresh_from_db()
    old = exports.folder() / first.path
    assert old.stat().st_mode & 0o777 == 0o600
    assert old.parent.stat().st_mode & 0o077 == 0
    for _ in range(5):
        made(alice.workspace)
    first.refresh_from_db()
    assert (first.state, first.path, old.exists()) == (Export.State.EXPIRED, "", False)
    assert Export.objects.filter(workspace=alice.workspace, state=Export.State.READY).count() == 5


def test_a_week_later_the_file_is_gone(alice: Caller, clock: Clock) -> None:
    ada = owner_of(alice)
    export = made(alice.workspace)
    path = exports.folder() / export.path
    clock.forward(days=6, hours=23)
    exports.sweep()
    assert path.exists()
    clock.forward(hours=2)
    assert ada.client().get(f"{exports_page(ada)}/{export.pk}").status_code == 404, "even before it is swept"
    exports.sweep()
    assert not path.exists()
    assert "expired" in ada.client().get(f"{ada.home}settings").content.decode()
    clock.forward(days=30)
    exports.sweep()
    assert not Export.objects.filter(pk=export.pk).exists()


def test_a_file_that_is_renamed_while_leftovers_are_looked_for_is_none(alice: Caller) -> None:
    made(alice.workspace)
    gone = exports.folder() / f"{secrets.token_hex(8)}{archive.PART}"
    gone.symlink_to(gone.with_suffix(".elsewhere"))  # listed, and not there when it is looked at
    try:
        exports.sweep()
    finally:
        gone.unlink()


def test_leftovers_of_jobs_that_were_killed_go_after_a_day(alice: Caller) -> None:
    kept = exports.folder() / made(alice.workspace).path
    left = [exports.folder() / name for name in (f"x.zip.0{archive.PART}", "orphan.zip")]
    yesterday = time.time() - 90_000
    for path in left:
        path.write_bytes(b"x")
        exports.sweep()
        assert path.exists(), "it may be in the making"
    for path in (kept, *left):
        os.utime(path, (yesterday, yesterday))
    exports.sweep()
    assert (kept.exists(), *(path.exists() for path in left)) == (True, False, False)


def test_a_job_that_was_killed_is_done_by_another_and_a_third_failure_is_told(
    alice: Caller, clock: Clock, jobs: Jobs
) -> None:
    ada = owner_of(alice)
    export = exports.ask(alice.workspace)
    jobs.forget()
    mine = ("accounts.tasks.make_export", (export.pk,))
    exports.resume()
    assert mine not in jobs.waiting, "it may still be in a queue"
    clock.forward(minutes=3)
    exports.resume()
    assert mine in jobs.waiting
    for _ in range(exports.ATTEMPTS_MOST):
        assert exports._claim(export.pk)
        assert not exports._claim(export.pk), "two at once"
        clock.forward(minutes=3)
    exports.make(export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.FAILED
    page = ada.client().get(f"{ada.home}settings").content.decode()
    assert "cut off" in page
    assert opened(made(alice.workspace)), "it can be asked for again"


@pytest.mark.parametrize(
    ("problem", "told"),
    [(OSError(28, "No space left on device"), "No space left on device"), (ValueError("boom"), "it was logged")],
)
def test_what_goes_wrong_is_told_in_words_and_leaves_no_file(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, problem: Exception, told: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise problem

    before = set(exports.folder().glob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(archive.Archive, "text", fail)
        export = made(alice.workspace)
    assert export.state == Export.State.FAILED
    assert told in export.problem
    assert "boom" not in export.problem
    assert set(exports.folder().glob("*")) == before


def test_a_file_written_on_another_disk_is_told_in_a_clear_sentence(alice: Caller) -> None:
    ada = owner_of(alice)
    export = made(alice.workspace)
    (exports.folder() / export.path).unlink()
    answer = ada.client().get(f"{exports_page(ada)}/{export.pk}")
    assert answer.status_code == 503
    assert "EXPORTS_DIR" in answer.content.decode()


def test_a_suspended_workspace_can_still_be_exported(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    suspend(alice.workspace, "not paid")
    assert ada.client().get(f"{ada.home}settings").status_code == 200
    ada.client().post(exports_page(ada))
    jobs.do()
    export = Export.objects.get(workspace=alice.workspace)
    assert ada.client().get(f"{exports_page(ada)}/{export.pk}").status_code == 200


def test_the_command_makes_one_and_says_where_it_is(alice: Caller) -> None:
    out = io.StringIO()
    call_command("export", alice.workspace.slug, stdout=out)
    path = Path(out.getvalue().rpartition(" (")[0])
    assert zipfile.is_zipfile(path)
    with pytest.raises(CommandError, match="no workspace"):
        call_command("export", "nothing-of-that-name")


def test_messages_sent_meanwhile_are_left_out(alice: Caller) -> None:
    seed(alice, ["before"])

    def send_more(**kwargs: Any) -> None:
        seed(alice, ["meanwhile"])

    workspace_exported.connect(send_more)
    try:
        files = opened(made(alice.workspace))
    finally:
        workspace_exported.disconnect(send_more)
    assert "meanwhile" not in files["messages.jsonl"] + files["channels/general.md"]


@pytest.mark.slow
def test_fifty_thousand_messages_take_bounded_statements() -> None:
    alice = make_workspace("unlimited")
    fill(alice.workspace, 50_000)
    export = exports.ask(alice.workspace, is_queued=False)
    with CaptureQueriesContext(connection) as ran:
        exports.make(export.pk)
    export.refresh_from_db()
    files = opened(export)
    assert [each["id"] for each in rows(files, "messages")] == list(range(1, 50_001))
    assert files["channels/general.md"].count("\n## #") == 50_000
    assert len(ran) < 2 * (50_000 // 500 + 1) + 40


def test_memory_does_not_grow_with_the_messages() -> None:
    alice = make_workspace("unlimited")
    fill(alice.workspace, 8_000, "x" * 4_000)
    export = exports.ask(alice.workspace, is_queued=False)
    tracemalloc.start()
    try:
        exports.make(export.pk)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    export.refresh_from_db()
    assert len(opened(export)["messages.jsonl"]) > 32_000_000
    assert most < 10_000_000, f"{most:,} bytes"
