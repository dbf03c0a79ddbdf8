"""`manage.py run`: what somebody gets who has just fetched CrossWire and starts it."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import stripe

from tests.conftest import SurfaceAt
from tests.support import loopback
from tests.support.cast import Credential
from tests.support.homes import ROOT, Home
from tests.support.processes import end, finish, free_port, spawn, wait_until
from tests.support.servers import create_workspace, manage

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, str(ROOT / "manage.py"), "run"]
START_SECONDS = 60.0


class Running:
    """A `manage.py run` in a home, on a port of its own."""

    def __init__(self, home: Home, port: int | None = None, **env: str) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}"
        self.log = home.folder / f"run-{self.port}-{free_port()}.log"
        self.process = spawn(COMMAND, self.log, env=home.environment({"PORT": str(self.port), **env}), cwd=ROOT)

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def key(self) -> str:
        """The key that the banner shows."""
        found = re.search(r"^ +(cw_[a-z2-7]{32})$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def wait(self) -> Running:
        """Wait for the banner."""
        is_there = lambda: "Send a message" in self.said or self.process.poll() is not None  # noqa: E731 - a name for it
        wait_until(is_there, START_SECONDS, lambda: f"No banner: {self.said}")
        assert self.process.poll() is None, self.said
        return self


@pytest.fixture
def start(make_home: Callable[[], Home]) -> Iterator[Callable[..., Running]]:
    """Start `manage.py run` and wait for its banner; it is killed after the test."""
    with ExitStack() as running:

        def started(home: Home | None = None, port: int | None = None, **env: str) -> Running:
            one = Running(home or make_home(), port, **env)
            running.callback(end, one.process, signal.SIGKILL)
            return one.wait()

        yield started


type Start = Callable[..., Running]


def key_file(home: Home) -> Path:
    return home.folder / "var" / "demo_key"


def test_the_banner_shows_where_it_is_and_commands_that_work_as_they_stand(start: Start) -> None:
    server = start()
    assert f"CrossWire listens on {server.url} " in server.said
    assert (
        f'claude mcp add --transport http crosswire {server.url}/mcp --header "Authorization: Bearer {server.key}"'
        in (server.said)
    )
    (curl,) = re.findall(r"^ +(curl .*)$", server.said, re.MULTILINE)
    done = subprocess.run(  # noqa: S602 - the very line that a person pastes into a shell
        curl, shell=True, capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert '"id":1' in done.stdout, done
    assert loopback.get(f"{server.url}/health").json()["status"] == "ok"
    assert f"sign up at {server.url}/accounts/signup/\n" in server.said
    assert loopback.get(f"{server.url}/accounts/signup/").status_code == 200
    assert re.search(rf"^ +PORT={server.port} \S*python\S* manage\.py join demo YOUR_EMAIL$", server.said, re.MULTILINE)


def test_the_key_works_and_is_kept_for_its_owner_alone(start: Start, surface_at: SurfaceAt) -> None:
    server = start()
    kept = key_file(server.home)
    assert str(kept) in server.said
    assert kept.read_text(encoding="utf-8") == server.key
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    for surface in ("lane", "mcp-2026-07-28"):
        me = surface_at(surface, server.url).ok(Credential(server.key), "whoami")
        assert (me["workspace"], me["usage"]["plan"]) == ("demo", "pro")


def test_a_second_start_keeps_data_and_key(start: Start, surface_at: SurfaceAt) -> None:
    first = start()
    surface_at("lane", first.url).ok(Credential(first.key), "send_message", sender="a", content="kept")
    end(first.process, signal.SIGTERM)
    second = start(first.home)
    assert second.key == first.key
    call = surface_at("lane", second.url)
    assert [each["content"] for each in call.ok(Credential(second.key), "check_messages")["messages"]] == ["kept"]


def test_a_lost_or_useless_key_file_is_made_anew_for_the_same_workspace(start: Start, surface_at: SurfaceAt) -> None:
    first = start()
    surface_at("lane", first.url).ok(Credential(first.key), "send_message", sender="a", content="kept")
    end(first.process, signal.SIGTERM)
    key_file(first.home).write_text("cw_nonsense", encoding="utf-8")
    second = start(first.home)
    assert second.key != first.key
    assert key_file(first.home).read_text(encoding="utf-8") == second.key
    call = surface_at("lane", second.url)
    for key in (first.key, second.key):
        assert len(call.ok(Credential(key), "check_messages")["messages"]) == 1


def test_workspaces_made_beside_it_are_served(start: Start, surface_at: SurfaceAt) -> None:
    server = start()
    key = create_workspace(server.home, "another", "free")
    assert surface_at("lane", server.url).ok(Credential(key), "whoami")["workspace"] == "another"
    assert "another" not in server.said


def test_on_the_file_of_local_mode_its_workspace_is_shown_and_no_other_made(
    start: Start, make_home: Callable[[], Home], surface_at: SurfaceAt
) -> None:
    home = make_home()
    create_workspace(home, "local", "unlimited")
    server = start(home)
    assert 'API key of the workspace "local"' in server.said
    me = surface_at("lane", server.url).ok(Credential(server.key), "whoami")
    assert (me["workspace"], me["usage"]["plan"]) == ("local", "unlimited")
    with closing(sqlite3.connect(home.database_url.removeprefix("sqlite:///"))) as database:
        assert database.execute("SELECT name FROM accounts_workspace").fetchall() == [("local",)]


def test_a_port_that_is_taken_is_told_with_what_to_do_and_nothing_is_touched(make_home: Callable[[], Home]) -> None:
    home = make_home()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = finish(COMMAND, 60, env=home.environment({"PORT": str(port)}), cwd=ROOT)
    assert done.returncode != 0
    assert f"Port {port} cannot be used" in done.stderr
    assert "PORT=8321" in done.stderr
    assert "Traceback" not in done.stderr
    assert not key_file(home).exists()


def test_it_refuses_to_serve_a_public_address(make_home: Callable[[], Home]) -> None:
    done = finish(COMMAND, 60, env=make_home().environment({"PUBLIC_URL": "https://bus.example.com"}), cwd=ROOT)
    assert done.returncode != 0
    assert "PUBLIC_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_good_order(start: Start, number: signal.Signals) -> None:
    server = start()
    assert loopback.get(f"{server.url}/health").status_code == 200
    end(server.process, number, within_seconds=20)
    assert server.process.returncode == 0, server.said
    assert "Traceback" not in server.said


def test_open_waits_are_answered_before_it_ends(start: Start, surface_at: SurfaceAt) -> None:
    server = start()
    key = Credential(server.key)
    waits = [
        surface_at("lane", server.url).start(key, "check_messages", instance_id="a", wait=40),
        surface_at("mcp-2026-07-28", server.url).start(key, "wait_for_reply", instance_id="b"),
    ]
    call = surface_at("lane", server.url)
    wait_until(
        lambda: sum(bool(each["waiting_on"]) for each in call.ok(key, "list_instances")["instances"]) == 2,
        30,
        lambda: "The waits did not open.",
    )
    end(server.process, signal.SIGTERM, within_seconds=20)
    assert server.process.returncode == 0
    for wait in waits:
        answer = wait.result(20)
        assert answer.raw, answer
        assert getattr(answer, "data", {}).get("ended") == "restart", answer


def test_what_it_logs_shows_no_key(start: Start) -> None:
    server = start()
    for path in ("/api/whoami", "/api/nothing", "/mcp", "/health", "/"):
        loopback.get(f"{server.url}{path}?api_key=cw_secretsecret")
        loopback.get(f"{server.url}{path}?api_key={server.key}", headers={"Accept": "text/html"})
    end(server.process, signal.SIGTERM)
    assert "cw_secretsecret" not in server.said
    log = server.said.partition("Send a message")[2].partition("\n\n")[2]
    assert server.key not in log


def test_the_database_needs_no_migration_afterwards(start: Start) -> None:
    manage(start().home, "migrate", "--check")


def demo_sdk(server: Running) -> stripe.StripeClient:
    """Return Stripe's SDK, pointed at the demo payments of a running server with the key it made for itself."""
    kept = json.loads((server.home.folder / "var" / "demo_payments.json").read_text(encoding="utf-8"))
    address = f"http://127.0.0.1:{server.port}/demo/stripe"
    return stripe.StripeClient(kept["key"], base_addresses={"api": address}, max_network_retries=0)


