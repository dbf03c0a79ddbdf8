"""Operators in what a workspace's people get to see, and in the record when their account is gone."""

from __future__ import annotations

import json
import zipfile

from accounts import audit, exports, leaving, plan_changes, services
from accounts.models import AuditEvent
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.operators import make_operator
from tests.support.people import owner_of


def test_a_mail_about_a_key_that_an_operator_revoked_names_none(alice: Caller, jobs: Jobs) -> None:
    olga, ada = make_operator(), owner_of(alice)
    key, _ = services.create_key(alice.workspace, "laptop", created_by=ada.user, actor=ada.user.email)
    jobs.forget()
    services.revoke_key(key, actor=audit.operator(olga.user))
    jobs.do()
    (mail,) = mails_to(ada.user.email)
    assert mail.subject == f"An operator revoked the key laptop · {alice.workspace.name}"
    assert olga.user.email not in mail.body


def test_an_export_tells_of_an_operator_and_not_which_one(alice: Caller) -> None:
    olga = make_operator()
    plan_changes.set_plan(alice.workspace, "starter", actor=audit.operator(olga.user))
    export = exports.ask(alice.workspace, is_queued=False)
    exports.make(export.pk)
    export.refresh_from_db()
    with zipfile.ZipFile(exports.folder() / export.path) as archive:
        name = next(each for each in archive.namelist() if "audit_events" in each)
        lines = archive.read(name).decode()
        assert all(olga.user.email not in archive.read(each).decode() for each in archive.namelist())
    events = [json.loads(line) for line in lines.splitlines()]
    assert {each["actor"] for each in events if each["action"] == "workspace.plan_changed"} == {"operator"}


def test_an_operator_whose_account_is_gone_is_an_operator_still(alice: Caller, jobs: Jobs) -> None:
    olga = make_operator()
    services.suspend(alice.workspace, "x", actor=audit.operator(olga.user))
    leaving.close(olga.user)
    jobs.do()
    event = AuditEvent.objects.get(workspace=alice.workspace, action="workspace.suspended")
    assert event.actor == "operator a deleted account"
    assert audit.is_operator(event.actor)


def test_a_member_is_never_taken_for_an_operator() -> None:
    assert not audit.is_operator("operators@example.com")
    assert not audit.is_operator("operator@example.com")
    assert audit.for_customers("operator@example.com") == "operator@example.com"
