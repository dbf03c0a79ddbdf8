"""Asking Stripe: what is held meanwhile, and by whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from billing import gateway
from billing.models import Customer
from crosswire.lib.database import writing
from tests.support.stripe_fake import StripeFake


def test_nobody_holds_a_connection_to_the_database_while_stripe_is_asked(stripe: StripeFake) -> None:
    held: list[bool] = []

    def question(client: Any) -> Any:
        held.append(connection.connection is not None)
        return client.v1.customers.create({"name": "Acme"})

    Customer.objects.exists()
    assert gateway.ask(question)["name"] == "Acme"
    assert held == [False]


def test_stripe_is_never_asked_inside_a_transaction(stripe: StripeFake) -> None:
    with writing(), pytest.raises(RuntimeError, match="transaction"):
        gateway.ask(lambda client: client.v1.customers.create({"name": "Acme"}))
