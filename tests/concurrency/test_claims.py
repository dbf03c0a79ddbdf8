"""Who claims: of many instances that call two server processes at once, exactly one gets the message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.concurrency.traffic import Answer, Wire, spread, together
from tests.conftest import Serve
from tests.support.cast import Credential
from tests.support.homes import Home
from tests.support.servers import create_workspace, move_clock

pytestmark = pytest.mark.slow

WORKERS = 20
LEASE_SECONDS = 3_600


class Crew:
    """Workers of one workspace, half of them on each of two servers."""

    def __init__(self, urls: list[str], caller: Credential) -> None:
        self.urls = urls
        self.caller = caller

    def one(self, operation: str, **arguments: object) -> Answer:
        with Wire(self.urls[0], self.caller) as wire:
            return wire(operation, **arguments)

    def race(self, number: int) -> str:
        """Have all claim a message at once; return who got it, after a look at what the others were told."""

        def claim(index: int) -> Answer:
            with Wire(spread(self.urls, index), self.caller) as wire:
                return wire(
                    "claim_message",
                    channel="general",
                    message_id=number,
                    instance_id=f"worker-{index}",
                    lease_seconds=LEASE_SECONDS,
                )

        answers = together(claim, WORKERS)
        winners = [index for index, answer in enumerate(answers) if answer.status == 200]
        assert len(winners) == 1, f"{winners} got it"
        winner = f"worker-{winners[0]}"
        won = answers[winners[0]].data
        assert won["claimed_by"] == winner
        lost = [answer for answer in answers if answer.status != 200]
        assert {(answer.status, answer.code, answer.data["claimed_by"], answer.data["until"]) for answer in lost} == {
            (409, "claimed", winner, won["until"])
        }
        for url in self.urls:
            with Wire(url, self.caller) as wire:
                told = wire("message_status", channel="general", message_id=number).data["claimed"]
                assert told == {"by": winner, "until": won["until"]}
        return winner


def test_of_twenty_that_claim_at_once_exactly_one_gets_it_each_time_it_is_free(
    make_home: Callable[[], Home], serve: Serve
) -> None:
    home = make_home()
    servers = [serve(home), serve(home)]
    crew = Crew([server.url for server in servers], Credential(create_workspace(home)))
    asked = crew.one("send_message", sender="boss", content="Who does it?", message_type="request").data["id"]

    winner = crew.race(asked)
    given_back = crew.one("claim_message", channel="general", message_id=asked, instance_id=winner, release=True)
    assert (given_back.status, given_back.data["claimed_by"]) == (200, None)

    winner = crew.race(asked)
    move_clock(home, timedelta(seconds=LEASE_SECONDS + 1))  # the lease ends

    winner = crew.race(asked)
    assert crew.one("send_message", sender=winner, content="I did.", in_reply_to=asked).status == 200

    winner = crew.race(asked)
    assert crew.one("unregister", instance_id=winner).status == 200

    crew.race(asked)


def test_of_many_messages_each_goes_to_one_and_all_go(make_home: Callable[[], Home], serve: Serve) -> None:
    home = make_home()
    urls = [serve(home).url, serve(home).url]
    caller = Credential(create_workspace(home))
    with Wire(urls[0], caller) as boss:
        for index in range(WORKERS):
            boss("send_message", sender="boss", content=str(index), message_type="handoff")

    def work(index: int) -> list[int]:
        """Claim whatever nobody else has."""
        mine = []
        with Wire(spread(urls, index), caller) as wire:
            for number in range(1, WORKERS + 1):
                claimed = wire("claim_message", channel="general", message_id=number, instance_id=f"worker-{index}")
                assert claimed.status in (200, 409), claimed
                mine += [number] if claimed.status == 200 else []
        return mine

    taken = [number for mine in together(work, 8) for number in mine]
    assert sorted(taken) == list(range(1, WORKERS + 1))
