"""Webhook endpoints as Stripe keeps account of them. Where this stand-in sends its webhooks is its own affair."""

from __future__ import annotations

import secrets

from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, listed, mapping, need, text
from billing.demo.routes import Route, copied, listing, retrieving
from billing.demo.world import API_VERSION, Object, World, new_id

COMMON: Spec = {"description": text, "enabled_events": listed(text), "metadata": mapping, "url": text}


def create(world: World, given: Object) -> Object:
    """Make an endpoint; its secret is shown this once."""
    need(given, "url", "enabled_events")
    endpoint: Object = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": given.get("api_version") or API_VERSION,
        "application": None,
        "created": world.now(),
        "description": None,
        "enabled_events": [],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": "",
    }
    copied(endpoint, given, *COMMON)
    world.add(endpoint)
    return {**endpoint, "secret": f"whsec_{secrets.token_hex(16)}"}


def update(world: World, given: Object, identifier: str) -> Object:
    """Change an endpoint."""
    endpoint = world.get("webhook_endpoint", identifier)
    if given.get("enabled_events") == []:
        raise invalid("An endpoint is told of something.", "enabled_events")
    copied(endpoint, given, *COMMON)
    if "disabled" in given:
        endpoint["status"] = "disabled" if given["disabled"] else "enabled"
    world.touch()
    return endpoint


ROUTES = [
    Route("POST", "/v1/webhook_endpoints", create, {**COMMON, "api_version": text}),
    listing("webhook_endpoint", "/v1/webhook_endpoints", {}),
    retrieving("webhook_endpoint", "/v1/webhook_endpoints"),
    Route("POST", "/v1/webhook_endpoints/{id}", update, {**COMMON, "disabled": flag}),
]
