"""The customer portal: its configurations and sessions, and what its pages do."""

from __future__ import annotations

from billing.demo import customers, subscriptions
from billing.demo.errors import invalid, missing
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text
from billing.demo.routes import Route, copied, listing, retrieving, same
from billing.demo.world import Object, World, new_id

FEATURES: Spec = {
    "customer_update": {
        "allowed_updates": listed(one_of("address", "email", "name", "phone", "shipping", "tax_id")),
        "enabled": flag,
    },
    "invoice_history": {"enabled": flag},
    "payment_method_update": {"enabled": flag},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": flag, "options": listed(text)},
        "enabled": flag,
        "mode": one_of("at_period_end", "immediately"),
        "proration_behavior": subscriptions.PRORATIONS,
    },
    "subscription_update": {
        "default_allowed_updates": listed(one_of("price", "promotion_code", "quantity")),
        "enabled": flag,
        "products": listed({"prices": listed(text), "product": text}),
        "proration_behavior": subscriptions.PRORATIONS,
    },
}
CANCEL = "subscription_cancel"
FLOW: Spec = {
    "after_completion": {"redirect": {"return_url": text}, "type": one_of("portal_homepage", "redirect")},
    CANCEL: {"subscription": text},
    "subscription_update": {"subscription": text},
    "type": one_of("payment_method_update", CANCEL, "subscription_update"),
}
CONFIGURATION: Spec = {
    "business_profile": {"headline": text, "privacy_policy_url": text, "terms_of_service_url": text},
    "default_return_url": text,
    "features": FEATURES,
    "login_page": {"enabled": flag},
    "metadata": mapping,
    "name": text,
}


def _features() -> Object:
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "options": []},
            "enabled": True,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
        "subscription_update": {
            "billing_cycle_anchor": None,
            "default_allowed_updates": [],
            "enabled": False,
            "products": [],
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def create_configuration(world: World, given: Object) -> Object:
    """Make a configuration of the portal."""
    now = world.now()
    configuration: Object = {
        "id": new_id("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": now,
        "default_return_url": None,
        "features": _features(),
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": now,
    }
    _fill(configuration, given)
    return world.add(configuration, "billing_portal.configuration.created")


def _fill(configuration: Object, given: Object) -> None:
    copied(configuration, given, "active", "default_return_url", "name")
    configuration["business_profile"].update(given.get("business_profile", {}))
    for name, wanted in given.get("features", {}).items():
        configuration["features"][name].update(wanted)
    configuration["metadata"] = merged(configuration["metadata"], given.get("metadata"))


def update_configuration(world: World, given: Object, identifier: str) -> Object:
    """Change a configuration."""
    configuration = world.get("billing_portal.configuration", identifier)
    with world.changing(configuration, "billing_portal.configuration.updated"):
        _fill(configuration, given)
        configuration["updated"] = world.now()
    return configuration


def create_session(world: World, given: Object) -> Object:
    """Let a customer into the portal."""
    need(given, "customer")
    customer = customers.living(world, given["customer"])
    session: Object = {
        "id": new_id("bps"),
        "object": "billing_portal.session",
        "configuration": _configuration(world, given)["id"],
        "created": world.now(),
        "customer": customer["id"],
        "customer_account": None,
        "flow": _flow(world, given.get("flow_data"), customer),
        "livemode": False,
        "locale": given.get("locale"),
        "on_behalf_of": None,
        "return_url": given.get("return_url"),
    }
    session["_secret"] = new_id("test", 40)
    session["url"] = f"{world.base_url}/portal/{session['_secret']}"
    return world.add(session, "billing_portal.session.created")


def _flow(world: World, given: Object | None, customer: Object) -> Object | None:
    """Return the one thing a session is for, None when it shows everything. Raises: ApiError."""
    if given is None:
        return None
    need(given, "type")
    kind = given["type"]
    after = given.get("after_completion", {"type": "portal_homepage"})
    if after["type"] == "redirect":
        need(after.get("redirect", {}), "return_url")
    flow: Object = {
        "after_completion": {"hosted_confirmation": None, "redirect": None, **after},
        "subscription_cancel": None,
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": kind,
    }
    if kind != "payment_method_update":
        need(given, kind)
        subscription = world.named("subscription", given[kind].get("subscription", ""), f"flow_data[{kind}]")
        if subscription["customer"] != customer["id"]:
            raise missing("subscription", subscription["id"], f"flow_data[{kind}]", is_address=False)
        flow[kind] = {"subscription": subscription["id"]} | ({"retention": None} if kind == CANCEL else {})
    return flow


def _configuration(world: World, given: Object) -> Object:
    """Return the configuration of a new session. Raises: ApiError; only Stripe's dashboard could make a default one."""
    if chosen := given.get("configuration"):
        return world.named("billing_portal.configuration", chosen, "configuration")
    raise invalid(
        "No configuration provided and your test mode default configuration has not been created. Provide a "
        "configuration or create your default by saving your customer portal settings in test mode."
    )


ROUTES = [
    Route("POST", "/v1/billing_portal/configurations", create_configuration, CONFIGURATION),
    listing(
        "billing_portal.configuration",
        "/v1/billing_portal/configurations",
        {"active": flag, "is_default": flag},
        same("active", "is_default"),
    ),
    retrieving("billing_portal.configuration", "/v1/billing_portal/configurations"),
    Route(
        "POST",
        "/v1/billing_portal/configurations/{id}",
        update_configuration,
        {**CONFIGURATION, "active": flag},
    ),
    Route(
        "POST",
        "/v1/billing_portal/sessions",
        create_session,
        {"configuration": text, "customer": text, "flow_data": FLOW, "locale": text, "return_url": text},
    ),
]
