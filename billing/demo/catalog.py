"""Products and prices."""

from __future__ import annotations

from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text, whole
from billing.demo.routes import Route, copied, listing, retrieving, same
from billing.demo.world import Object, World, new_id

TAX_BEHAVIORS = one_of("exclusive", "inclusive", "unspecified")
PRODUCT: Spec = {
    "name": text,
    "active": flag,
    "description": text,
    "metadata": mapping,
    "images": listed(text),
    "marketing_features": listed({"name": text}),
    "statement_descriptor": text,
    "unit_label": text,
    "url": text,
    "tax_code": text,
}
PRICE_CREATE: Spec = {
    "active": flag,
    "billing_scheme": one_of("per_unit"),
    "currency": text,
    "lookup_key": text,
    "metadata": mapping,
    "nickname": text,
    "product": text,
    "product_data": {"id": text, "name": text, "active": flag, "metadata": mapping},
    "recurring": {
        "interval": one_of("day", "week", "month", "year"),
        "interval_count": whole,
        "usage_type": one_of("licensed"),
    },
    "tax_behavior": TAX_BEHAVIORS,
    "transfer_lookup_key": flag,
    "unit_amount": whole,
}
PRICE_UPDATE: Spec = {
    "active": flag,
    "lookup_key": text,
    "metadata": mapping,
    "nickname": text,
    "tax_behavior": TAX_BEHAVIORS,
    "transfer_lookup_key": flag,
}


def create_product(world: World, given: Object) -> Object:
    """Make a product."""
    need(given, "name")
    identifier = given.get("id") or new_id("prod", 14)
    if world.find("product", identifier):
        raise invalid("Product already exists.", "id", "resource_already_exists")
    now = world.now()
    product: Object = {
        "id": identifier,
        "object": "product",
        "active": True,
        "created": now,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": given["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": now,
        "url": None,
    }
    _fill_product(product, given)
    return world.add(product, "product.created")


def _fill_product(product: Object, given: Object) -> None:
    copied(product, given, *(name for name in PRODUCT if name != "metadata"))
    product["metadata"] = merged(product["metadata"], given.get("metadata"))


def update_product(world: World, given: Object, identifier: str) -> Object:
    """Change a product."""
    product = world.get("product", identifier)
    if given.get("default_price"):
        world.named("price", given["default_price"], "default_price")
    with world.changing(product, "product.updated"):
        _fill_product(product, given)
        copied(product, given, "default_price")
        product["updated"] = world.now()
    return product


def delete_product(world: World, given: Object, identifier: str) -> Object:
    """Delete a product that has no prices."""
    product = world.get("product", identifier)
    if any(price["product"] == identifier for price in world.all("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    world.remove(product)
    gone = {"id": identifier, "object": "product", "deleted": True}
    world.emit("product.deleted", product)
    return gone


def create_price(world: World, given: Object) -> Object:
    """Make a price of a product that is there, or of a new one (`product_data`)."""
    need(given, "currency")
    if "product_data" in given:
        given["product"] = create_product(world, given["product_data"])["id"]
    need(given, "product", "unit_amount")
    world.named("product", given["product"], "product")
    if given["unit_amount"] < 0:
        raise invalid("This value must be greater than or equal to 0.", "unit_amount")
    recurring = given.get("recurring")
    if recurring is not None:
        need(recurring, "interval")
    price: Object = {
        "id": new_id("price"),
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": world.now(),
        "currency": given["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": merged({}, given.get("metadata")),
        "nickname": None,
        "product": given["product"],
        "recurring": _recurring(recurring) if recurring else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": given["unit_amount"],
        "unit_amount_decimal": str(given["unit_amount"]),
    }
    copied(price, given, "active", "nickname", "tax_behavior")
    _take_lookup_key(world, price, given)
    return world.add(price, "price.created")


def _recurring(given: Object) -> Object:
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _take_lookup_key(world: World, price: Object, given: Object) -> None:
    """Give a price its lookup key, which one price at a time has. Raises: ApiError when another one has it."""
    key = given.get("lookup_key")
    if key:
        for other in world.all("price"):
            if other["lookup_key"] != key or other["id"] == price["id"]:
                continue
            if not given.get("transfer_lookup_key"):
                raise invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
            with world.changing(other, "price.updated"):
                other["lookup_key"] = None
    copied(price, given, "lookup_key")


def update_price(world: World, given: Object, identifier: str) -> Object:
    """Change what of a price may change: never its amount."""
    price = world.get("price", identifier)
    with world.changing(price, "price.updated"):
        copied(price, given, "active", "nickname", "tax_behavior")
        price["metadata"] = merged(price["metadata"], given.get("metadata"))
        _take_lookup_key(world, price, given)
    return price


def _is_wanted_price(price: Object, given: Object) -> bool:
    keys = given.get("lookup_keys")
    recurring = given.get("recurring", {})
    return (
        same("active", "currency", "product", "type")(price, given)
        and (keys is None or price["lookup_key"] in keys)
        and all((price["recurring"] or {}).get(name) == value for name, value in recurring.items())
    )


ROUTES = [
    Route("POST", "/v1/products", create_product, {**PRODUCT, "id": text}),
    listing(
        "product",
        "/v1/products",
        {"active": flag, "ids": listed(text)},
        lambda product, given: (
            same("active")(product, given) and (not given.get("ids") or product["id"] in given["ids"])
        ),
    ),
    retrieving("product", "/v1/products"),
    Route("POST", "/v1/products/{id}", update_product, {**PRODUCT, "default_price": text}),
    Route("DELETE", "/v1/products/{id}", delete_product),
    Route("POST", "/v1/prices", create_price, PRICE_CREATE),
    listing(
        "price",
        "/v1/prices",
        {
            "active": flag,
            "currency": text,
            "product": text,
            "type": text,
            "lookup_keys": listed(text),
            "recurring": {"interval": text, "usage_type": text},
        },
        _is_wanted_price,
    ),
    retrieving("price", "/v1/prices"),
    Route("POST", "/v1/prices/{id}", update_price, PRICE_UPDATE),
]
