from __future__ import annotations

import pytest
from django.db import connection, transaction

from bus.models import Message
from tests.support.cast import Caller
from tests.support.surfaces import Surface


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_replies_are_listed_along_their_index_in_order(call: Surface, alice: Caller) -> None:
    parent = call.ok(alice, "send_message", sender="ann", content="Which build?")["id"]
    for number in range(3):
        call.ok(alice, "send_message", sender="bob", content=f"Build {number}", in_reply_to=parent)
    replies = Message.objects.filter(workspace=alice.workspace, in_reply_to=parent, number__gte=1).order_by("number")
    with transaction.atomic():
        if connection.vendor == "postgresql":  # a table of a few rows is read whole, whatever there is
            connection.cursor().execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = replies.explain()
    assert "message_replies_in_order" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    assert [each.content for each in replies] == ["Build 0", "Build 1", "Build 2"]
