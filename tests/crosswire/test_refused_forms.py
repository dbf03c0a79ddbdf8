"""A form that is refused before Django sees it: browsers get a page, programs JSON."""

from __future__ import annotations

import pytest

from tests.support import loopback
from tests.support.cast import Caller
from tests.support.pages import text_of
from tests.support.people import owner_of

LARGE = {"content": "x" * 1_200_000}


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "application/json", "*/*"])
def test_a_form_that_is_too_large_is_refused_as_its_sender_reads(lane_url: str, alice: Caller, accept: str) -> None:
    ada = owner_of(alice)
    page = f"{lane_url}{ada.home}channels/general"
    answer = loopback.post(page, data=LARGE, headers={"Accept": accept, "Referer": page}, timeout=60)
    assert answer.status_code == 413
    if accept.startswith("text/html"):
        assert answer.headers["content-type"].startswith("text/html")
        assert "That was not done" in text_of(answer.text)
        assert f'href="{page}"' in answer.text
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    else:
        assert answer.json()["code"] == "too_large"
