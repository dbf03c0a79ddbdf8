"""Isolation of streams: a stranger who listens hears nothing of Alice, whatever she asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from bus import listening, news
from bus.operations import EVENTS
from tests.isolation.test_planted_leak import in_sql
from tests.isolation.walk import Step, findings, tries, without_what_varies, words
from tests.isolation.world import KINDS, Mallory, Secrets
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.events import PATH, EventStream
from tests.support.messages import seed
from tests.support.surfaces import Surface, SurfaceName

pytestmark = pytest.mark.slow


@pytest.fixture
def walk(
    surface: Callable[[SurfaceName], Surface], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Secrets], Iterator[Step]]:
    """Every stream a stranger would open, each over at once."""
    monkeypatch.setattr(listening, "LIFE_SECONDS", 0.02)
    monkeypatch.setattr(listening, "PAUSE_SECONDS", 0.01)
    lane = surface("lane")

    def steps(hers: Secrets) -> Iterator[Step]:
        for kind in KINDS:
            mallory = Mallory.make(kind, hers)
            for arguments in tries(EVENTS, lane, hers):
                yield _step(lane.url, kind, mallory, arguments, "")
            yield _step(lane.url, kind, mallory, {"instance_id": hers.coder}, str(hers.base))

    return steps


def _step(url: str, kind: str, mallory: Mallory, arguments: dict[str, Any], place: str) -> Step:
    mallory.named |= {*words(arguments), place}
    headers = mallory.caller.headers | ({"Last-Event-ID": place} if place else {})
    answer = loopback.get(f"{url}{PATH}?{urlencode(arguments)}", headers=headers)
    code = answer.json()["code"] if answer.status_code != 200 else ""
    what = f"{kind} stranger listens to {json.dumps(arguments)} from {place}"
    told = without_what_varies(f"{answer.status_code} {answer.text}", mallory)
    return Step(what, code, told, frozenset(mallory.named))


def test_no_stream_tells_a_stranger_anything(walk: Callable[[Secrets], Iterator[Step]]) -> None:
    assert not (found := list(findings(walk))), "\n\n".join(found[:5])


def test_the_walk_opens_streams(walk: Callable[[Secrets], Iterator[Step]]) -> None:
    assert "" in {step.code for step in walk(Secrets.new())}


@pytest.mark.parametrize(
    ("filtered", "unfiltered"),
    [
        ("WHERE c.workspace_id = %s AND c.last_number > %s", "WHERE %s > 0 AND c.last_number > %s"),
        (
            "FROM bus_counters k WHERE k.workspace_id = %s",
            "FROM (SELECT max(last_number) AS last_number FROM bus_counters) k WHERE %s > 0",
        ),
    ],
)
def test_a_query_that_forgets_the_workspace_is_found(
    walk: Callable[[Secrets], Iterator[Step]], monkeypatch: pytest.MonkeyPatch, filtered: str, unfiltered: str
) -> None:
    in_sql(news, (filtered, unfiltered))(monkeypatch)
    assert next(findings(walk), ""), "a stranger is told nothing of it"


def test_a_stream_that_is_open_hears_nothing_of_a_stranger(lane_url: str, alice: Caller, mallory: Caller) -> None:
    with EventStream(lane_url, mallory, instance_id="ear") as stream:
        seed(alice, ["x"], channel="the-same")
        seed(mallory, ["x"], channel="the-same")
        assert stream.moved() == ("the-same", 1)
        seed(alice, ["x"] * 3, channel="the-same")
        seed(mallory, ["x"], channel="hers")
        assert stream.moved() == ("hers", 2)
