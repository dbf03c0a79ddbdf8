"""The rendered documentation tells of everything a user can meet, and what it says is true."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings

from accounts import rates, roles
from accounts.plans import PLANS
from bus import clients, guides, listening, mutual, presence, snippets
from bus.mcp import tools
from bus.rest import openapi
from bus.services import claims, instances, receipts, releases, search, subscriptions, tasks, waits
from bus.teaching import PROTOCOL
from crosswire.lib.database import PATIENCE_SECONDS
from crosswire.lib.errors import CODES
from crosswire.site import facts, files, markdown, pages
from tests.architecture.test_documented import _READ, sources
from tests.support.homes import ROOT
from tests.support.sites import page, stranger

TEXTS = [each for each in pages.PAGES if each.template.endswith(".md")]
each_text = pytest.mark.parametrize("name", [each.name for each in TEXTS])


def text_of(name: str) -> markdown.Rendered:
    return pages.text_of(next(each for each in TEXTS if each.name == name))


def html(path: str) -> str:
    content: bytes = stranger().get(path).content
    return content.decode()


# --- everything has its entry -----------------------------------------------------------------------------------


def test_every_tool_has_its_entry_with_arguments_answer_and_refusals() -> None:
    text = html("/docs/tools/")
    listed = {tool.name: tool for tool in tools.listed(is_bound=False)}
    assert set(listed) == set(tools.TOOLS)
    for name, tool in listed.items():
        start = text.index(f'<h2 id="{name}">')
        entry = text[start : text.index("</section>", start)]
        for field in (*tool.input_schema["properties"], *tools.TOOLS[name].result_schema()["properties"]):
            assert f"<code>{field}</code>" in entry, (name, field)
        for code in (*tools.TOOLS[name].refusals, "invalid_input", "unavailable"):
            assert f'href="/docs/errors/#{code}"' in entry, (name, code)


def test_every_call_of_rest_has_its_entry() -> None:
    ids = page("/docs/api/").ids
    for methods in openapi.full()["paths"].values():
        assert {operation["operationId"] for operation in methods.values()} <= set(ids)


def test_every_code_has_its_entry() -> None:
    assert set(CODES) <= set(page("/docs/errors/").ids)


def test_every_setting_has_its_entry_with_a_text() -> None:
    read = {name for text in sources().values() for match in _READ.finditer(text) for name in match.groups() if name}
    documented = [each for group in facts.setting_groups().values() for each in group]
    assert {each.name for each in documented} == read
    assert [each.name for each in documented if not each.text.endswith(".")] == []
    assert {name.lower() for name in read} <= set(page("/docs/self-hosting/").ids)


def test_every_action_is_told_for_every_role() -> None:
    text = html("/docs/roles/")
    for action in roles.Action:
        start = text.index(f">{action}</td>")
        row = text[start : text.index("</tr>", start)]
        told = dict(re.findall(r'data-label="(\w+)">(yes|no)<', row))
        assert told == {role.label: "yes" if roles.may(role, action) else "no" for role in roles.POLICY}, action


@pytest.mark.parametrize("path", ["/pricing", "/docs/limits/"])
def test_every_figure_of_every_plan_is_told(path: str) -> None:
    text = page(path).text
    for plan in PLANS.values():
        if not plan.is_public:
            assert plan.title not in text.split()
            continue
        told = [plan.messages, plan.instances, plan.channels, plan.calls, plan.waits, plan.live_keys]
        figures = [f"{each:,}" for each in told if each is not None]
        figures += [f"{plan.data_megabytes} MB", f"{plan.retention_days} days"]
        figures += [f"${plan.price_month // 100}", f"${plan.price_year // 100}" if plan.price_year else plan.title]
        for figure in figures:
            assert figure in text, (plan.name, figure)


def test_every_figure_a_plan_has_stands_in_the_list_of_figures() -> None:
    shown = {each.title for each in facts.figures(PLANS["free"])}
    assert len(shown) == len(PLANS["free"].__slots__) - len({"name", "title", "price_month", "price_year", "is_public"})


def test_the_block_for_instructions_and_the_skill_are_the_prompts_text() -> None:
    ((language, block),) = text_of("docs-protocol").code
    assert (language, block) == ("markdown", snippets.instructions())
    assert block.startswith(PROTOCOL)
    assert PROTOCOL in files.skill_text()


def test_every_client_has_its_entry_with_its_snippet() -> None:
    rendered = text_of("docs-connect")
    titles = {each.text for each in rendered.headings}
    for guide in guides.GUIDES.values():
        assert guide.title in titles
        snippet = snippets.render(guide)
        if guide.format == "fields":
            assert all(each.value in rendered.html for each in snippets.entries(snippet)), guide.name
        else:
            assert snippet in [text for _, text in rendered.code], guide.name


# --- what is printed works --------------------------------------------------------------------------------------


def _parses_as_shell(text: str) -> None:
    bash = shutil.which("bash")
    assert bash, "Install bash."
    done = subprocess.run(  # noqa: S603 - our own texts, and -n runs none of them
        [bash, "-n"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


PARSERS: dict[str, Callable[[str], object]] = {
    "sh": _parses_as_shell,
    "json": json.loads,
    "toml": tomllib.loads,
    "python": ast.parse,
}
UNPARSED = markdown.PLAIN | {"ts", "http"}
"""Nothing here parses them."""


@each_text
def test_every_block_of_code_parses(name: str) -> None:
    for language, text in text_of(name).code:
        assert language in PARSERS or language in UNPARSED, language
        if language in PARSERS:
            PARSERS[language](text)


def test_the_readmes_blocks_parse_as_shell_or_are_trees() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        if not block.startswith("crosswire/  "):
            _parses_as_shell(block)


def test_the_example_in_python_runs(lane_url: str) -> None:
    """It is refused, for YOUR_KEY is none; so it reached the server as it should."""
    (code,) = (text for language, text in text_of("docs-connect").code if "urlopen" in text and language == "python")
    with pytest.raises(SystemExit, match="This key is unknown"):
        exec(compile(code.replace(settings.PUBLIC_URL, lane_url), "example", "exec"), {})  # noqa: S102 - our own text


# --- figures that stand in prose --------------------------------------------------------------------------------


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())


CLAIMS: list[tuple[str, str, object]] = [
    ("README.md", r"of them for one key \(`free` (\d+) and", PLANS["free"].calls),
    ("README.md", r"one key \(`free` \d+ and (\d+)\)", PLANS["free"].calls // 2 if PLANS["free"].calls else 0),
    ("README.md", r"wait for more, (\d+) seconds at most", round(clients.REST_SECONDS)),
    ("README.md", r"\| built-in table; others (\d+) \|", round(clients.DEFAULT_SECONDS)),
    ("docs/operations.md", r"may wait (\d+) seconds in one call", round(clients.STDIO_SECONDS)),
    ("docs/operations.md", r"seconds in one call \((\d+) as Codex", dict(clients.CEILINGS)["codex"]),
    ("docs/operations.md", r"`wait=` of REST lasts (\d+) seconds at most", round(clients.REST_SECONDS)),
    ("docs/operations.md", r"as long as the client stands it \(most (\d+),", round(clients.DEFAULT_SECONDS)),
    ("docs/operations.md", r"Claude\s+Code (\d+)\): a larger number", dict(clients.CEILINGS)["claude-code"]),
    ("docs/operations.md", r"seen within (\d+) seconds or has", _seconds(presence.ONLINE)),
    ("docs/operations.md", r"Each list has (\d+) entries at most", receipts.LISTED_MOST),
    ("docs/operations.md", r"\(600; at most ([\d,]+)\)", 86_400),
    ("docs/operations.md", r"A task lives (\d+) hours", _seconds(tasks.LIFE) // 3_600),
    ("docs/operations.md", r"`timeout_seconds` of (\d+) or less", round(tasks.SHORT_SECONDS)),
    ("docs/operations.md", r"a comment every (\d+) seconds", round(listening.QUIET_SECONDS)),
    ("docs/operations.md", r"open as waits \((\d+);", PLANS["pro"].waits),
    ("docs/operations.md", r"an instance has at most (\d+)\.", subscriptions.MOST),
    ("docs/operations.md", r"each for more than (\d+) seconds", _seconds(mutual.GRACE)),
    ("docs/operations.md", r"is told so, within (\d+) seconds", round(mutual.LOOK_SECONDS)),
    ("docs/operations.md", r"names the others \((\d+) at most\)", releases.NAMED_MOST),
    ("docs/operations.md", r"in the newest ([\d,]+) messages \(of the channel", search.SEARCHED_MOST),
    ("docs/operations.md", r"its first ([\d,]+) characters count", search.RANKED_BY),
    ("docs/errors.md", r"another message within (\d+) hours", 24),
    ("CHANGELOG.md", r"is waited for (\d+) seconds in all", round(PATIENCE_SECONDS)),
]
"""Where prose for readers of the repository names a figure, and the figure in the code. (Pages get theirs from it.)"""


@pytest.mark.parametrize(("file", "where", "figure"), CLAIMS)
def test_a_figure_in_prose_is_the_codes(file: str, where: str, figure: float) -> None:
    found = re.findall(where, (ROOT / file).read_text(encoding="utf-8"))
    assert [int(each.replace(",", "")) for each in found] == [figure]


def test_bounds_told_on_the_pages_are_the_codes() -> None:
    told = facts.limits()
    assert told["rest_seconds"] == f"{clients.REST_SECONDS:g}"
    assert told["strangers_calls"] == str(rates.STRANGERS_CALLS)
    assert told["protocol_calls"] == f"{rates.PROTOCOL_CALLS:,}"
    assert told["message_characters"] == "64,000"
    assert told["claimable"] == ["request", "handoff"] == [each.value for each in claims.CLAIMABLE]
    assert int(told["waits"]) == waits.WAITED_LIMIT == PLANS["free"].waits
    assert instances.LISTED_MOST == 500


_UNITS = r"seconds?|minutes?|hours?|days?|bytes|characters|MB|messages|calls|instances|channels|keys|times"
ALLOWED = {
    "10 seconds": "how often a process looks for what a lost wake-up hid: bus/waiting.py",
    "15 seconds": "how often a comment keeps a stream open; a proxy's patience has to be longer",
    "30 days": "how long a longer retention goes on after a smaller plan, and notice in the terms",
    "14 days": "notice in the terms",
}
"""Figures that stand in the pages' own texts, and what they are about. All others come from the code."""


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "templates" / "docs").glob("*.md")))
def test_texts_of_pages_name_no_figures_of_their_own(name: str) -> None:
    source = (ROOT / "templates" / "docs" / name).read_text(encoding="utf-8")
    found = {" ".join(each) for each in re.findall(rf"(?<![\d.}}-])(\d[\d,]*) ({_UNITS})\b", source)}
    assert found <= set(ALLOWED)
