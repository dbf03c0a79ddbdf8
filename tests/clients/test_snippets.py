"""What the page Connect gives people is run as it stands, or its address and header are, against a real server."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mcp
import pytest
from mcp.client.stdio import StdioServerParameters

from bus import snippets
from bus.guides import GUIDES
from tests.clients.packages import NODE, Packages, environment
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.homes import ROOT
from tests.support.processes import finish, wait_until
from tests.support.surfaces import Surface, SurfaceName

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
RUN_SECONDS = 60.0
NAMES = ["ann", 'it\'s "ann" \\ $(id) `id`', "日本 🦀"]
names = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def lane(surface: Callable[[SurfaceName], Surface]) -> Surface:
    """REST, for whoever answers."""
    return surface("lane")


def run(program: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in its folder; it has to succeed."""
    done = finish(program, RUN_SECONDS, env=environment(NO_PROXY="127.0.0.1", HOME=str(folder)), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def answered(lane: Surface, alice: Caller, name: str, program: Sequence[str], folder: Path) -> str:
    """Run a program that waits in #general as `name`, answer it there, and return what it printed."""

    def is_waiting() -> bool:
        found = lane.ok(alice, "list_instances")["instances"]
        return any(each["instance_id"] == name and each["waiting_on"] for each in found)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, program, folder)
        wait_until(lambda: running.done() or is_waiting(), RUN_SECONDS, lambda: "It does not wait.")
        if not running.done():
            lane.ok(alice, "send_message", sender="bo", content="Hello to you")
        return running.result(RUN_SECONDS).stdout


@names
def test_the_python_snippet_says_hello_and_prints_the_answer(
    lane: Surface, lane_url: str, alice: Caller, tmp_path: Path, name: str
) -> None:
    lane.ok(alice, "send_message", sender="bo", content="long ago")
    (tmp_path / "hello.py").write_text(snippets.render(GUIDES["python"], alice.key, name, lane_url), encoding="utf-8")
    said = answered(lane, alice, name, [sys.executable, "-W", "error", "hello.py"], tmp_path)
    assert "bo: Hello to you" in said
    assert "long ago" not in said
    sent = lane.ok(alice, "check_messages")["messages"][1]
    assert (sent["sender"], sent["content"]) == (name, "Hello from Python")


@names
def test_the_curl_snippet_says_hello_and_prints_the_answer(
    lane: Surface, lane_url: str, alice: Caller, tmp_path: Path, name: str
) -> None:
    for program in ("bash", "curl"):
        assert shutil.which(program), f"Install {program}."
    lane.ok(alice, "send_message", sender="bo", content="long ago")
    (tmp_path / "hello.sh").write_text(snippets.render(GUIDES["curl"], alice.key, name, lane_url), encoding="utf-8")
    said = answered(lane, alice, name, ["bash", "hello.sh"], tmp_path)
    assert '"Hello to you"' in said
    assert '"long ago"' not in said
    sent = lane.ok(alice, "check_messages")["messages"][1]
    assert (sent["sender"], sent["content"]) == (name, "Hello from curl")


@names
def test_the_typescript_snippet_says_hello(
    lane: Surface, lane_url: str, alice: Caller, tmp_path: Path, packages: Packages, name: str
) -> None:
    (tmp_path / "node_modules").symlink_to(packages.folder / "node_modules")
    (tmp_path / "hello.mts").write_text(
        snippets.render(GUIDES["typescript"], alice.key, name, lane_url), encoding="utf-8"
    )
    assert "Message #1 sent to #general" in run([str(NODE), "--no-warnings", "hello.mts"], tmp_path).stdout
    (sent,) = lane.ok(alice, "check_messages")["messages"]
    assert (sent["sender"], sent["content"]) == (name, "Hello from TypeScript")


