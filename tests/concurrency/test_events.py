"""Nothing is missed by a listener whose connection breaks again and again, whichever process it comes back to."""

from __future__ import annotations

import http.client
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from tests.concurrency.traffic import Wire
from tests.conftest import Serve
from tests.support.cast import Credential, make_workspace
from tests.support.events import EventStream
from tests.support.homes import Home
from tests.support.servers import create_workspace

CUTS = 20
MESSAGES = 100
"""Of each of two writers."""
CHANNELS = [f"room-{number}" for number in range(6)]


def write(url: str, caller: Credential, name: str) -> dict[str, int]:
    """Send messages; return the last id stored in each channel."""
    chosen = random.Random(name)  # noqa: S311 - any will do
    last: dict[str, int] = {}
    with Wire(url, caller) as wire:
        for number in range(MESSAGES):
            channel = chosen.choice(CHANNELS)
            answer = wire("send_message", channel=channel, sender=name, content=f"{number}")
            assert answer.status == 200, answer
            last[channel] = answer.data["id"]
    return last


def listen_in_pieces(urls: list[str], caller: Credential, is_done: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Listen, hang up after a few events and come back from there, `CUTS` times; then until it is done.

    Return the newest id told of each channel.
    """
    told: dict[str, int] = {}
    place = ""
    chosen = random.Random(7)  # noqa: S311 - any will do
    for cut in range(CUTS + 1):
        url = urls[cut % len(urls)]
        query = {} if place else {"after_id": 0}
        with EventStream(url, caller, last_event_id=place, instance_id="ear", **query) as stream:
            assert stream.status == 200, stream.refusal
            left = chosen.randrange(4)
            while (left or cut == CUTS) and not is_done(told):
                channel, newest = stream.moved()
                assert newest > told.get(channel, 0), "told twice, or out of order"
                told[channel] = newest
                left = max(0, left - 1)
            place = stream.last_id or place
    return told


def hears_all(urls: list[str], caller: Credential) -> None:
    with ThreadPoolExecutor(2) as threads:
        writers: list[Future[dict[str, int]]] = [
            threads.submit(partial(write, urls[-1 - number % len(urls)], caller, f"writer-{number}"))
            for number in range(2)
        ]

        def last() -> dict[str, int]:
            found: dict[str, int] = {}
            for each in writers:
                for channel, number in each.result(60).items():
                    found[channel] = max(number, found.get(channel, 0))
            return found

        def is_done(told: dict[str, int]) -> bool:
            return max(told.values(), default=0) == 2 * MESSAGES and told == last()

        told = listen_in_pieces(urls, caller, is_done)
        assert told == last()
        assert max(told.values()) == 2 * MESSAGES


def test_a_listener_that_is_cut_off_again_and_again_is_told_of_everything(lane_url: str) -> None:
    hears_all([lane_url], make_workspace("unlimited"))


@pytest.mark.slow
def test_a_listener_that_comes_back_to_another_process_is_told_of_everything(
    serve: Serve, make_home: Callable[[], Home]
) -> None:
    home = make_home()
    servers = [serve(home), serve(home)]
    hears_all([server.url for server in servers], Credential(create_workspace(home)))


@pytest.mark.slow
@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
def test_a_server_that_stops_says_so_and_nothing_is_missed_meanwhile(
    serve: Serve, make_home: Callable[[], Home], program: str
) -> None:
    home = make_home()
    caller = Credential(create_workspace(home))
    server = serve(home, program)  # type: ignore[arg-type]  # one of its two programs
    other = serve(home)
    with EventStream(server.url, caller, instance_id="ear") as stream:
        with ThreadPoolExecutor(1) as threads:
            stopping = threads.submit(server.stop)
            assert stream.ended() == "restart"
            assert stopping.result(30) < 6
        place = stream.last_id
    with Wire(other.url, caller) as wire:
        assert wire("send_message", sender="bo", content="x").status == 200
    with pytest.raises((OSError, http.client.HTTPException)):
        EventStream(server.url, caller, last_event_id=place, instance_id="ear")
    with EventStream(other.url, caller, last_event_id=place, instance_id="ear") as stream:
        assert stream.moved() == ("general", 1)
