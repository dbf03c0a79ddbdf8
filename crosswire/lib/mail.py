"""Mail where none is sent: printed so that a person finds it, and kept in a folder for a while."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from crosswire.lib import clock, env

KEPT = 50
RULE = "─" * 72


def printed_to() -> str:
    """Return the folder where mail is kept that was printed instead of sent, "" where mail is sent."""
    if settings.MAIL_BACKEND != settings.TERMINAL:
        return ""
    folder = Path(settings.MAIL_FOLDER)
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def is_mailable(address: str) -> bool:
    """Return whether mail can carry an address: the domain's name may be too long once it is written in ASCII."""
    try:
        address.rpartition("@")[2].encode("idna")
    except UnicodeError:
        return False
    return True


class TerminalBackend(BaseEmailBackend):
    """Prints mail to the terminal and keeps the newest in `folder`, one text file each, for its owner's eyes alone."""

    def __init__(self, folder: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.folder = Path(folder) if folder else None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Print and keep each message."""
        for message in email_messages:
            text = f"To: {', '.join(message.recipients())}\nSubject: {message.subject}\n\n{message.body.strip()}\n"
            indented = "".join(f"│ {line}\n" for line in text.splitlines())
            sys.stdout.write(
                f"\n┌{RULE}\n│ This installation sends no mail. It would have sent:\n│\n{indented}└{RULE}\n\n"
            )
            sys.stdout.flush()
            if self.folder is not None:
                self._keep(self.folder, text)
        return len(email_messages)

    def _keep(self, folder: Path, text: str) -> None:
        stamp = clock.now().strftime("%Y%m%d-%H%M%S-%f")
        kept = sorted(folder.glob("*.txt")) if folder.is_dir() else []
        env.write_private(folder / f"{stamp}.txt", text)
        for old in kept[: max(0, len(kept) + 1 - KEPT)]:
            old.unlink(missing_ok=True)
