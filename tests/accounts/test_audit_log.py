"""The audit log: in words, filtered, page by page, and as a download."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit, audit_log, members, services
from accounts.audit_log import Filter
from accounts.models import AuditEvent, User
from crosswire.lib import clock
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.people import Person, make_person, owner_of

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def ada() -> Person:
    return make_person(role="owner")


def told(person: Person, wanted: Filter = Filter()) -> list[str]:  # noqa: B008 - it is frozen
    """Return what the log tells, oldest first, without how the workspace began."""
    entries, _ = audit_log.page(person.workspace, wanted)
    return [f"{each.who} {each.deed}" for each in reversed(entries)][2:]


def fill(person: Person, count: int, action: str = "key.created") -> list[AuditEvent]:
    now = clock.now()
    return AuditEvent.objects.bulk_create(
        AuditEvent(
            workspace=person.workspace,
            at=now + timedelta(seconds=number // 2),  # pairs of one moment
            actor=person.user.email,
            action=action,
            target=f"number {number}",
        )
        for number in range(count)
    )


# --- in words ---------------------------------------------------------------------------------------------------


def test_what_happened_is_told_in_words(alice: Caller) -> None:
    ada = owner_of(alice)
    key, _ = services.create_key(alice.workspace, "laptop", created_by=ada.user, actor=ada.user.email)
    services.create_key(alice.workspace, "ci", instance_id="robot", actor=ada.user.email)
    services.restrict_key(key, is_read_only=True, actor=ada.user.email)
    services.revoke_key(key, actor=ada.user.email)
    bo = make_person(alice.workspace, "member", "Bo Lee")
    members.set_role(ada.member, bo.member.pk, "admin")
    members.hand_over(ada.member, bo.member.pk)
    services.suspend(alice.workspace, "unpaid bill")
    services.resume(alice.workspace)
    prefix = key.prefix
    robot = AuditEvent.objects.get(workspace=alice.workspace, target="ci").details["prefix"]
    assert told(ada) == [
        f"Ada Jones made the key laptop ({prefix}…)",
        f"Ada Jones made the key ci ({robot}…) for the instance robot",
        "Ada Jones made the key laptop read-only",
        f"Ada Jones revoked the key laptop ({prefix}…)",
        f"Ada Jones changed the role of {bo.user.email} from member to admin",
        f"Ada Jones handed the workspace over to {bo.user.email}, the owner from then on",
        "An operator suspended the workspace: unpaid bill",
        "An operator resumed the workspace",
    ]


def test_who_took_an_instance_over_is_named_as_a_key_whatever_its_name(ada: Person) -> None:
    audit.record(ada.workspace.pk, ada.user.email, "instance.takeover", "robot", client="claude-code/2.1")
    assert told(ada) == [f"The key {ada.user.email} took over the instance robot from claude-code/2.1"]


def test_people_are_named_while_they_are_members_and_by_address_afterwards(ada: Person) -> None:
    bo = make_person(ada.workspace, "admin", "Bo Lee")
    audit.record(ada.workspace.pk, bo.user.email, "member.left", bo.user.email, role="admin")
    assert told(ada) == ["Bo Lee left the workspace; their role was admin"]
    members.remove(ada.member, bo.member.pk)
    assert told(ada)[0] == f"{bo.user.email} left the workspace; their role was admin"
    stranger = make_person(name="Mallory Mean")
    audit.record(ada.workspace.pk, stranger.user.email, "workspace.resumed")
    assert told(ada)[-1].startswith("mallory-"), "no name of anybody outside is told"


def test_the_page_shows_the_newest_first_with_the_address_beside_the_name(ada: Person) -> None:
    fill(ada, 2)
    page = ada.client().get(f"{ada.home}audit").content.decode()
    assert page.index("number 1") < page.index("number 0") < page.index("made the workspace")
    assert f'<span class="actor">{ada.user.email}</span>' in page


def test_hostile_content_is_text(ada: Person) -> None:
    User.objects.filter(pk=ada.user.pk).update(name=HOSTILE)
    audit.record(ada.workspace.pk, ada.user.email, "key.created", HOSTILE, prefix=HOSTILE, instance_id=HOSTILE)
    audit.record(ada.workspace.pk, HOSTILE, HOSTILE, HOSTILE)
    page = ada.client().get(f"{ada.home}audit?actor={HOSTILE}").content.decode()
    assert HOSTILE not in page
    page = ada.client().get(f"{ada.home}audit").content.decode()
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 6


def test_times_are_in_the_persons_zone(ada: Person) -> None:
    User.objects.filter(pk=ada.user.pk).update(time_zone="Asia/Kathmandu")
    AuditEvent.objects.filter(workspace=ada.workspace).update(at=datetime(2026, 3, 4, 20, 30, tzinfo=UTC))
    page = ada.client().get(f"{ada.home}audit").content.decode()
    assert "5 Mar 2026, 02:15:00" in page
    assert 'datetime="2026-03-05T02:15:00+05:45"' in page


# --- filters ----------------------------------------------------------------------------------------------------


def shown(person: Person, **query: str | int) -> list[str]:
    page = person.client().get(f"{person.home}audit", query)
    assert page.status_code == 200
    return [each.event.action for each in page.context["entries"]]


def test_the_log_is_filtered_by_kind_person_and_day(ada: Person) -> None:
    bo = make_person(ada.workspace, "admin", "Bo Lee")
    audit.record(ada.workspace.pk, bo.user.email, "member.left", "x")
    audit.record(ada.workspace.pk, ada.user.email, "member.removed", "x")
    AuditEvent.objects.filter(workspace=ada.workspace, action="member.removed").update(
        at=datetime(2026, 3, 4, 20, 30, tzinfo=UTC)
    )
    assert shown(ada, kind="member") == ["member.left", "member.removed"]
    assert shown(ada, kind="member", actor=bo.user.email) == ["member.left"]
    assert shown(ada, actor=ada.user.email) == ["member.removed"]
    assert shown(ada, day="2026-03-04") == ["member.removed"]
    assert shown(ada, day="2026-03-05") == []
    User.objects.filter(pk=ada.user.pk).update(time_zone="Asia/Kathmandu")
    assert shown(ada, day="2026-03-05") == ["member.removed"], "a day is the reader's day"
    assert shown(ada, kind="instance") == []
    assert shown(ada, actor="nobody") == []


def test_whom_one_may_filter_by_are_members_and_who_did_something(ada: Person) -> None:
    make_person(ada.workspace, "viewer", "Bo Lee")
    audit.record(ada.workspace.pk, "former@example.com", "member.left", "x")
    labels = [label for _, label in audit_log.actors(ada.workspace)]
    assert labels[0] == f"Ada Jones ({ada.user.email})"
    assert labels[1].startswith("Bo Lee (")
    assert labels[2:] == ["former@example.com", "An operator"]


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "x"},
        {"kind": "key' OR 1=1"},
        {"day": "yesterday"},
        {"day": "0001-01-01"},
        {"day": "9999-12-31"},
        {"before": "x"},
        {"before": "-1"},
        {"before": str(2**70)},
        {"actor": "\0"},
        {"actor": "x" * 161},
    ],
)
def test_a_filter_that_makes_no_sense_is_said_so(ada: Person, query: dict[str, str]) -> None:
    client = ada.client()
    for path in ("audit", "audit/download"):
        page = client.get(ada.home + path, query)
        assert page.status_code == 400
        assert "errorlist" in page.content.decode()


# --- pages ------------------------------------------------------------------------------------------------------


def test_pages_hold_fifty_and_none_is_shown_twice_or_missed(ada: Person) -> None:
    fill(ada, 120)
    client, seen, path = ada.client(), [], f"{ada.home}audit?kind=key"
    for size in (50, 50, 21):
        page = client.get(path)
        ours = [each.event.pk for each in page.context["entries"]]
        assert len(ours) == size
        seen += ours
        path = f"{ada.home}audit?kind=key&before={page.context['more']}"
    assert page.context["more"] is None
    expected = AuditEvent.objects.filter(workspace=ada.workspace, action="key.created").order_by("-at", "-pk")
    assert seen[:120] == [each.pk for each in expected][:120]


def test_another_workspaces_event_begins_no_page(ada: Person) -> None:
    mallory = make_person(name="Mallory")
    (theirs, *_) = fill(mallory, 2)
    assert shown(ada, before=theirs.pk) == []


def test_the_log_tells_nothing_of_other_workspaces(ada: Person) -> None:
    mallory = make_person(name="Mallory")
    audit.record(mallory.workspace.pk, mallory.user.email, "key.created", "a secret name")
    page = ada.client().get(f"{ada.home}audit").content.decode()
    assert "a secret name" not in page
    assert mallory.user.email not in page


def test_a_page_costs_the_same_however_much_happened(ada: Person) -> None:
    client, counts = ada.client(), []
    client.get(f"{ada.home}audit")
    for _ in range(2):
        with CaptureQueriesContext(connection) as ran:
            page = client.get(f"{ada.home}audit")
        counts.append(len(ran))
        fill(ada, 3_000)
    assert counts[0] == counts[1] < 15
    assert len(client.get(f"{ada.home}audit").content) < 100_000
    assert page.status_code == 200


@pytest.mark.home("sqlite")
def test_a_page_is_read_along_the_index(ada: Person) -> None:
    query = audit_log._events(ada.workspace, Filter(), fill(ada, 500)[250].pk)
    plan = query[: audit_log.PAGE + 1].explain()
    assert "audit_newest (workspace_id=? AND at<?)" in plan, plan


# --- the download -----------------------------------------------------------------------------------------------


def download(url: str, person: Person, **query: str) -> list[dict[str, Any]]:
    name, value = person.cookie()
    answer = loopback.get(f"{url}{person.home}audit/download", params=query, cookies={name: value}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == f'attachment; filename="audit-{person.workspace.slug}.jsonl"'
    assert "no-store" in answer.headers["cache-control"]
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


def test_the_log_is_downloaded_as_json_lines(lane_url: str, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "DOWNLOAD_BATCH", 7)
    events = fill(ada, 30)
    audit.record(ada.workspace.pk, ada.user.email, "member.left", 'line\nbreak " \u2028', role="viewer")
    lines = download(lane_url, ada)
    assert len(lines) == 33
    newest = next(each for each in lines if each["action"] == "key.created" and each["target"] == "number 29")
    assert newest == {
        "at": clock.iso(events[-1].at),
        "actor": ada.user.email,
        "action": "key.created",
        "target": "number 29",
        "details": {},
        "text": "Ada Jones made the key number 29",
    }
    assert [each["at"] for each in lines] == sorted((each["at"] for each in lines), reverse=True)
    assert len(download(lane_url, ada, kind="member")) == 1
    assert download(lane_url, ada, day="2001-01-01") == []


def test_a_download_is_bounded(lane_url: str, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "DOWNLOAD_BATCH", 5)
    monkeypatch.setattr(audit_log, "DOWNLOAD_MOST", 10)
    fill(ada, 30)
    assert len(download(lane_url, ada)) == 10