async def test_claude_desktops_configuration_starts_a_bridge_that_connects(
    lane_url: str, alice: Caller, tmp_path: Path, packages: Packages
) -> None:
    told = json.loads(snippets.render(GUIDES["claude-desktop"], alice.key, url=lane_url))["mcpServers"]["crosswire"]
    assert told["args"][:2] == ["-y", "mcp-remote"]
    command, *before = packages.program("mcp-remote")
    env = environment(NO_PROXY="127.0.0.1", HOME=str(tmp_path)) | told["env"]
    async with mcp.Client(StdioServerParameters(command=command, args=[*before, *told["args"][2:]], env=env)) as client:
        answer = await client.call_tool("whoami", {})
        assert not answer.is_error
        assert answer.structured_content is not None
        assert answer.structured_content["workspace"] == alice.workspace.name


# --- what only its own client can run ---------------------------------------------------------------------------


def _from_command(text: str) -> tuple[str, str]:
    words = shlex.split(text)
    (url,) = [each for each in words if each.startswith("http://")]
    return url, words[words.index("--header") + 1].removeprefix("Authorization: ")


def _from_toml(text: str) -> tuple[str, str]:
    server = tomllib.loads(text)["mcp_servers"]["crosswire"]
    return server["url"], server["http_headers"]["Authorization"]


def _from_json(text: str) -> tuple[str, str]:
    told = json.loads(text)
    server = (told.get("mcpServers") or told["servers"])["crosswire"]
    return server["url"], server["headers"]["Authorization"]


def _from_fields(text: str) -> tuple[str, str]:
    told = {each.label: each.value for each in snippets.entries(text)}
    return told["MCP server URL"], f"Bearer {told['API key']}"


READ = {
    "claude-code": _from_command,
    "gemini-cli": _from_command,
    "codex-cli": _from_toml,
    "cursor": _from_json,
    "vs-code": _from_json,
    "perplexity": _from_fields,
}


@pytest.mark.parametrize("client", READ)
def test_the_server_answers_at_the_address_and_to_the_header_of_a_snippet(
    lane_url: str, alice: Caller, client: str
) -> None:
    url, authorization = READ[client](snippets.render(GUIDES[client], alice.key, url=lane_url))
    given = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": client, "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": given}
    headers = {"Authorization": authorization, "Accept": "application/json, text/event-stream"}
    answer = loopback.post(url, json=body, headers=headers)
    assert answer.status_code == 200
    assert '"serverInfo"' in answer.text


def test_a_custom_gpt_finds_the_schema_and_its_key_works(lane_url: str, alice: Caller) -> None:
    told = snippets.entries(snippets.render(GUIDES["chatgpt-gpt"], alice.key, url=lane_url))
    schema, _, key = (each.value for each in told)
    assert loopback.get(schema).json()["openapi"].startswith("3.1")
    assert loopback.get(f"{lane_url}/api/whoami", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_claude_code_takes_its_line_where_it_is_installed(lane_url: str, alice: Caller, tmp_path: Path) -> None:
    program = ROOT / "tests" / "agents" / "node_modules" / ".bin" / "claude"  # `make agents` puts it there
    line = snippets.render(GUIDES["claude-code"], alice.key, url=lane_url).strip()
    words = shlex.split(line)
    assert words[:4] == ["claude", "mcp", "add", "--transport"]
    if program.exists():
        run([str(program), *words[1:]], tmp_path)
        assert "Connected" in run([str(program), "mcp", "list"], tmp_path).stdout


def test_local_mode_is_started_by_a_program_that_is_there() -> None:
    lines = snippets.render(GUIDES["local-stdio"]).replace("$PWD", str(ROOT)).splitlines()
    for line in lines[1:]:
        *_, program, argument = shlex.split(line)
        assert Path(program).is_file()
        assert argument == "stdio"


def test_every_client_that_takes_a_key_is_tried_here_or_needs_an_account() -> None:
    tried = {"python", "curl", "typescript", "claude-desktop", "chatgpt-gpt", *READ}
    assert {each.name for each in GUIDES.values() if each.auth == "key"} - tried == {"gemini-ai-studio"}
