"""The real agents, as their users start them: each in a home of its own, its model a stub, nothing beyond loopback."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from tests.agents.stub_model import SERVER, StubModel
from tests.agents.terminal import Terminal
from tests.clients.packages import NODE, Packages
from tests.support.processes import finish

RUN_SECONDS = 120.0
KEY_VARIABLE = "CROSSWIRE_KEY"
PROMPT = "Join the bus, say hello, read what is there and wait for an answer."
_NO_KEY = "none-is-needed-for-a-stub"
_NOWHERE = "http://127.0.0.1:9"
"""Stands for every address outside: who tries one is refused at once, rather than let out."""


@dataclass
class Agent(ABC):
    """An agent with its home and the key of its workspace."""

    packages: Packages
    home: Path
    url: str
    key: str

    name = ""
    connected = ""
    """What its `mcp list` shows of a server that it uses."""

    def run(self, *arguments: str, **variables: str) -> str:
        """Run its program in its home; return what it printed. Raises: RuntimeError when it fails."""
        done = self._finish(arguments, variables)
        printed = "\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
        if done.returncode != 0:
            raise RuntimeError(f"{self.name} {arguments[0]} failed with {done.returncode}:\n{printed[-3000:]}")
        return printed.replace(self.key, "KEY")

    def _finish(self, arguments: tuple[str, ...], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        work = self.home / "work"
        work.mkdir(parents=True, exist_ok=True)
        return finish([self._program, *arguments], RUN_SECONDS, env=self._environment(variables), cwd=work)

    @property
    def _program(self) -> str:
        return str(self.packages.folder / "node_modules" / ".bin" / self.name)

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        proxies = {"HTTPS_PROXY": _NOWHERE, "HTTP_PROXY": _NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
        return {  # made from nothing: a developer's own keys and settings are none of its business
            "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            KEY_VARIABLE: self.key,
            **proxies,
            **{name.lower(): value for name, value in proxies.items()},
            **variables,
        }

    def version(self) -> str:
        """Return its version."""
        return self.run("--version").splitlines()[0]

    @abstractmethod
    def add_server(self) -> list[str]:
        """Return the arguments that make CrossWire known to it, as the README has them."""

    def list_servers(self) -> str:
        """Return what it says of its servers."""
        return self.run("mcp", "list")


class Talking(Agent):
    """An agent whose model can be replaced."""

    @abstractmethod
    def work(self, model: StubModel) -> str:
        """Have it work with the model until that has nothing more to ask; return what it printed."""


class ClaudeCode(Talking):
    """Claude Code, on the Messages API."""

    name = "claude"
    connected = "Connected"

    def add_server(self) -> list[str]:
        """Return the arguments that make CrossWire known to it."""
        header = ("--header", f"Authorization: Bearer {self.key}")
        return ["mcp", "add", "--transport", "http", SERVER, self.url, *header]

    def work(self, model: StubModel) -> str:
        """Have it work in its non-interactive mode."""
        return self.run("-p", PROMPT, *self._tools, **self._of(model))

    def sit_down(self, model: StubModel) -> Terminal:
        """Return it in a terminal, as a person has it; a home that knows this person already asks nothing first."""
        file = self.home / ".claude.json"
        known = json.loads(file.read_text(encoding="utf-8"))
        known |= {"hasCompletedOnboarding": True, "theme": "dark"}
        known["customApiKeyResponses"] = {"approved": [_NO_KEY[-20:]], "rejected": []}
        folder = known["projects"].setdefault(str(self.home / "work"), {})
        folder |= {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        file.write_text(json.dumps(known), encoding="utf-8")
        return Terminal([self._program, *self._tools], env=self._environment(self._of(model)), cwd=self.home / "work")

    _tools = ("--allowedTools", f"mcp__{SERVER}__*")

    @staticmethod
    def _of(model: StubModel) -> dict[str, str]:
        quiet = ("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC")
        return {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": _NO_KEY,
            "ENABLE_TOOL_SEARCH": "false",
            **dict.fromkeys(quiet, "1"),
        }


class Codex(Talking):
    """Codex, on the Responses API."""

    name = "codex"
    connected = "enabled"  # its list does not try a connection; that it has one is seen by its calls

    def add_server(self) -> list[str]:
        """Return the arguments that make CrossWire known to it."""
        return ["mcp", "add", SERVER, "--url", self.url, "--bearer-token-env-var", KEY_VARIABLE]

    def work(self, model: StubModel) -> str:
        """Have it work in its non-interactive mode."""
        provider = f'{{name = "stub", base_url = "{model.url}/v1", wire_api = "responses"}}'
        settings = ('model_provider="stub"', 'model="stub"', f"model_providers.stub={provider}")
        more = ("analytics.enabled=false", "check_for_update_on_startup=false")
        options = [part for setting in (*settings, *more) for part in ("-c", setting)]
        return self.run("exec", "--skip-git-repo-check", *options, PROMPT)


class Gemini(Agent):
    """Gemini CLI: its model cannot be replaced, so it only connects."""

    name = "gemini"
    connected = "Connected"

    def add_server(self) -> list[str]:
        """Return the arguments that make CrossWire known to it; without `-s user` it has it in this folder alone."""
        header = ("--header", f"Authorization: Bearer {self.key}")
        return ["mcp", "add", "-s", "user", "--transport", "http", SERVER, self.url, *header]

    def list_servers(self) -> str:
        """Return what it says of its servers, in a folder it trusts: in others it disables them."""
        return self.run("mcp", "list", GEMINI_CLI_TRUST_WORKSPACE="true")
