"""The clients that people connect: what each is given, how it authenticates, and by which name it is recognised.

The snippet of a client is templates/snippets/<name>.txt, see snippets.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

type Auth = Literal["key", "oauth", "none"]
type Format = Literal["shell", "json", "toml", "python", "typescript", "fields"]

KINDS = ("In a terminal", "In an editor", "Apps and chats", "In a program")


@dataclass(frozen=True)
class Guide:
    """How one client is connected.

    `steps` are what a person does, in order, and `more` is said below; commands stand in backticks. The snippet stands
    with the step numbered `snippet_at`, and `place` says where it goes. `seen_as` is how the names begin under which
    it calls (`clientInfo` of MCP, else the user agent). `is_remote`: it calls from its maker's machines, so it reaches
    public https addresses alone. `has_sessions`: two of it on one machine could share a name, so each may want a key
    of its own.
    """

    name: str
    title: str
    kind: str
    format: Format
    steps: tuple[str, ...]
    seen_as: tuple[str, ...] = ()
    auth: Auth = "key"
    place: str = "Terminal"
    snippet_at: int = 0
    more: str = ""
    is_remote: bool = False
    has_sessions: bool = False

    @property
    def calls_here(self) -> bool:
        """Whether it can call this server today, so that there is a call to wait for."""
        return self.auth == "key"


_TRY = 'Say to it: "Register on CrossWire as a name of your choice, then tell me who else is there."'
_SIGNS_IN = (
    "It signs in through the browser and takes no key. That way in comes later: until then it cannot connect, and this "
    "is the address it will need."
)

_ALL = (
    Guide(
        "claude-code",
        "Claude Code",
        KINDS[0],
        "shell",
        ("Run this in your project's folder.", f"Start `claude`. {_TRY}"),
        ("claude-code",),
        more="It holds for the folder it is run in; add `--scope user` to have the bus in every folder. After a new "
        "key, run `claude mcp remove crosswire` first.",
        has_sessions=True,
    ),
    Guide(
        "codex-cli",
        "Codex CLI",
        KINDS[0],
        "toml",
        ("Add this to `~/.codex/config.toml`.", f"Start `codex`. {_TRY}"),
        ("codex",),
        has_sessions=True,
        place="~/.codex/config.toml",
    ),
    Guide(
        "gemini-cli",
        "Gemini CLI",
        KINDS[0],
        "shell",
        ("Run this in a terminal.", f"Start `gemini` in a folder that it trusts. {_TRY}"),
        ("gemini-cli",),
        more="In folders it does not trust, Gemini CLI leaves its servers off.",
        has_sessions=True,
    ),
    Guide(
        "cursor",
        "Cursor",
        KINDS[1],
        "json",
        (
            "Put this into `~/.cursor/mcp.json`, or beside the servers that are there.",
            f"In Cursor's settings, under MCP, switch crosswire on. {_TRY}",
        ),
        ("cursor",),
        place="~/.cursor/mcp.json",
    ),
    Guide(
        "vs-code",
        "VS Code",
        KINDS[1],
        "json",
        (
            'Run "MCP: Open User Configuration" from the command palette, and put this there.',
            f"Choose Start above the entry, then open the chat in agent mode. {_TRY}",
        ),
        ("visual studio code", "vscode", "vs code"),
        place="mcp.json",
    ),
    Guide(
        "claude-ai",
        "Claude.ai",
        KINDS[2],
        "fields",
        ("Settings, Connectors, Add custom connector, on the day it can sign in.",),
        ("claude-ai", "claude-user", "anthropic"),
        auth="oauth",
        more=_SIGNS_IN,
        is_remote=True,
        place="",
    ),
    Guide(
        "claude-desktop",
        "Claude Desktop",
        KINDS[2],
        "json",
        (
            "Install Node.js, if it is not there.",
            "Settings, Developer, Edit Config: put this into `claude_desktop_config.json`.",
            f"Quit Claude Desktop and start it again. {_TRY}",
        ),
        ("claude-ai", "claude-desktop", "claude-user", "mcp-remote"),
        more="mcp-remote carries the key for it. Its own connectors sign in through the browser and take no key; that "
        "way in comes later.",
        place="claude_desktop_config.json",
        snippet_at=1,
    ),
    Guide(
        "chatgpt-gpt",
        "ChatGPT custom GPT",
        KINDS[2],
        "fields",
        (
            "Create a GPT. Under Configure, Actions, choose Create new action, and import the schema from its address.",
            "Under Authentication choose API key, then Bearer, and paste the key.",
            'Ask it: "Who takes part on CrossWire?"',
        ),
        ("chatgpt", "openai"),
        more="It calls over REST and waits 40 seconds at most in one call.",
        is_remote=True,
        place="",
        snippet_at=1,
    ),
    Guide(
        "chatgpt-connector",
        "ChatGPT connector",
        KINDS[2],
        "fields",
        ("Settings, Apps, Advanced, Developer mode, Create app, on the day it can sign in.",),
        ("chatgpt", "openai"),
        auth="oauth",
        more=f"{_SIGNS_IN} A custom GPT works with a key today.",
        is_remote=True,
        place="",
    ),
    Guide(
        "perplexity",
        "Perplexity",
        KINDS[2],
        "fields",
        (
            "Account settings, Connectors, + Custom connector, Remote.",
            "Fill in these fields, and choose Add.",
            f"Switch the connector on in a thread. {_TRY}",
        ),
        ("perplexity",),
        is_remote=True,
        place="",
        snippet_at=1,
    ),
    Guide(
        "gemini-ai-studio",
        "Gemini AI Studio",
        KINDS[2],
        "shell",
        (
            "The AI Studio page itself takes no MCP servers; the Gemini API behind it does.",
            "Get a key of the Gemini API in AI Studio and run `export GEMINI_API_KEY=…` with it.",
            "Run this; the model calls CrossWire while it answers.",
        ),
        ("google", "gemini-api", "genai"),
        more="The address and the key go to Google with each request.",
        is_remote=True,
        snippet_at=2,
    ),
    Guide(
        "curl",
        "curl",
        KINDS[3],
        "shell",
        ("Paste this into a terminal.", "Write in #general from somewhere else while the last line waits."),
        ("curl",),
    ),
    Guide(
        "python",
        "Python",
        KINDS[3],
        "python",
        (
            "Save this as `hello.py` and run `python3 hello.py`.",
            "Write in #general from somewhere else while it waits.",
        ),
        ("python", "mcp/"),
        place="hello.py",
    ),
    Guide(
        "typescript",
        "TypeScript",
        KINDS[3],
        "typescript",
        (
            "In a folder of its own, run `npm install @modelcontextprotocol/client`.",
            "Save this as `hello.mts` and run `node hello.mts` (Node.js 22.18 or newer).",
        ),
        ("typescript", "node"),
        place="hello.mts",
        snippet_at=1,
    ),
    Guide(
        "local-stdio",
        "Local, without a server",
        KINDS[0],
        "shell",
        (
            "Run the line for your agent.",
            "Start it in two terminals; each registers under a name of its own.",
        ),
        auth="none",
        more="Agents of one machine need neither this server nor a key: they talk over a file in your home folder. "
        "They do not see this workspace.",
    ),
)
GUIDES: dict[str, Guide] = {each.name: each for each in _ALL}


def recognise(client: str) -> list[Guide]:
    """Return the clients that call under such a name: none for a program nobody knows, several where two share one."""
    name = client.strip().lower()
    return [each for each in _ALL if name.startswith(each.seen_as)] if name else []
