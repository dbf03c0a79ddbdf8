"""What tests of the stand-in for Stripe begin with: the real SDK, two plans with prices, a customer who subscribes."""

from __future__ import annotations

from typing import Any

import stripe

from tests.support.stripe_fake import PAYS, StripeFake

PRICES = {
    "starter_month": (900, "month"),
    "starter_year": (9_000, "year"),
    "pro_month": (2_900, "month"),
    "pro_year": (29_000, "year"),
}


class Shop:
    """The SDK pointed at a stand-in, with the plans Starter and Pro by month and year."""

    def __init__(self, fake: StripeFake) -> None:
        self.fake = fake
        self.sdk = client(fake)
        self.v1 = self.sdk.v1
        self.prices: dict[str, str] = {}
        for plan in ("Starter", "Pro"):
            product = self.v1.products.create({"name": plan})
            for key, (amount, interval) in PRICES.items():
                if key.startswith(plan.lower()):
                    price = self.v1.prices.create(
                        {
                            "product": product.id,
                            "currency": "usd",
                            "unit_amount": amount,
                            "recurring": {"interval": interval},
                            "lookup_key": key,
                        }
                    )
                    self.prices[key] = price.id
        self.configuration = self.v1.billing_portal.configurations.create({"features": {}}).id

    def customer(self, email: str = "owner@example.com") -> stripe.Customer:
        """Make a customer."""
        return self.v1.customers.create({"email": email, "name": "Acme", "metadata": {"workspace": "7"}})

    def checkout(
        self, customer: str, price: str = "starter_month", back: str = "http://localhost:8000/billing"
    ) -> stripe.checkout.Session:
        """Begin a Checkout that leads back to an address, after paying with the session's id."""
        return self.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer,
                "client_reference_id": "7",
                "line_items": [{"price": self.prices[price], "quantity": 1}],
                "success_url": back + "?session={CHECKOUT_SESSION_ID}",
                "cancel_url": back,
                "subscription_data": {"metadata": {"workspace": "7"}},
            }
        )

    def subscribed(self, price: str = "starter_month", card: str = PAYS, customer: str = "") -> stripe.Subscription:
        """Have a customer subscribe through the Checkout page."""
        session = self.checkout(customer or self.customer().id, price)
        answer = self.fake.pay(str(session.url), card)
        assert answer.status_code == 303, answer.text
        done = self.v1.checkout.sessions.retrieve(session.id)
        assert isinstance(done.subscription, str)
        return self.subscription(done.subscription)

    def portal(self, customer: object, **more: Any) -> str:
        """Return the address of the portal for a customer."""
        wanted = {"customer": str(customer), "configuration": self.configuration, **more}
        return self.v1.billing_portal.sessions.create(wanted).url  # type: ignore[arg-type] # `more` is anything

    def subscription(self, identifier: str) -> stripe.Subscription:
        """Read a subscription anew, with its last invoice."""
        return self.v1.subscriptions.retrieve(identifier, {"expand": ["latest_invoice"]})

    def switch(self, subscription: stripe.Subscription, price: str, **more: Any) -> stripe.Subscription:
        """Change what a subscription costs."""
        item = subscription["items"].data[0].id
        return self.v1.subscriptions.update(
            subscription.id,
            {"items": [{"id": item, "price": self.prices[price]}], "expand": ["latest_invoice"], **more},  # type: ignore[arg-type] # `more` is anything
        )

    def schedule(self, subscription: stripe.Subscription, price: str) -> stripe.SubscriptionSchedule:
        """Have a subscription cost something else from its next period on."""
        schedule = self.v1.subscription_schedules.create({"from_subscription": subscription.id})
        now = schedule.phases[0]
        current = str(getattr(now["items"][0].price, "id", now["items"][0].price))
        return self.v1.subscription_schedules.update(
            schedule.id,
            {
                "end_behavior": "release",
                "phases": [
                    {
                        "start_date": now.start_date,
                        "end_date": now.end_date,
                        "items": [{"price": current, "quantity": 1}],
                    },
                    {
                        "items": [{"price": self.prices[price], "quantity": 1}],
                        "duration": {"interval": PRICES[price][1], "interval_count": 1},
                    },
                ],
            },
        )


def client(fake: StripeFake, retries: int = 0) -> stripe.StripeClient:
    """Return the SDK's client, pointed at a stand-in."""
    return stripe.StripeClient(fake.key, base_addresses={"api": fake.url}, max_network_retries=retries)


def item_of(subscription: stripe.Subscription) -> stripe.SubscriptionItem:
    """Return a subscription's only item, on which its period is."""
    item = subscription["items"].data[0]
    assert isinstance(item, stripe.SubscriptionItem)
    return item


def invoice_of(subscription: stripe.Subscription) -> stripe.Invoice:
    """Return the last invoice of a subscription that was read with it."""
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    return subscription.latest_invoice


def plain(shown: stripe.StripeObject | None) -> dict[str, Any]:
    """Return an object of the SDK, or metadata, as a dictionary."""
    assert shown is not None
    return shown.to_dict()
