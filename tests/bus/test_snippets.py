"""The snippets: every one in its format, whatever people name things."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import snippets
from bus.guides import GUIDES, KINDS, Guide, recognise
from bus.snippets import Session
from bus.teaching import PROTOCOL
from bus.templatetags import snippets as filters
from tests.support.homes import ROOT

KEY = "cw_" + "a2" * 16
URL = "https://bus.example.com"
HOSTILE = [
    "api-expert",
    "it's",
    'a "b" c',
    "back\\slash\\",
    "$(touch /tmp/x)`id`$HOME",
    "a'; rm -rf /; echo '",
    "''''\"\"\"",
    "</script><b>&amp;",
    "{{ key }}{% now %}",
    "日本 🦀 \x7f é",
    "-rf",
    "# not a comment",
    "${KEY}",
    "%s %d",
]
SHELL = [each for each in GUIDES.values() if each.format == "shell"]
JSON = [each for each in GUIDES.values() if each.format == "json"]
FIELDS = [each for each in GUIDES.values() if each.format == "fields"]
SESSIONS = [each for each in GUIDES.values() if each.has_sessions]
hostile = pytest.mark.parametrize("name", HOSTILE)


def by(guides: list[Guide]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("guide", guides, ids=lambda each: each.name)


def bash(script: str) -> None:
    shell = shutil.which("bash")
    assert shell, "Install bash."
    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)  # noqa: S603 - it reads and runs nothing
    assert done.returncode == 0, done.stderr


def words(script: str) -> list[str]:
    return shlex.split(script, comments=True)


def commands(script: str) -> list[list[str]]:
    lines = "\n".join(line for line in script.splitlines() if not line.startswith("#"))  # a comment ends with its line
    return [words(line) for line in lines.replace("\\\n", " ").splitlines() if words(line)]


@by(list(GUIDES.values()))
def test_each_client_has_its_file_which_has_the_address_and_the_key_in_it(guide: Guide) -> None:
    text = snippets.render(guide, KEY, url=URL)
    assert text.strip()
    assert "{{" not in text
    assert "{%" not in text
    assert (URL in text) is (guide.auth != "none")
    assert (KEY in text) is (guide.auth == "key")
    assert KEY not in snippets.render(guide, url=URL)
    assert (snippets.NO_KEY in snippets.render(guide)) is (guide.auth == "key")


def test_every_file_belongs_to_a_client() -> None:
    folder = ROOT / "templates" / snippets.FOLDER
    assert {path.stem for path in folder.glob("*.txt")} == {*GUIDES, "instructions"}
    assert {path.stem for path in (folder / "sessions").glob("*.txt")} == {each.name for each in SESSIONS}


def test_each_client_is_of_a_kind_and_its_snippet_stands_with_a_step() -> None:
    for guide in GUIDES.values():
        assert guide.kind in KINDS
        assert 0 <= guide.snippet_at < len(guide.steps)
        assert guide.calls_here is bool(guide.seen_as) or guide.auth == "oauth"
        assert all(each == each.lower() for each in guide.seen_as)
        assert all(text.count("`") % 2 == 0 for text in (*guide.steps, guide.more))


# --- formats ----------------------------------------------------------------------------------------------------


@hostile
@by(SHELL)
def test_a_shell_reads_what_is_for_it(guide: Guide, name: str) -> None:
    bash(snippets.render(guide, KEY, name, URL))


@by(JSON)
def test_json_is_json(guide: Guide) -> None:
    told = json.loads(snippets.render(guide, KEY, url=URL))
    (server,) = (told.get("mcpServers") or told["servers"]).values()
    if "command" in server:
        assert server["args"][1:3] == ["mcp-remote", f"{URL}/mcp"]
        assert server["env"] == {"CROSSWIRE_BEARER": f"Bearer {KEY}"}
        assert server["args"][-1] == "Authorization:${CROSSWIRE_BEARER}"
    else:
        assert server["url"] == f"{URL}/mcp"
        assert server["headers"] == {"Authorization": f"Bearer {KEY}"}


def test_toml_is_toml() -> None:
    told = tomllib.loads(snippets.render(GUIDES["codex-cli"], KEY, url=URL))["mcp_servers"]["crosswire"]
    assert told["url"] == f"{URL}/mcp"
    assert told["http_headers"] == {"Authorization": f"Bearer {KEY}"}


@by(FIELDS)
def test_fields_have_labels_and_values(guide: Guide) -> None:
    entries = snippets.entries(snippets.render(guide, KEY, url=URL))
    assert len(entries) >= 2
    assert all(each.label and each.value for each in entries)
    addresses = [urlsplit(each.value) for each in entries if "://" in each.value]
    assert [each.netloc for each in addresses] == ["bus.example.com"]


@hostile
def test_curl_sends_the_names_as_they_are(name: str) -> None:
    first, second, third = commands(snippets.render(GUIDES["curl"], KEY, name, URL))
    for command in (first, second, third):
        assert command[0] == "curl"
        assert f"Authorization: Bearer {KEY}" in command
    assert json.loads(first[first.index("-d") + 1])["instance_id"] == name
    assert json.loads(second[second.index("-d") + 1])["sender"] == name
    assert f"instance_id={name}" in third


@hostile
def test_python_has_the_names_as_they_are(name: str) -> None:
    tree = ast.parse(snippets.render(GUIDES["python"], KEY, name, URL))
    told = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }
    assert told == {"API": f"{URL}/api", "KEY": KEY, "ME": name}


@hostile
def test_typescript_has_the_names_as_they_are(name: str) -> None:
    found = re.search(r"^const me = (.*);$", snippets.render(GUIDES["typescript"], KEY, name, URL), re.MULTILINE)
    assert found
    assert json.loads(found[1]) == name


def test_gemini_is_sent_json() -> None:
    (command,) = commands(
        snippets.render(GUIDES["gemini-ai-studio"], KEY, "x", URL).replace("\n", " ").replace("\\ ", "")
    )
    (tool,) = json.loads(command[-1])["tools"]
    assert tool["url"] == f"{URL}/mcp"
    assert tool["headers"] == {"Authorization": f"Bearer {KEY}"}


@by([each for each in SHELL if each.name in ("claude-code", "gemini-cli")])
def test_an_agents_command_line_has_the_address_and_the_header_as_one_word_each(guide: Guide) -> None:
    (command,) = commands(snippets.render(guide, KEY, url="https://bus.example.com/a b?c&d"))
    assert "https://bus.example.com/a b?c&d/mcp" in command
    assert command[command.index("--header") + 1] == f"Authorization: Bearer {KEY}"


# --- several sessions -------------------------------------------------------------------------------------------


@hostile
@by(SESSIONS)
def test_each_session_begins_with_its_own_key(guide: Guide, name: str) -> None:
    text = snippets.render_sessions(guide, [Session(name, KEY), Session("app-builder", f"{KEY}b")], URL)
    bash(text)
    setup, *begun = commands(text)
    assert setup[1:3] == ["mcp", "add"]
    assert f"{URL}/mcp" in setup
    assert KEY not in " ".join(setup)
    assert "CROSSWIRE_KEY" in " ".join(setup)
    assert begun == [[f"CROSSWIRE_KEY={key}", setup[0]] for key in (KEY, f"{KEY}b")]


# --- instructions -----------------------------------------------------------------------------------------------


@hostile
def test_the_instructions_are_the_protocol_with_a_name(name: str) -> None:
    text = snippets.instructions(name)
    assert text.startswith(PROTOCOL.strip())
    assert name in text
    for call in ("register", "inbox", "wait_for_reply", "unregister"):
        assert f"`{call}`" in text


# --- quoting, for anything at all -------------------------------------------------------------------------------

ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(ANYTHING)
def test_what_is_quoted_is_read_back_by_json_python_and_toml(text: str) -> None:
    literal = filters.quoted(text)
    assert json.loads(literal) == ast.literal_eval(literal) == tomllib.loads(f"x = {literal}")["x"] == text


@given(ANYTHING)
def test_what_is_for_a_shell_is_read_back_by_it(text: str) -> None:
    assert shlex.split(f"echo {filters.shell(text)}") == ["echo", text]
    assert shlex.split(f"echo 'a{filters.in_shell(text)}b'") == ["echo", f"a{text}b"]


@given(ANYTHING)
def test_a_line_of_text_becomes_html_that_says_the_same(text: str) -> None:
    shown = filters.ticked(text)
    assert "<" not in shown.replace("<code>", "").replace("</code>", "")


# --- recognising ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "names"),
    [
        ("claude-code/2.1.330", {"claude-code"}),
        ("codex-mcp-client/0.169.0", {"codex-cli"}),
        ("gemini-cli-mcp-client/0.61.0", {"gemini-cli"}),
        ("claude-ai/0.1.0", {"claude-ai", "claude-desktop"}),
        ("Visual Studio Code/1.112.0", {"vs-code"}),
        ("cursor-vscode/1.0.0", {"cursor"}),
        ("Cursor/2.1", {"cursor"}),
        ("openai-mcp/1.0.0", {"chatgpt-gpt", "chatgpt-connector"}),
        ("curl/8.14.1", {"curl"}),
        ("Python-urllib/3.13", {"python"}),
        ("mcp/0.1.0", {"python"}),
        ("typescript/1.0.0", {"typescript"}),
        ("my-agent/1", set()),
        ("", set()),
    ],
)
def test_clients_are_recognised_by_how_their_names_begin(client: str, names: set[str]) -> None:
    assert {each.name for each in recognise(client)} == names


def test_the_public_address_stands_in_a_snippet_unless_told(settings: Any) -> None:
    settings.PUBLIC_URL = "https://public.example.com"
    assert "https://public.example.com/mcp" in snippets.render(GUIDES["cursor"])


def test_files_are_text_without_odd_characters() -> None:
    for path in Path(ROOT / "templates" / snippets.FOLDER).rglob("*.txt"):
        assert path.read_text(encoding="utf-8").isascii(), path
