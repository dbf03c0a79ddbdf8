"""What pages of workspaces and accounts say of a subscription: who hands over, deletes or sets a plan knows of it."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts import closing as accounts_closing
from accounts import members, plan_changes
from accounts.models import Member
from billing import refreshing
from tests.billing.payer import Payer
from tests.billing.reading import said
from tests.support import pages
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.people import PASSWORD, make_person


def test_who_hands_over_is_told_that_the_card_stays(payer: Payer) -> None:
    make_person(payer.workspace, "admin", "Bob Stone")
    assert "card" not in pages.said(payer.person, "members/hand-over")
    payer.subscribe("pro")
    assert "Pro is paid with Visa ending in 4242" in pages.said(payer.person, "members/hand-over")


def test_after_a_hand_over_both_are_mailed_and_the_page_says_whose_card_it_is(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    bob = make_person(payer.workspace, "admin", "Bob Stone")
    jobs.do()
    members.hand_over(payer.person.member, bob.member.pk)
    jobs.do()
    for address in (payer.email, bob.user.email):
        mail = next(each for each in mails_to(address) if "goes on being paid" in each.subject)
        assert "Visa ending in 4242" in str(mail.body)
    text = pages.said(bob, "billing")
    assert f"This is the card of {payer.email}, who owned the workspace before" in text
    members.hand_over(Member.objects.get(pk=bob.member.pk), payer.person.member.pk)
    assert "This is the card of" not in said(payer)


def test_a_hand_over_without_a_subscription_says_nothing_of_cards(payer: Payer, jobs: Jobs) -> None:
    bob = make_person(payer.workspace, "admin", "Bob Stone")
    members.hand_over(payer.person.member, bob.member.pk)
    jobs.do()
    assert not any("paid" in each.subject for each in mails_to(bob.user.email))


def test_who_deletes_an_account_is_told_of_what_is_paid(payer: Payer) -> None:
    client = payer.person.client()
    payer.subscribe("pro")
    client.post("/accounts/reauthenticate/?next=/account/delete", {"password": PASSWORD})
    text = pages.text_of(client.get("/account/delete").content.decode())
    assert "Its subscription to Pro ends at once and is not paid back." in text


def test_who_deletes_their_workspace_is_not_told_that_they_were_a_member(payer: Payer, jobs: Jobs) -> None:
    bob = make_person(payer.workspace, "member", "Bob Stone")
    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.do()
    mine, his = (str(mails_to(each)[-1].body) for each in (payer.email, bob.user.email))
    assert "of which you were a member" in his
    assert "of which you were" not in mine
    assert "nothing more is charged" in mine


def test_the_settings_say_that_a_subscription_goes_with_the_workspace(payer: Payer) -> None:
    assert "a subscription ends at once and is not paid back" in pages.said(payer.person, "settings")


def test_a_smaller_plan_set_by_an_operator_is_told_and_does_not_last(payer: Payer) -> None:
    payer.subscribe("pro")
    out = StringIO()
    call_command("set_plan", payer.workspace.slug, "free", stdout=out)
    assert "Pro is paid for it: billing puts it back on that, within a day" in out.getvalue()
    text = said(payer)
    assert "Whoever runs this installation has put the workspace on Free though Pro is paid for" in text
    assert "Your plan Free Set by the operator" in text
    refreshing.refresh(payer.customer)
    assert payer.plan == "pro"
    assert "Whoever runs this installation" not in said(payer)


def test_a_larger_plan_set_by_an_operator_needs_no_warning(payer: Payer) -> None:
    payer.subscribe("starter")
    out = StringIO()
    call_command("set_plan", payer.workspace.slug, "pro", stdout=out)
    assert "is paid for it" not in out.getvalue()
    plan_changes.set_plan(payer.workspace, "unlimited")


def test_who_may_not_pay_is_given_no_card(alice: Caller, settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = ""
    viewer = make_person(alice.workspace, "viewer")
    text = pages.said(viewer, "billing")
    assert "Demo payments." in text
    assert "4242" not in text
