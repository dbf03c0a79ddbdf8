"""Settings from the environment: typed, `NAME_FILE` for secrets, a generated secret kept in `var/` on defaults."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

read = environ.Env()


def secret(name: str, default: str = "") -> str:
    """Return a secret from `NAME` or from the file that `NAME_FILE` names.

    Raises: ImproperlyConfigured when the file cannot be read.
    """
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return text(name, default)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {problem.strerror}") from problem


def text(name: str, default: str = "") -> str:
    """Return a setting's text; an empty one is as good as none."""
    return os.environ.get(name) or default


def number(name: str, default: int, *, least: int = 1) -> int:
    """Return a whole number. Raises: ImproperlyConfigured for anything else, or one that is too small."""
    value = text(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(f"{name}={value!r} is no whole number from {least} up")
    return int(value)


def switch(name: str, *, default: bool) -> bool:
    """Return a yes or no. Raises: ImproperlyConfigured for anything that is neither."""
    value = text(name, str(default)).lower()
    if value not in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        raise ImproperlyConfigured(f"{name}={value!r} must be true or false")
    return value in ("true", "yes", "on", "1")


def one_of(name: str, *choices: str) -> str:
    """Return one of some words, in capitals; the first unless another is set. Raises: ImproperlyConfigured."""
    value = text(name, choices[0]).upper()
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r} must be one of {', '.join(choices)}")
    return value


def json_object(name: str) -> dict[str, Any]:
    """Return a JSON object, which may be secret; {} when there is none. Raises: ImproperlyConfigured."""
    try:
        value = json.loads(secret(name) or "{}")
    except ValueError:
        value = None  # what stands there is not repeated: it may hold a password
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"api_key": "…"}}')
    return value


def public_url(name: str, default: str) -> str:
    """Return an `http(s)://host[:port]` address in lower case, without a trailing slash.

    Raises: ImproperlyConfigured when it is anything else.
    """
    value = text(name, default).rstrip("/").lower()
    parts = urlsplit(value)
    is_bare = value == f"{parts.scheme}://{parts.netloc}" and "@" not in value
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_bare:
        raise ImproperlyConfigured(f"{name}={value!r} must look like https://bus.example.com, without a path")
    return value


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return addresses or networks (`10.0.0.0/8`), comma-separated. Raises: ImproperlyConfigured for anything else."""
    try:
        return [ipaddress.ip_network(each.strip()) for each in text(name).split(",") if each.strip()]
    except ValueError as problem:
        raise ImproperlyConfigured(f"{name}={text(name)!r} must be addresses or networks: {problem}") from problem


def ceilings(name: str, *, most: float = 3_600) -> tuple[tuple[str, float], ...]:
    """Return names in lower case and seconds, from `name=seconds,other=seconds`. Raises: ImproperlyConfigured."""
    found = []
    for each in filter(None, (part.strip() for part in text(name).split(","))):
        start, _, seconds = each.partition("=")
        if not start.strip() or not seconds.strip().isdecimal() or not 1 <= int(seconds) <= most:
            raise ImproperlyConfigured(
                f"{name}: {each!r} must be a name, = and 1 to {most:g} seconds, such as codex=100"
            )
        found.append((start.strip().lower(), float(seconds)))
    return tuple(found)


def port(name: str, default: int) -> int:
    """Return a TCP port. Raises: ImproperlyConfigured for anything that is none."""
    value = text(name, str(default))
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ImproperlyConfigured(f"{name}={value!r} is no port number")
    return int(value)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def private_folder(path: Path) -> Path:
    """Make a folder only its owner can enter and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """Make a file that only its owner can read, in a folder only its owner can enter, and return it."""
    private_folder(path.parent).chmod(0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    private_folder(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    draft.replace(path)


def generated_secret(path: Path) -> str:
    """Return the secret kept in a file, made on first use."""
    try:
        kept = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        kept = ""
    if not kept:
        kept = secrets.token_urlsafe(48)
        write_private(path, kept)
    return kept
