"""The controls of the demo: JSON for tests, and a small page for people."""

from __future__ import annotations

import orjson

from billing.demo import control, pages
from billing.demo.api import Answer, Request
from billing.demo.errors import ApiError, invalid
from billing.demo.forms import nested
from billing.demo.webhooks import Deliverer
from billing.demo.world import Object, World

BUTTONS: dict[str, tuple[str, Object, str]] = {
    "day": ("advance", {"days": 1}, "Time moved on by one day."),
    "month": ("advance", {"days": 31}, "Time moved on by 31 days."),
    "decline": ("decline", {"times": 1}, "The next payment will fail."),
    "decline_all": ("decline", {"times": control.UNTIL_TOLD}, "Every payment fails until you recover."),
    "recover": ("recover", {}, "Payments work again; what was open was tried at once."),
    "outage": ("outage", {"kind": "500"}, "The payment service fails every request now."),
    "no_outage": ("outage", {"kind": ""}, "The payment service works again."),
}
"""What the page's buttons do, and what is said then."""


def answer(world: World, deliverer: Deliverer, request: Request) -> Answer:
    """Answer a request of the controls."""
    name = request.path.removeprefix("/demo").strip("/")
    if name in pages.FILES:
        return pages.file(name)
    if not name:
        return _page(world, request)
    if name == "settle":
        deliverer.settle()
        return _json(200, {})
    if name not in control.ACTIONS:
        raise ApiError(404, "invalid_request_error", "There is no such control.")
    return _act(world, name, request)


def _act(world: World, name: str, request: Request) -> Answer:
    """Do what a JSON request asks for. A form of another site cannot be JSON."""
    if (request.method == "GET") != (name == "state"):
        return _json(405, {"error": {"message": "GET is for the state alone."}})
    try:
        given = {}
        if request.method == "POST":
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                raise invalid("The body must be JSON.")
            given = orjson.loads(request.body or b"{}")
        with world.transaction():
            return _json(200, world.public({"object": "", **control.ACTIONS[name](world, given)}))
    except orjson.JSONDecodeError:
        return _json(400, {"error": {"message": "The body must be JSON."}})
    except ApiError as refusal:
        return _json(refusal.status, {"error": refusal.error})


def _json(status: int, value: object) -> Answer:
    return Answer(status, orjson.dumps(value), {"content-type": "application/json"})


def _page(world: World, request: Request) -> Answer:
    if request.method == "POST":
        pressed = str(nested(request.body.decode("utf-8", "replace")).get("do"))
        if pressed not in BUTTONS:
            raise ApiError(404, "invalid_request_error", "There is no such button.")
        action, given, _ = BUTTONS[pressed]
        with world.transaction():
            control.ACTIONS[action](world, given)
        return pages.redirect(f"{world.base_url}/demo/?done={pressed}")
    done = str(nested(request.query).get("done"))
    with world.lock:
        context = {
            "now": pages.moment(world.now()),
            "modes": world.data["modes"],
            "events": [world.public(each) for each in reversed(world.all("event")[-15:])],
            "waiting": len(world.data["deliveries"]),
            "said": BUTTONS[done][2] if done in BUTTONS else "",
        }
    return pages.page(world, "demo/controls.html", context)
