"""What the product mailed in this process: `code_for(address)` is the code in the newest mail to somebody."""

from __future__ import annotations

import re

from django.core import mail
from django.core.mail import EmailMessage

_CODE = re.compile(r"^ {4}([A-Z]{4}-[A-Z]{4})$", re.MULTILINE)


def mails_to(address: str) -> list[EmailMessage]:
    """Return what was mailed to an address in this test, oldest first."""
    return [each for each in mail.outbox if address in each.to]


def code_in(text: str) -> str:
    """Return the code that stands in a mail."""
    found = _CODE.search(text)
    assert found, f"no code in: {text}"
    return found[1]


def code_for(address: str) -> str:
    """Return the newest code that an address was mailed."""
    return code_in(str(mails_to(address)[-1].body))
