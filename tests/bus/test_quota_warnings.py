"""Who runs a workspace is told once a month that 80 % and that all of a quota is used."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.db import connection

from accounts import plan_changes
from accounts.models import QuotaWarning, User, Workspace
from accounts.plans import upgrade_url
from accounts.quotas import STALE, Use, crosses
from bus import quotas
from bus.models import Counters
from crosswire.lib import clock as product_clock
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.messages import change_plan, seed, use_up
from tests.support.people import Person, make_person, owner_of
from tests.support.surfaces import Surface

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)


@pytest.fixture
def free(make_workspace: MakeWorkspace) -> Caller:
    return make_workspace("free")


def subjects(person: Person) -> list[str]:
    return [each.subject.partition(" · ")[0] for each in mails_to(person.user.email)]


def lines(caller: Caller) -> list[tuple[str, int]]:
    rows = QuotaWarning.objects.filter(workspace=caller.workspace).exclude(told_at=None).order_by("what", "line")
    return list(rows.values_list("what", "line"))


# --- noticed by who crosses a line ------------------------------------------------------------------------------


def test_the_80th_and_the_100th_message_are_told_of_once_each(call: Surface, free: Caller, jobs: Jobs) -> None:
    ada = owner_of(free)
    use_up(free, 78)
    call.ok(free, "send_message", sender="ann", content="the 79th")
    assert jobs.names() == []
    call.ok(free, "send_message", sender="ann", content="the 80th")
    call.ok(free, "send_message", sender="ann", content="the 81st")
    assert jobs.waiting == [("bus.tasks.warn", (free.workspace.pk,))]
    jobs.do()
    use_up(free, 99)
    call.ok(free, "send_message", sender="ann", content="the 100th")
    call.refused(free, "send_message", "quota_exceeded", sender="ann", content="one too many")
    assert jobs.names() == ["warn"]
    jobs.do()
    assert subjects(ada) == ["81 % of the month's messages are used", "All messages of this month are used"]
    [_, last] = mails_to(ada.user.email)
    assert upgrade_url(free.workspace.slug) in last.body
    assert "100 of the 100 messages that plan Free has a month" in last.body


def test_a_batch_that_crosses_both_lines_makes_one_mail(free: Caller, jobs: Jobs) -> None:
    ada = owner_of(free)
    seed(free, [f"m{number}" for number in range(100)])
    jobs.do()
    assert subjects(ada) == ["All messages of this month are used"]
    assert lines(free) == [("messages", 80), ("messages", 100)]


@LANE
def test_shared_data_is_told_of_alike_and_once_a_month_however_it_goes_up_and_down(
    call: Surface, free: Caller, jobs: Jobs
) -> None:
    ada = owner_of(free)
    for _ in range(2):
        call.ok(free, "share_data", key="k", content="x" * 850_000, sender="ann")
        jobs.do()
        call.ok(free, "delete_shared_data", key="k")
    assert subjects(ada) == ["85 % of the shared data are used"]
    call.ok(free, "share_data", key="k", content="x" * 1_000_000, sender="ann")
    jobs.do()
    assert subjects(ada)[1:] == ["The shared data is full"]
    assert "1 MB of the 1 MB of shared data" in mails_to(ada.user.email)[1].body


def test_a_new_month_is_told_of_anew_and_the_old_rows_go(free: Caller, jobs: Jobs, clock: Clock) -> None:
    ada = owner_of(free)
    use_up(free, 85)
    quotas.warn(free.workspace.pk)
    clock.forward(seconds=(product_clock.month_ends_at(clock.now()) - clock.now()).total_seconds() + 1)
    quotas.warn(free.workspace.pk)
    assert len(subjects(ada)) == 1, "nothing is used of the new month"
    use_up(free, 90)
    quotas.look()
    assert subjects(ada) == ["85 % of the month's messages are used", "90 % of the month's messages are used"]
    assert QuotaWarning.objects.filter(workspace=free.workspace).count() == 1


def test_after_an_upgrade_the_larger_quota_is_told_of(free: Caller) -> None:
    ada = owner_of(free)
    use_up(free, 100)
    quotas.warn(free.workspace.pk)
    plan_changes.set_plan(free.workspace, "starter")
    quotas.warn(free.workspace.pk)
    assert len(subjects(ada)) == 1
    use_up(free, 800)
    quotas.warn(free.workspace.pk)
    assert len(subjects(ada)) == 2


# --- exactly once, and nothing lost -----------------------------------------------------------------------------


def test_many_processes_that_notice_at_once_send_one_mail(free: Caller) -> None:
    ada = owner_of(free)
    use_up(free, 80)

    def warn() -> None:
        try:
            quotas.warn(free.workspace.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=warn) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(subjects(ada)) == 1


def test_the_hourly_look_tells_what_was_lost_on_the_way(free: Caller, jobs: Jobs, clock: Clock) -> None:
    ada = owner_of(free)
    seed(free, [f"m{number}" for number in range(80)])
    jobs.forget()
    call_command("look_at_quotas")
    assert subjects(ada) == ["80 % of the month's messages are used"]
    quotas.look()
    assert len(subjects(ada)) == 1


def test_the_hourly_look_finds_what_an_override_makes_close(alice: Caller) -> None:
    ada = owner_of(alice)
    use_up(alice, 9)
    quotas.look()
    assert subjects(ada) == []
    change_plan(alice, messages=10)
    quotas.look()
    assert subjects(ada) == ["90 % of the month's messages are used"]


def test_whoever_died_over_the_mails_is_taken_for_dead_after_a_while(free: Caller, clock: Clock) -> None:
    ada = owner_of(free)
    use_up(free, 80)
    month = product_clock.month_of(clock.now())
    begun = {"month": month, "what": "messages", "limit": 100, "line": 80, "begun_at": clock.now()}
    QuotaWarning.objects.create(workspace=free.workspace, **begun)
    quotas.warn(free.workspace.pk)
    assert subjects(ada) == []
    clock.forward(seconds=(STALE + timedelta(seconds=1)).total_seconds())
    Counters.objects.filter(workspace=free.workspace).update(month=product_clock.month_of(clock.now()))
    quotas.warn(free.workspace.pk)
    assert len(subjects(ada)) == 1


def test_a_mail_server_that_is_away_makes_it_later(free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = owner_of(free)
    use_up(free, 80)

    def refuse(self: EmailBackend, messages: list[object]) -> int:
        raise ConnectionRefusedError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        assert quotas.warn(free.workspace.pk) == 0
    clock.forward(minutes=11)
    assert quotas.warn(free.workspace.pk) == 1
    assert len(subjects(ada)) == 1


# --- who is told ------------------------------------------------------------------------------------------------


def test_owner_and_admins_are_told_who_want_mail_and_nobody_else(free: Caller) -> None:
    people = {role: make_person(free.workspace, role) for role in ("owner", "admin", "member", "viewer")}
    deaf = make_person(free.workspace, "admin")
    User.objects.filter(pk=deaf.user.pk).update(wants_mail=False)
    use_up(free, 80)
    quotas.warn(free.workspace.pk)
    assert {role for role, person in people.items() if subjects(person)} == {"owner", "admin"}
    assert subjects(deaf) == []


@pytest.mark.parametrize("field", [{"muted_mails": ["quota"]}, {"suspended_at": product_clock.now()}])
def test_a_workspace_that_mutes_such_mails_or_is_suspended_gets_none(free: Caller, field: dict[str, object]) -> None:
    ada = owner_of(free)
    Workspace.objects.filter(pk=free.workspace.pk).update(**field)
    use_up(free, 100)
    quotas.look()
    assert subjects(ada) == []
    assert lines(free) == []


def test_a_workspace_without_bound_or_with_a_bound_of_nothing_has_no_line(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    ada = owner_of(caller)
    use_up(caller, 10_000_000)
    change_plan(caller, data_bytes=0)
    quotas.look()
    assert subjects(ada) == []


@pytest.mark.parametrize(
    ("before", "after", "limit", "is_crossed"),
    [
        (79, 80, 100, True),
        (80, 81, 100, False),
        (79, 100, 100, True),
        (80, 99, 100, False),
        (99, 100, 100, True),
        (100, 120, 100, False),
        (85, 70, 100, False),
        (0, 10, None, False),
        (0, 0, 0, False),
        (0, 1, 1, True),
        (2, 3, 3, True),
    ],
)
def test_a_line_is_crossed_once_on_the_way_up(before: int, after: int, limit: int | None, is_crossed: bool) -> None:
    assert crosses(before, after, limit) is is_crossed


def test_a_share_is_rounded_down() -> None:
    assert (Use("messages", 999, 1000).percent, Use("messages", 999, 1000).line) == (99, 80)
