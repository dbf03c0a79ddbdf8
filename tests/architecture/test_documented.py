"""Nothing a user can meet goes undocumented: settings, error codes, operations."""

from __future__ import annotations

import re
from pathlib import Path

from bus.operations import EVENTS, OPERATIONS
from crosswire.lib.errors import CODES
from tests.support.homes import ROOT

PACKAGES = ("accounts", "billing", "bus", "crosswire")
_READ = re.compile(
    r"""\benv\.[\w.]+\(\s*"([A-Z][A-Z0-9_]+)"|\bos\.(?:environ\.get\(|environ\[|getenv\()\s*"([A-Z][A-Z0-9_]+)\""""
)
_SHOWN = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
_RAISED = re.compile(r'(?:CrossWireError|_refusal)\(\s*"(\w+)"')
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+?) \| ([^|]+?) \|(?: ([^|]+?) \|)?$", re.MULTILINE)


def sources() -> dict[Path, str]:
    """Return the text of every module of the product."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def rows(document: str) -> dict[str, tuple[str, ...]]:
    """Return the table of a document: what stands in each row, by its first cell."""
    found = [match.groups() for match in _ROW.finditer((ROOT / "docs" / document).read_text(encoding="utf-8"))]
    assert len(found) == len({row[0] for row in found}), "a row stands twice"
    return {row[0]: row[1:] for row in found}


def test_every_variable_that_is_read_is_in_the_example_and_no_other() -> None:
    read = {name for text in sources().values() for match in _READ.finditer(text) for name in match.groups() if name}
    shown = set(_SHOWN.findall((ROOT / ".env.example").read_text(encoding="utf-8")))
    assert {"DATABASE_URL", "PUBLIC_URL", "CROSSWIRE_CLOCK_FILE"} <= read, "the search finds nothing"
    assert sorted(read - shown) == [], "not in .env.example"
    assert sorted(shown - read) == [], "in .env.example, but nothing reads them"


def test_every_error_code_has_its_line_and_no_other_has() -> None:
    table = rows("errors.md")
    assert {code: int(row[0]) for code, row in table.items()} == CODES
    for code, (_, meaning, remedy) in table.items():
        assert meaning.endswith("."), code
        assert remedy.endswith("."), code


def test_every_code_that_is_raised_is_a_known_one() -> None:
    raised = {code for text in sources().values() for code in _RAISED.findall(text)}
    assert {"unauthorized", "quota_exceeded"} <= raised, "the search finds nothing"
    assert raised <= set(CODES)


def test_every_operation_is_listed_with_its_rest_call_and_no_other_is() -> None:
    shown = {name: row[0] for name, row in rows("operations.md").items()}
    assert shown == {
        name: f"{each.http.method} {each.http.path}" if each.http else "(MCP alone)"
        for name, each in [*OPERATIONS.items(), (EVENTS.name, EVENTS)]
    }


def test_every_tool_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name, each in OPERATIONS.items() if each.is_tool and f"`{name}`" not in readme] == []
