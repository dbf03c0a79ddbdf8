"""Choosing a plan before there is a workspace for it, or one that may be changed."""

from __future__ import annotations

from urllib.parse import quote

from accounts.models import Member
from tests.billing.payer import Payer
from tests.support import pages
from tests.support.people import make_person
from tests.support.sites import stranger
from tests.support.stripe_fake import StripeFake

CHOSEN = "/billing?plan=starter&interval=month"


def test_the_sign_up_page_names_the_plan_that_was_chosen() -> None:
    page = pages.text_of(stranger().get(f"/accounts/signup/?next={quote(CHOSEN, safe='')}").content.decode())
    assert "Once your address is confirmed you come to the payment for Starter." in page
    assert "Starter" not in pages.text_of(stranger().get("/accounts/signup/").content.decode())


def test_who_is_in_no_workspace_makes_one_and_comes_to_the_plan(stripe: StripeFake) -> None:
    ada = make_person()
    Member.objects.filter(user=ada.user).delete()
    client = ada.client()
    asked = client.get(CHOSEN, follow=True)
    assert "Then you come to the payment for Starter." in pages.text_of(asked.content.decode())
    made = client.post("/w/new", {"name": "Acme", "next": CHOSEN}, follow=True)
    assert "Starter, $9 a month" in pages.text_of(made.content.decode())
    elsewhere = client.post("/w/new", {"name": "Acme", "next": "https://evil.example"})
    assert elsewhere["Location"].endswith("/connect")


def test_who_may_not_pay_in_the_workspace_seen_last_comes_to_one_of_their_own(payer: Payer) -> None:
    other = make_person()
    Member.objects.create(workspace=other.workspace, user=payer.person.user, role="viewer")
    client = payer.person.client()
    client.get(other.home)
    assert client.get(CHOSEN)["Location"].startswith(f"{payer.person.home}billing/change?plan=starter")


def test_who_may_pay_nowhere_reads_so(stripe: StripeFake) -> None:
    client = make_person(make_person().workspace, "viewer").client()
    text = pages.text_of(client.get(CHOSEN, follow=True).content.decode())
    assert "Only the owner of the workspace can do that. Make a workspace of your own" in text
