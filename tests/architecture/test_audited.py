"""Every action that the audit log is told of has its sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from accounts.audit_log import KINDS, OPERATORS_KINDS, SENTENCES, deed
from accounts.models import AuditEvent
from tests.architecture.test_documented import sources

_DOTTED = re.compile(r"[a-z]+\.[a-z_]+")


def recorded() -> Iterator[tuple[str, str]]:
    """Return where an action is recorded and its name; "" when it is no plain text."""
    for path, text in sources().items():
        if "audit.record" in text and path.name != "audit.py":
            yield from ((f"{path.parent.name}/{path.name}", name) for name in recorded_in(ast.parse(text)))


def recorded_in(tree: ast.Module) -> Iterator[str]:
    """Return what is passed as it stands; where a variable is, whatever in the module looks like an action."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("audit.record"):
            passed = [*node.args, *(each.value for each in node.keywords)]
            found = next((names for each in passed if any(names := list(constants(each)))), [])
            if not found and any(isinstance(each, ast.Name) for each in passed):
                found = [text for text in texts if _is_name(text)]
            yield from found or [""]


def constants(action: ast.expr) -> Iterator[str]:
    """Return the actions that an argument may be, "" for anything else."""
    if isinstance(action, ast.IfExp):
        yield from constants(action.body)
        yield from constants(action.orelse)
    else:
        is_text = isinstance(action, ast.Constant) and isinstance(action.value, str)
        yield action.value if is_text and _DOTTED.fullmatch(action.value) else ""  # type: ignore[attr-defined] # text


def _is_name(text: str) -> bool:
    return _DOTTED.fullmatch(text) is not None and text.partition(".")[0] in KINDS | OPERATORS_KINDS


def test_every_action_that_is_recorded_has_its_sentence_and_its_kind() -> None:
    found = list(recorded())
    assert {"key.revoked", "invite.sent", "invite.declined", "instance.takeover"} <= {name for _, name in found}
    assert sorted({each for each in found if each[1] not in SENTENCES}) == [], "say in accounts/audit_log.py what it is"
    assert {name.partition(".")[0] for _, name in found} <= set(KINDS) | set(OPERATORS_KINDS)


@pytest.mark.parametrize("action", SENTENCES)
@pytest.mark.parametrize("details", [{}, {"prefix": "cw_abcd1234", "instance_id": "robot", "role": 3, "reason": None}])
def test_every_sentence_can_be_told_of_any_event(action: str, details: dict[str, object]) -> None:
    told = deed(AuditEvent(actor="ada@example.com", action=action, target="{x} %s", details=details))
    assert told
    assert told == told.strip()


def test_an_action_without_a_sentence_is_told_all_the_same() -> None:
    assert deed(AuditEvent(action="tea.made", target="Earl Grey")) == "did tea.made: Earl Grey"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('audit.record(1, "a", "tea.made", "x")', {"tea.made"}),
        ('audit.record_person(principal, "tea.made", "x.y", size=1)', {"tea.made"}),
        ('audit.record(1, "a", "tea.made" if hot else "tea.iced")', {"tea.made", "tea.iced"}),
        ('what = "key.eaten"\naudit.record(1, "a", what)', {"key.eaten"}),
        ('audit.record(1, "a", f"tea.{what}")', {""}),
        ('def f(what): audit.record(1, "a", what)', {""}),
    ],
)
def test_the_search_finds_what_is_recorded(code: str, names: set[str]) -> None:
    assert set(recorded_in(ast.parse(code))) == names
