"""The bus's tables are reached in few places, and every query there names the workspace."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps

from bus.operations import OPERATIONS
from tests.isolation.walk import tries
from tests.isolation.world import Secrets
from tests.support.cast import Caller
from tests.support.homes import ROOT
from tests.support.surfaces import Surface

BUS_MODELS = {model.__name__ for model in apps.get_app_config("bus").get_models()}

TOUCHED: dict[str, tuple[set[str], str]] = {
    "bus/access.py": (
        {
            "Channel",
            "ChannelSender",
            "ChannelSubscription",
            "Counters",
            "Cursor",
            "Instance",
            "Message",
            "SharedItem",
            "Wait",
        },
        "the tenant filter: everything that is asked for by name",
    ),
    "bus/figures.py": (
        {"Channel", "Counters", "Instance", "Wait"},
        "how much several workspaces use, in numbers: the operators' console",
    ),
    "bus/fulltext.py": ({"Message"}, "takes out the words of messages that a previous release stored"),
    "bus/retention.py": ({"Counters", "Message"}, "the first number that has not expired"),
    "bus/pruning.py": (
        {"ChannelSender", "Claim", "Counters", "Cursor", "HandOut", "Message", "SharedItem"},
        "deletes what has expired in one workspace",
    ),
    "bus/pruners.py": ({"IdempotencyKey", "Wait"}, "deletes what is over in all workspaces"),
    "bus/exporting.py": (
        {"Channel", "ChannelSubscription", "Claim", "Cursor", "HandOut", "Instance", "Message", "SharedItem"},
        "a copy of everything, archived and past rows included, streamed by the workspace's indexes",
    ),
    "bus/erasing.py": (
        {"Channel", "ChannelSender", "Counters", "IdempotencyKey", "Instance", "Message", "SharedItem"},
        "deletes all rows of one workspace (every table, by model); takes one name out of a workspace",
    ),
    "bus/apps.py": ({"Channel", "Counters"}, "furnishes a new workspace"),
    "bus/quotas.py": ({"Counters"}, "what is used, for banners and mails; who is close to a quota, of all workspaces"),
    "bus/services/channels.py": ({"Channel", "ChannelSender", "Message"}, "makes channels; figures of the listed ones"),
    "bus/services/endings.py": ({"Wait"}, "ends waits that its callers found"),
    "bus/services/instances.py": (
        {"Claim", "Instance", "Wait"},
        "arriving and leaving, archived names included; rivals' waits; a leaver's claims",
    ),
    "bus/services/limits.py": ({"Channel", "Counters"}, "what is used of the plan"),
    "bus/services/releases.py": ({"Instance", "Wait"}, "tells one of those that wait for each other"),
    "bus/services/shared.py": ({"SharedItem"}, "replaces an item, an expired one too"),
    "bus/services/subscriptions.py": ({"ChannelSubscription"}, "stores one"),
    "bus/services/waits.py": ({"Wait"}, "a wait's own row"),
}
"""Where the tables of the bus are queried through their models, which ones, and why not through access.py."""

BY_KEY: dict[tuple[str, str], str] = {
    ("bus/services/endings.py", "end"): "by tokens that were read under the filter",
    ("bus/services/instances.py", "admit"): "by the key of a row found under the filter",
    ("bus/services/waits.py", "supersede"): "by the keys of rows found under the filter",
    ("bus/services/waits.py", "about"): "by the wait's own random token",
    ("bus/services/waits.py", "close"): "by the wait's own random token",
    ("bus/services/waits.py", "forget_process"): "every workspace's waits in a process that ends",
    ("bus/figures.py", "of"): "of the workspaces that are named, counted for each apart",
    ("bus/fulltext.py", "fill"): "every workspace's rows, and only to take out their words",
    ("bus/quotas.py", "_near"): "every workspace's counters, and only to mail its own people",
    ("bus/pruners.py", "_over"): "every workspace's rows, and only to delete them",
}
"""Functions with a query that does not name the workspace, and why it needs not."""


@dataclass(frozen=True)
class Query:
    """One use of a model's manager. `is_filtered`: the workspace is among its arguments."""

    file: str
    function: str
    model: str
    is_filtered: bool


def queries() -> Iterator[Query]:
    """Return every query of a bus model in the product, migrations aside."""
    for path in sorted(ROOT.glob("[a-z]*/**/*.py")):
        file = str(path.relative_to(ROOT))
        if file.startswith("tests/") or "/migrations/" in file:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from queries_in(tree, file)


def queries_in(tree: ast.Module, file: str) -> Iterator[Query]:
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr not in ("objects", "_default_manager", "_base_manager"):
            continue
        if not isinstance(node.value, ast.Name) or node.value.id not in BUS_MODELS:
            continue
        keywords: set[str | None] = set()
        above: ast.AST = node
        while isinstance(parents[above], ast.Attribute) or _is_call_of(parents[above], above):
            above = parents[above]
            if isinstance(above, ast.Call):
                keywords |= {keyword.arg for keyword in above.keywords}
        yield Query(file, _function(above, parents), node.value.id, bool(keywords & {"workspace", "workspace_id"}))


def _is_call_of(node: ast.AST, function: ast.AST) -> bool:
    return isinstance(node, ast.Call) and node.func is function


