"""Being cut off is told by mail, with the reason: to the owner always, to admins who want mail."""

from __future__ import annotations

from accounts import services
from accounts.notices import TOPICS
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.people import make_person, owner_of


def test_owner_and_admins_hear_of_a_suspension_with_its_reason(alice: Caller, jobs: Jobs) -> None:
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    member = make_person(alice.workspace, "member", "Mel")
    services.suspend(alice.workspace, "Spam since May", actor="operator olga@example.com")
    jobs.do()
    for person in (ada, adam):
        (mail,) = mails_to(person.user.email)
        assert mail.subject == f"The workspace {alice.workspace.name} is suspended"
        assert "Spam since May" in mail.body
        assert "olga" not in mail.body
        assert "subscription" not in mail.body, "nothing is paid for here"
    assert mails_to(member.user.email) == []


def test_they_hear_that_it_goes_on(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    services.suspend(alice.workspace, "Spam")
    jobs.forget()
    services.resume(alice.workspace)
    jobs.do()
    (mail,) = mails_to(ada.user.email)
    assert mail.subject == f"The workspace {alice.workspace.name} goes on"
    assert f"/w/{alice.workspace.slug}/" in mail.body


def test_the_owner_hears_of_it_who_wants_no_other_mails(alice: Caller, jobs: Jobs) -> None:
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    for each in (ada, adam):
        each.user.wants_mail = False
        each.user.save()
    alice.workspace.muted_mails = list(TOPICS)
    alice.workspace.save()
    services.suspend(alice.workspace, "Spam")
    jobs.do()
    assert len(mails_to(ada.user.email)) == 1
    assert mails_to(adam.user.email) == []
