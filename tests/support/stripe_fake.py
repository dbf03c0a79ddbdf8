"""The stand-in for Stripe on a loopback port, and what a test does with it: move time, decline, disturb webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from billing.demo.server import Server, application
from billing.demo.webhooks import Post
from tests.support import loopback
from tests.support.processes import free_port
from tests.support.servers import thread_server

DECLINED = "4000 0000 0000 0002"
DECLINED_LATER = "4000 0000 0000 0341"
PAYS = "4242 4242 4242 4242"
CONFIRMS = "4000 0027 6000 3184"
"""Pays where its holder confirms it."""


class StripeFake:
    """A running stand-in. `url` is for the SDK's `base_addresses={"api": url}`; `key` and `webhook_secret` as Stripe
    gives them."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        self.world = server.world
        self.key = str(server.world.data["key"])
        self.webhook_secret = str(server.world.data["webhook_secret"])
        self.browser = loopback.Client(timeout=30)

    def control(self, action: str, **given: Any) -> dict[str, Any]:
        """Ask for one of the controls over HTTP; see billing/demo/control.py."""
        answer = self.browser.post(f"{self.url}/demo/{action}", json=given)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def state(self) -> dict[str, Any]:
        """Return the figures the stand-in tells of itself."""
        return dict(self.browser.get(f"{self.url}/demo/state").json())

    def now(self) -> int:
        """Return the time there, in seconds."""
        return int(self.state()["now"])

    def advance(self, days: float = 0, seconds: int = 0) -> None:
        """Move its clock forward beside the product's, and do what was due meanwhile."""
        self.control("advance", days=days, seconds=seconds)

    def decline(self, times: int = 1) -> None:
        """Let the next payments fail, whatever the card; -1: all until `recover`."""
        self.control("decline", times=times)

    def recover(self) -> None:
        """Let payments work again and try every open invoice at once."""
        self.control("recover")

    def outage(self, kind: str = "500") -> None:
        """Play an outage of the API: 500, 429, refuse, slow; "" ends it."""
        self.control("outage", kind=kind)

    def webhooks(self, **modes: Any) -> None:
        """Choose how webhooks go: copies=2, is_shuffled=True, is_held=True, drop=["invoice.paid"] or ["*"]."""
        self.control("webhooks", **modes)

    def replay(self, event: str = "") -> None:
        """Deliver an event again, or all that are remembered."""
        self.control("replay", **({"event": event} if event else {}))

    def settle(self) -> None:
        """Wait until every webhook that is due was delivered or has failed."""
        self.server.deliverer.settle()

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the events so far, oldest first."""
        with self.world.lock:
            found = [self.world.public(each) for each in self.world.all("event")]
        return [each for each in found if kind in ("", each["type"])]

    def pay(self, checkout_url: str, number: str = PAYS, **fields: str) -> httpx2.Response:
        """Fill in a Checkout page as a browser does and return what came: a redirect when it was paid."""
        form = {"number": number, "expiry": "12 / 40", "cvc": "123", "do": "pay", "email": "a@example.com", **fields}
        return self.browser.post(checkout_url, data=form)


@contextmanager
def running(
    webhook_url: str | None = None,
    *,
    state: Path | None = None,
    post: Post | None = None,
    port: int | None = None,
) -> Iterator[StripeFake]:
    """Serve a stand-in on a free loopback port.

    Its events go to `webhook_url`, or to `post(payload, signature) -> status` instead, or nowhere. `state` is the file
    that survives a restart; without one everything is in memory.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    app = application(state, url, webhook_url or ("http://127.0.0.1/" if post else None), post=post)
    with thread_server(app, port=port) as server:
        fake = StripeFake(app, server.url)
        try:
            yield fake
        finally:
            fake.browser.close()
