"""Schemathesis calls every operation as the document says, and as it says one must not, and finds nothing wrong.

Once on the lane and once on DRF, each time against a server process of its own; what the database is does not matter
here, so this runs on one home.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

import httpx2
import pytest

from tests.conftest import Serve
from tests.support.homes import ROOT
from tests.support.processes import finish
from tests.support.servers import ServerProcess, create_workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DOCUMENT = "/docs/api/openapi.json"
EXAMPLES = 100
SEED = 20_261_122
TAGS = (("instances", "account"), ("channels", "inbox"), ("messages",), ("data",))


@pytest.fixture(params=["lane", "drf"])
def server(request: pytest.FixtureRequest, serve: Serve) -> ServerProcess:
    return serve(env={"API_LANE": "true" if request.param == "lane" else "false"})


def schemathesis(server: ServerProcess, folder: Path, document: str, *options: str) -> CompletedProcess[str]:
    """Run it with every check and the key of a workspace without quotas."""
    key = create_workspace(server.home)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", document, "--url", server.url, "--checks", "all"),
        *("--header", f"Authorization: Bearer {key}", "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
        *("--continue-on-failure", "--no-color", *options),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.openapi.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    return finish(command, 390, env=os.environ | hooks, cwd=folder)


def operations(server: ServerProcess, tags: Sequence[str]) -> list[str]:
    paths = httpx2.get(server.url + DOCUMENT, trust_env=False).json()["paths"]
    found = [each for methods in paths.values() for each in methods.values() if each["tags"][0] in tags]
    return [each["operationId"] for each in found]


@pytest.mark.parametrize("tags", TAGS, ids="-".join)
def test_every_call_keeps_to_the_document(server: ServerProcess, tags: tuple[str, ...], tmp_path: Path) -> None:
    chosen = [option for tag in tags for option in ("--include-tag", tag)]
    done = schemathesis(
        server, tmp_path, server.url + DOCUMENT, "--mode", "all", "--phases", "examples,coverage,fuzzing", *chosen
    )
    assert done.returncode == 0, done.stdout
    assert re.search(rf"Tested: +{len(operations(server, tags))}\n", done.stdout), done.stdout


def test_every_chain_of_calls_keeps_to_the_document(server: ServerProcess, tmp_path: Path) -> None:
    done = schemathesis(server, tmp_path, server.url + DOCUMENT, "--mode", "all", "--phases", "stateful")
    assert done.returncode == 0, done.stdout
    assert re.search(r"Scenarios: +\d\d", done.stdout), done.stdout


def test_the_groups_leave_no_operation_out(lane_url: str) -> None:
    document = httpx2.get(lane_url + DOCUMENT, trust_env=False).json()
    assert {tag["name"] for tag in document["tags"]} == {tag for tags in TAGS for tag in tags}


@pytest.mark.parametrize("server", ["lane"], indirect=True)
def test_a_document_that_is_wrong_is_found_out(server: ServerProcess, tmp_path: Path) -> None:
    document = httpx2.get(server.url + DOCUMENT, trust_env=False).json()
    document["components"]["schemas"]["Identity"]["required"].append("colour")
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    done = schemathesis(server, tmp_path, str(file), "--phases", "coverage", "--include-operation-id", "whoami")
    assert done.returncode == 1, done.stdout
    assert "colour" in done.stdout
