"""The owner of a workspace, who pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import Workspace
from billing import costs, proposals, standing, subscribing
from billing.models import Customer, Happening, Subscription
from billing.proposals import Proposal
from billing.standing import Standing
from tests.support.people import Person
from tests.support.stripe_fake import PAYS, StripeFake


@dataclass
class Payer:
    """A person with a workspace, in front of a Stripe."""

    stripe: StripeFake
    person: Person

    @property
    def email(self) -> str:
        """Who does what is done."""
        return self.person.user.email

    @property
    def workspace(self) -> Workspace:
        """The workspace as it is stored now."""
        return Workspace.objects.get(pk=self.person.workspace.pk)

    @property
    def plan(self) -> str:
        """The plan that is in force."""
        return self.workspace.plan

    @property
    def customer(self) -> Customer:
        """The workspace at Stripe."""
        return Customer.objects.get(workspace_slug=self.person.workspace.slug)

    @property
    def subscription(self) -> Subscription:
        """The newest one that we know."""
        return Subscription.objects.filter(customer=self.customer).order_by("-pk")[0]

    @property
    def standing(self) -> Standing:
        """What pages show."""
        return standing.of(self.workspace)

    def kinds(self) -> list[str]:
        """Return what happened, oldest first."""
        return list(
            Happening.objects.filter(customer=self.customer).order_by("at", "pk").values_list("kind", flat=True)
        )

    def open_checkout(self, plan: str = "pro", interval: str = "month") -> str:
        """Return the address of Stripe's page."""
        return subscribing.start_checkout(self.workspace, plan, interval, by=self.email)

    def subscribe(self, plan: str = "pro", interval: str = "month", number: str = PAYS) -> Payer:
        """Pay on Stripe's page, and wait until Stripe has told of it."""
        answer = self.stripe.pay(self.open_checkout(plan, interval), number)
        assert answer.status_code == 303, answer.text
        self.stripe.settle()
        return self

    def shown(self, plan: str, interval: str = "month") -> Proposal:
        """Return what the page of a change shows."""
        now = Subscription.objects.filter(customer__workspace=self.workspace).current()
        quote = costs.quote(now, plan, interval) if now else None
        return proposals.propose(self.workspace, plan, interval, quote)

    def change(self, plan: str, interval: str = "month") -> Any:
        """Change the plan, and wait until Stripe has told of it."""
        found = subscribing.change_plan(self.workspace, self.shown(plan, interval), by=self.email)
        self.stripe.settle()
        return found
