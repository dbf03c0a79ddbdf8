"""Schemathesis calls every operation as the document says, and as it says one must not, and finds nothing wrong.

Once on the lane and once on DRF, each time against a server process of its own; what the database is does not matter
here, so this runs on one home.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support import loopback
from tests.support.homes import ROOT, Run
from tests.support.processes import finish
from tests.support.properties import DEPTH
from tests.support.servers import ServerProcess, create_workspace

GIVE_UP_SECONDS = 300 * max(1, DEPTH)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(GIVE_UP_SECONDS + 30)]

DOCUMENT = "/docs/api/openapi.json"
EXAMPLES = {"lane": 40 * max(1, DEPTH), "drf": 10 * max(1, DEPTH)}
"""How many calls of each kind. DRF stands on the same operations, and tests/rest/test_equality.py compares the two."""
SEED = 20_261_122
TAGS = (("instances", "account"), ("channels", "inbox"), ("messages",), ("data", "subscriptions"))


@pytest.fixture(scope="module", params=["lane", "drf"])
def server(run: Run, database: None, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    env = {"API_LANE": "true" if request.param == "lane" else "false"}
    home = run.new_home()
    with ServerProcess(home, app="tests.support.brief:application", env=env) as server:
        yield server
    run.discard(home)


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> str:
    """How many calls of each kind the test's server gets."""
    return str(EXAMPLES[request.node.callspec.params["server"]])


def schemathesis(server: ServerProcess, folder: Path, document: str, *options: str) -> CompletedProcess[str]:
    """Run it with every check and the key of a new workspace without quotas."""
    key = create_workspace(server.home)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", document, "--url", server.url, "--checks", "all"),
        *("--header", f"Authorization: Bearer {key}", "--seed", str(SEED)),
        *("--continue-on-failure", "--no-color", *options),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.openapi.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    return finish(command, GIVE_UP_SECONDS, env=os.environ | hooks, cwd=folder)


def operations(server: ServerProcess, tags: Sequence[str]) -> list[str]:
    paths = loopback.get(server.url + DOCUMENT).json()["paths"]
    found = [each for methods in paths.values() for each in methods.values() if each["tags"][0] in tags]
    return [each["operationId"] for each in found]


@pytest.mark.parametrize("tags", TAGS, ids="-".join)
def test_every_call_keeps_to_the_document(
    server: ServerProcess, examples: str, tags: tuple[str, ...], tmp_path: Path
) -> None:
    chosen = ["--max-examples", examples, *(option for tag in tags for option in ("--include-tag", tag))]
    done = schemathesis(
        server, tmp_path, server.url + DOCUMENT, "--mode", "all", "--phases", "examples,coverage,fuzzing", *chosen
    )
    assert done.returncode == 0, done.stdout
    assert re.search(rf"Tested: +{len(operations(server, tags))}\n", done.stdout), done.stdout


def test_every_chain_of_calls_keeps_to_the_document(server: ServerProcess, examples: str, tmp_path: Path) -> None:
    options = ("--mode", "all", "--phases", "stateful", "--max-examples", examples)
    done = schemathesis(server, tmp_path, server.url + DOCUMENT, *options)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Scenarios: +\d\d", done.stdout), done.stdout


def test_the_groups_leave_no_operation_out(lane_url: str) -> None:
    document = loopback.get(lane_url + DOCUMENT).json()
    assert {tag["name"] for tag in document["tags"]} == {tag for tags in TAGS for tag in tags}


@pytest.mark.parametrize("server", ["lane"], indirect=True)
def test_a_document_that_is_wrong_is_found_out(server: ServerProcess, tmp_path: Path) -> None:
    document = loopback.get(server.url + DOCUMENT).json()
    document["components"]["schemas"]["Identity"]["required"].append("colour")
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    done = schemathesis(server, tmp_path, str(file), "--phases", "coverage", "--include-operation-id", "whoami")
    assert done.returncode == 1, done.stdout
    assert "colour" in done.stdout
