"""The protocol's official conformance suite against the product as it is served, with its own tools.

Many of its scenarios call tools, prompts and resources that only a server made for the suite has. Those fail here, by
name; everything else has to pass, check by check. `tasks-*` belongs to an extension and is not scored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.keyed import KEY_VARIABLE
from tests.clients.packages import Packages, environment
from tests.support.cast import make_workspace
from tests.support.homes import Run
from tests.support.processes import finish
from tests.support.servers import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SUITE_SECONDS = 90.0
OLDER, NEWEST = "2025-11-25", "2026-07-28"

PASSING = {
    OLDER: {
        "server-initialize": 2,
        "ping": 2,
        "tools-list": 3,
        "resources-list": 2,
        "prompts-list": 2,
        "dns-rebinding-protection": 2,
    },
    NEWEST: {
        "tools-list": 4,
        "resources-list": 2,
        "prompts-list": 2,
        "dns-rebinding-protection": 2,
        "caching": 8,
        "sep-2164-resource-not-found": 4,
        "server-sse-multiple-streams": 1,
        "input-required-result-unsupported-methods": 2,
        "input-required-result-ignore-extra-params": 1,
        "input-required-result-validate-input": 3,
        "input-required-result-missing-input-response": 1,
        "http-header-validation": 14,
    },
}
"""How many checks each scenario makes of a server with tools of its own; all succeed."""

NEEDS_DIAGNOSTIC_TOOL = {
    "sep-2575-server-rejects-undeclared-capability": "test_missing_capability",
    "sep-2575-missing-capability-http-400": "test_missing_capability",
    "sep-2575-http-server-no-independent-requests-on-stream": "test_streaming_elicitation",
    "sep-2575-server-no-log-without-loglevel": "test_logging_tool",
}
"""The checks of `server-stateless` that the suite makes by a tool of its own."""

NEEDS_FIXTURES = {
    *("completion-complete", "resources-read-text", "resources-read-binary", "resources-templates-read"),
    *("prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource", "prompts-get-with-image"),
    *("tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource"),
    *("tools-call-mixed-content", "tools-call-error", "tools-call-with-progress", "json-schema-2020-12"),
}
"""The scenarios that ask for a tool, prompt or resource of the suite's own, whatever the revision."""

NEEDS_MORE = {
    OLDER: {
        *("tools-call-with-logging", "tools-call-sampling", "tools-call-elicitation", "logging-set-level"),
        *("elicitation-sep1034-defaults", "elicitation-sep1330-enums", "resources-subscribe", "resources-unsubscribe"),
    },
    NEWEST: {
        *("input-required-result-basic-elicitation", "input-required-result-basic-sampling"),
        *("input-required-result-basic-list-roots", "input-required-result-request-state"),
        *("input-required-result-multiple-input-requests", "input-required-result-multi-round"),
        *("input-required-result-non-tool-request", "input-required-result-result-type"),
        *("input-required-result-tampered-state", "input-required-result-capability-check"),
        *("http-custom-header-server-validation", "server-stateless"),
    },
}
"""And those that ask for what the product does not offer: a server without sessions asks its clients nothing."""

type Checks = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def served(run: Run) -> Iterator[str]:
    """The address of a server process whose callers need no key: the suite knows no headers."""
    home = run.home
    with ServerProcess(home, app="tests.clients.keyed:application", env={KEY_VARIABLE: make_workspace().key}) as server:
        yield f"{server.url}/mcp"


def conform(packages: Packages, url: str, folder: Path, revision: str) -> Checks:
    """Run every scenario that a revision of the protocol requires; return the checks of each."""
    command = [*packages.program("conformance"), "server", "--url", url, "--requirements", revision, "-o", str(folder)]
    ran = finish(command, SUITE_SECONDS, env=environment())
    assert "=== SUMMARY ===" in ran.stdout, ran.stderr or ran.stdout
    found: Checks = {}
    for result in folder.glob("server-*/checks.json"):
        scenario = result.parent.name.removeprefix("server-")[: -len("-2026-01-01T00-00-00-000Z")]
        found[scenario] = json.loads(result.read_text(encoding="utf-8"))
    return found


def successes(checks: list[dict[str, Any]]) -> int:
    """Return how many checks succeeded; the suite also writes down advice and remarks."""
    return sum(each["status"] == "SUCCESS" for each in checks)


def failed(checks: list[dict[str, Any]]) -> dict[str, str]:
    """Return the checks that failed, with what they complain of."""
    return {each["id"]: each["errorMessage"] for each in checks if each["status"] == "FAILURE"}


TASKS = {
    "tasks-lifecycle": 7,
    "tasks-capability-negotiation": 5,
    "tasks-wire-fields": 4,
    "tasks-request-state-removal": 3,
    "tasks-request-headers": 4,
    "tasks-dispatch-and-envelope": 7,
}
"""How many checks of the scenarios on tasks succeed where two of the suite's tools stand for ours."""

NEEDS_ANOTHER_TOOL = {
    "sep-2663-tool-error-uses-completed-status": "failing_job",
    "sep-2663-tasks-get-status-failed": "protocol_error_job",
    "tasks-server-directed-creation-no-hint": "failing_job",
    "tasks-headers-tolerate-mcp-method-on-tools-call": "",  # wants the words of `greet`
    "tasks-result-type-complete-on-non-task-responses": "confirm_delete",  # the last of its calls
}
"""The checks in these scenarios that ask for what our tools do not do: fail, ask their client, or say hello."""


def test_tasks_conform_to_their_extension(packages: Packages, run: Run, tmp_path: Path) -> None:
    env = {KEY_VARIABLE: make_workspace("unlimited").key}
    with ServerProcess(run.home, app="tests.clients.tasked:application", env=env) as server:
        found = conform(packages, f"{server.url}/mcp", tmp_path, NEWEST)
    complaints = {check: told for name in TASKS for check, told in failed(found[name]).items()}
    assert complaints.keys() == NEEDS_ANOTHER_TOOL.keys(), complaints
    assert all(tool in complaints[check] for check, tool in NEEDS_ANOTHER_TOOL.items())
    assert {name: successes(found[name]) for name in TASKS} == TASKS


@pytest.mark.parametrize("revision", [OLDER, NEWEST])
def test_the_product_conforms_to_the_protocol(packages: Packages, served: str, tmp_path: Path, revision: str) -> None:
    found = conform(packages, served, tmp_path, revision)
    passed = {name: successes(found[name]) for name in PASSING[revision]}
    failures = {name: failed(found[name]) for name in PASSING[revision] if failed(found[name])}
    assert not failures
    assert passed == PASSING[revision]
    failing = {name for name, checks in found.items() if failed(checks) and not name.startswith("tasks-")}
    assert failing == NEEDS_FIXTURES | NEEDS_MORE[revision]

    if revision == NEWEST:
        checks = found["server-stateless"]
        assert successes(checks) == 24
        complaints = failed(checks)
        assert complaints.keys() == NEEDS_DIAGNOSTIC_TOOL.keys(), complaints
        for check, tool in NEEDS_DIAGNOSTIC_TOOL.items():
            assert f"does not list the diagnostic tool '{tool}'" in complaints[check]
