"""The stand-in's memory: one file that survives restarts, whole at every moment, and bounded."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from billing.demo import world as worlds
from billing.demo.errors import ApiError, invalid
from billing.demo.world import World, secrets_in
from tests.support.processes import free_port
from tests.support.stripe_fake import running
from tests.support.stripe_shop import Shop, invoice_of


def kept(path: Path) -> dict[str, object]:
    return dict(orjson.loads(path.read_bytes()))


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    state, port = tmp_path / "demo.json", free_port()
    with running(state=state, port=port) as fake:
        shop = Shop(fake)
        subscription = shop.subscribed()
        fake.advance(days=3)
        fake.decline(2)
        before, key, secret, now = fake.state(), fake.key, fake.webhook_secret, fake.now()
    with running(state=state, port=port) as fake:
        assert (fake.key, fake.webhook_secret) == (key, secret)
        assert fake.state()["objects"] == before["objects"]
        assert fake.state()["modes"]["declines"] == 2
        assert now <= fake.now() < now + 60
        shop.fake = fake
        assert invoice_of(shop.subscription(subscription.id)).status == "paid"
        again = fake.browser.get(str(invoice_of(shop.subscription(subscription.id)).hosted_invoice_url))
        assert again.status_code == 200


def test_webhooks_that_were_not_delivered_go_out_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "demo.json"
    with running(state=state, post=lambda payload, signature: 500) as fake:
        Shop(fake).customer()
        fake.settle()
    got: list[bytes] = []

    def receive(payload: bytes, signature: str) -> int:
        got.append(payload)
        return 200

    with running(state=state, post=receive) as fake:
        fake.advance(seconds=60)
        fake.settle()
    assert [orjson.loads(each)["type"] for each in got][-1] == "customer.created"


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    with running(state=path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_secrets_are_made_once_and_are_the_servers(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    key, secret = secrets_in(path)
    assert secrets_in(path) == (key, secret)
    with running(state=path) as fake:
        assert (fake.key, fake.webhook_secret) == (key, secret)


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    with running(state=path) as fake:
        shop = Shop(fake)
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(lambda number: shop.customer(f"c{number}@example.com").id, range(40)))
        assert len(set(made)) == 40
        assert fake.state()["objects"]["customer"] == 40
        whole = kept(path)["objects"]
        assert isinstance(whole, dict)
        assert set(whole["customer"]) == set(made)


def test_a_change_that_breaks_is_undone_whole(tmp_path: Path) -> None:
    world = World(tmp_path / "demo.json", "http://127.0.0.1", None)
    before = kept(tmp_path / "demo.json")

    def broken(problem: Exception) -> None:
        with world.transaction():
            world.add({"id": "cus_1", "object": "customer"}, "customer.created")
            raise problem

    with pytest.raises(ZeroDivisionError):
        broken(ZeroDivisionError())
    with pytest.raises(ApiError):
        broken(invalid("No."))
    assert world.all("customer") == world.all("event") == []
    assert kept(tmp_path / "demo.json") == before


def test_events_are_forgotten_after_a_month_and_past_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MOST_EVENTS", 10)
    with running() as fake:
        shop = Shop(fake)
        for _ in range(15):
            shop.customer()
        assert len(fake.events()) == 10
        fake.advance(days=31)
        shop.customer()
        assert [event["type"] for event in fake.events()] == ["customer.created"]


def test_sessions_that_led_nowhere_are_forgotten_after_a_month() -> None:
    with running() as fake:
        shop = Shop(fake)
        customer = shop.customer()
        shop.checkout(customer.id)
        shop.subscribed(customer=customer.id)
        shop.portal(customer.id)
        fake.advance(days=40)
        figures = fake.state()["objects"]
        assert (figures["checkout.session"], figures["billing_portal.session"]) == (1, 0)


def test_a_large_state_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worlds, "MANY_BYTES", 10)
    World(tmp_path / "demo.json", "http://127.0.0.1", None)
    assert "demo_payments_state_is_large" in caplog.text