def test_demo_payments_are_there_for_who_has_the_key_and_survive_a_restart(start: Start) -> None:
    server = start()
    customer = demo_sdk(server).v1.customers.create({"email": "a@example.com"})
    assert loopback.get(f"{server.url}/demo/stripe/v1/customers").status_code == 401
    configuration = demo_sdk(server).v1.billing_portal.configurations.create({"features": {}})
    portal = demo_sdk(server).v1.billing_portal.sessions.create(
        {"customer": customer.id, "configuration": configuration.id}
    )
    assert portal.url.startswith(f"{server.url}/demo/stripe/portal/")
    page = loopback.get(portal.url)
    assert "Demo payments — no real money" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    styles = loopback.get(f"{server.url}/demo/stripe/demo/demo.css")
    assert styles.headers["content-type"] == "text/css; charset=utf-8"
    end(server.process, signal.SIGTERM)
    again = start(server.home, server.port)
    assert demo_sdk(again).v1.customers.retrieve(customer.id).email == "a@example.com"


def test_demo_payments_can_be_switched_off_and_give_way_to_stripe(start: Start) -> None:
    for env in (
        {"DEMO_PAYMENTS": "off"},
        {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_x"},
    ):
        server = start(**env)
        assert loopback.get(f"{server.url}/demo/stripe/demo/").status_code == 404
        assert not (server.home.folder / "var" / "demo_payments.json").exists()
