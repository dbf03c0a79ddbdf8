"""Whatever comes in, nothing but JSON-RPC goes out, and the next call is answered."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.stdio import process

CALL = {"jsonrpc": "2.0", "id": 77, "method": "tools/call"}


def called(tool: str, **arguments: object) -> bytes:
    """Return a call as a line."""
    return json.dumps({**CALL, "params": {"name": tool, "arguments": arguments}}).encode()


REFUSED: list[tuple[bytes, int | None, int]] = [
    (b"this is no JSON", None, -32700),
    (b'{"jsonrpc":"2.0","id":77', None, -32700),
    (b"\xff\xfe\x00", None, -32700),
    (b"[" * 100_000, None, -32600),  # nested too deeply to be looked at
    (b'"text"', None, -32600),
    (b"[]", None, -32600),
    (b'{"id":77,"method":"ping"}', 77, -32600),
    (b'{"jsonrpc":"2.0","id":77,"method":"no/such"}', 77, -32601),
    (called("no_such_tool"), 77, -32602),
    (called("send_message", sender="ann", content="x" * 1_100_000), 77, -32600),
    (b'{"share_data":"' + b"x" * 22_000_000 + b'"}', None, -32600),
]


def test_a_line_that_cannot_be_served_is_refused_and_the_next_one_answered(user: Path) -> None:
    with process(user) as local:
        local.shake_hands()
        for line, request_id, code in REFUSED:
            local.write(line)
            refusal = local.answer(request_id)
            assert refusal["error"]["code"] == code, line[:60]
            assert local.use("whoami")["workspace"] == "local", line[:60]
        assert local.others == []
        local.close_input()
        assert local.read() is None


def test_refusals_are_results_a_model_can_read(user: Path) -> None:
    with process(user) as local:
        local.shake_hands()
        result = local.answer(local.begin("send_message", sender="ann", content=""))["result"]
        assert result["isError"] is True
        assert result["_meta"]["crosswire/error"]["code"] == "invalid_input"


def test_a_large_shared_text_passes(user: Path) -> None:
    with process(user) as local:
        local.shake_hands()
        text = "größer\n" * 600_000
        assert local.use("share_data", key="k", sender="ann", content=text)["size_bytes"] == len(text.encode())


def test_blank_lines_are_passed_over(user: Path) -> None:
    with process(user) as local:
        local.write(b"\n  \n")
        local.shake_hands()
        assert local.others == []