def _function(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    while node in parents and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node = parents[node]
    return getattr(node, "name", "")


def test_the_tables_of_the_bus_are_queried_in_the_places_listed_and_no_other() -> None:
    touched: dict[str, set[str]] = {}
    for query in queries():
        touched.setdefault(query.file, set()).add(query.model)
    assert touched == {file: models for file, (models, _) in TOUCHED.items()}


def test_every_query_names_the_workspace_unless_listed() -> None:
    unfiltered = {(query.file, query.function) for query in queries() if not query.is_filtered}
    assert sorted(unfiltered - set(BY_KEY)) == [], "a query forgets the workspace"
    assert sorted(set(BY_KEY) - unfiltered) == [], "listed, but not there"


def test_a_query_that_forgets_the_workspace_is_seen() -> None:
    source = "def f(): Message.objects.filter(number=1).first()\ndef g(): Message.objects.filter(workspace=1)"
    assert set(queries_in(ast.parse(source), "x.py")) == {
        Query("x.py", "f", "Message", is_filtered=False),
        Query("x.py", "g", "Message", is_filtered=True),
    }


# --- SQL by hand ------------------------------------------------------------------------------------------------

WITH_SQL = {
    "bus/beats.py": 10,
    "bus/fates.py": 5,
    "bus/fulltext.py": 6,
    "bus/hot.py": 14,
    "bus/news.py": 5,
    "bus/parties.py": 4,
    "bus/storing.py": 10,
}
"""Modules with SQL by hand, and how many statements at least are found in them."""
_TABLE = re.compile(
    r"\b(FROM|JOIN|UPDATE|INTO)\s+(bus_\w+)(?:\s+(?:AS\s+)?(?!(?:SET|ON|WHERE|VALUES)\b)(\w+))?(\s+ON (\w+)\.id = )?"
)
WHOLE_PROCESS = re.compile(
    r"(WITH mine AS MATERIALIZED \()?SELECT( .*)? FROM bus_wait"
    r" WHERE process = %s AND \(kind <> 'task' OR poll_due_at > %s\)"
    r"|SELECT token, ended, FROM bus_wait WHERE token IN \("
    r"|SELECT DISTINCT mine.workspace_id FROM bus_wait mine WHERE mine.process = %\(process\)s "
)
"""The heartbeat of a process, for its waits in all workspaces, and the same without writing; each says of a wait only
what that wait is for. The same for tasks that it holds and another process was asked for later, by their secret tokens.
And in which workspaces a process has parties of mutual waits."""


def statements_in(tree: ast.Module) -> Iterator[str]:
    """Return every text that is SQL on a table of the bus, f-strings with their holes left empty."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else " " for part in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = [node.value]
        else:
            continue
        text = " ".join("".join(parts).split())
        if _TABLE.search(text) and re.match(r"(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text):
            yield text


def offences(statement: str) -> list[str]:
    """Return the tables in a statement whose rows are not narrowed to a workspace."""
    found = []
    for verb, table, alias, by_key, _ in _TABLE.findall(statement):
        if verb == "INTO":
            is_narrowed = re.search(rf"{table} \([^)]*\bworkspace_id\b", statement) is not None
        elif verb == "JOIN" and by_key:
            is_narrowed = True  # the row that a filtered row names
        else:
            is_narrowed = (
                re.search(rf"\b{alias}\.workspace_id = " if alias else r"(?<!\.)\bworkspace_id = %s", statement)
                is not None
            )
        if not is_narrowed:
            found.append(table)
    return found


def test_sql_by_hand_on_the_tables_of_the_bus_stands_in_the_modules_listed() -> None:
    found = set()
    for path in ROOT.glob("[a-z]*/**/*.py"):
        file = str(path.relative_to(ROOT))
        if not file.startswith("tests/") and "/migrations/" not in file:
            found |= {file for _ in statements_in(ast.parse(path.read_text(encoding="utf-8")))}
    assert found == set(WITH_SQL)


@pytest.mark.parametrize("file", sorted(WITH_SQL))
def test_every_statement_by_hand_names_the_workspace_of_every_table(file: str) -> None:
    statements = list(statements_in(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    assert len(statements) >= WITH_SQL[file], "the search finds too little"
    at_fault = {text: offences(text) for text in statements if offences(text) and not WHOLE_PROCESS.match(text)}
    assert at_fault == {}


@pytest.mark.parametrize(
    ("statement", "forgotten"),
    [
        ("SELECT 1 FROM bus_message WHERE workspace_id = %s", []),
        ("SELECT 1 FROM bus_message WHERE number = %s", ["bus_message"]),
        ("SELECT 1 FROM bus_wait w JOIN bus_instance i ON i.id = w.instance_id WHERE w.workspace_id = %s", []),
        ("SELECT 1 FROM bus_wait w JOIN bus_channel c ON c.name = %s WHERE w.workspace_id = %s", ["bus_channel"]),
        ("INSERT INTO bus_cursor (channel_id) VALUES (%s)", ["bus_cursor"]),
        ("UPDATE bus_channel SET last_seq = %s WHERE id = %s", ["bus_channel"]),
    ],
)
def test_a_statement_that_forgets_the_workspace_is_seen(statement: str, forgotten: list[str]) -> None:
    assert offences(statement) == forgotten


def test_every_select_that_runs_names_the_workspace(
    call: Surface, alice: Caller, statements: Callable[..., Any]
) -> None:
    with statements() as ran:
        for name, operation in OPERATIONS.items():
            if operation.is_tool if call.is_mcp else operation.http:
                for arguments in tries(operation, call, Secrets.new()):
                    call(alice, name, **arguments)
    selects = [text for text in ran if re.match(r"\s*SELECT\b", text) and "bus_" in text]
    assert len(selects) > 50
    assert [text for text in selects if not re.search(r'workspace_id"? = ', text)] == []
