"""The workspace's count of shared bytes stays exact while many share and delete the same keys at once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bus.models import Counters, SharedItem
from tests.concurrency.traffic import Wire, spread, together
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan

pytestmark = pytest.mark.slow

CALLERS = 16
EACH = 25
KEYS = ("plan", "diff", "log/build", "ключ", "k 5", "k 6")
ROOM = 30_000


def counted(caller: Caller) -> int:
    return Counters.objects.get(workspace=caller.workspace).data_bytes


def kept(caller: Caller) -> dict[str, bytes]:
    items = SharedItem.objects.filter(workspace=caller.workspace)
    for item in items:
        assert item.size_bytes == len(item.content.encode()), item.key
    return {item.key: item.content.encode() for item in items}


@pytest.mark.parametrize("room", [ROOM, None], ids=["with too little room", "with room for everything"])
def test_bytes_are_exact_under_parallel_shares_and_deletes(
    urls: list[str], make_workspace: MakeWorkspace, seed: int, room: int | None
) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, data_bytes=room)

    def work(number: int) -> Counter[str]:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - a test's chances
        done: Counter[str] = Counter()
        with Wire(spread(urls, number), caller) as wire:
            for _ in range(EACH):
                key = chance.choice(KEYS)
                if chance.random() < 0.3:
                    answer = wire("delete_shared_data", key=key)
                else:
                    content = chance.choice(("a", "ü", "木", "🙂")) * chance.randrange(1, 4_000)
                    answer = wire("share_data", key=key, content=content, sender=f"agent-{number}")
                done[answer.code] += 1
        return done

    done: Counter[str] = sum(together(work, CALLERS), Counter())
    assert set(done) <= {"", "not_found", "limit_reached"}, done
    assert ("limit_reached" in done) == (room is not None), done
    items = kept(caller)
    assert counted(caller) == sum(map(len, items.values()))
    assert room is None or counted(caller) <= room

    with Wire(urls[0], caller) as wire:
        assert wire("usage").data["data_bytes"]["used"] == counted(caller)
        for key in items:
            assert wire("delete_shared_data", key=key).status == 200
    assert counted(caller) == 0


def test_one_key_deleted_by_many_gives_its_bytes_back_once(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    with Wire(urls[0], caller) as wire:
        for key in ("gone", "stays"):
            assert wire("share_data", key=key, content="x" * 100, sender="agent").status == 200

    def delete(number: int) -> str:
        with Wire(spread(urls, number), caller) as wire:
            return wire("delete_shared_data", key="gone").code

    assert Counter(together(delete, CALLERS)) == Counter({"": 1, "not_found": CALLERS - 1})
    assert counted(caller) == 100
