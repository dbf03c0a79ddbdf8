"""Whose address a request has, with and without proxies that are believed."""

from __future__ import annotations

import ipaddress

import pytest
from django.conf import settings

from crosswire.lib import http


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "found"),
    [
        ("", "198.51.100.1", "", "198.51.100.1"),
        ("", "198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.0/8", "198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", "192.0.2.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.0/8", None, "203.0.113.9", "203.0.113.9"),
        ("", None, "203.0.113.9", "unknown"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", "[2001:db8::9]:4711", "2001:db8::/64"),
        ("", "2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
    ],
)
def test_the_address_is_the_nearest_one_that_no_trusted_proxy_wrote(
    monkeypatch: pytest.MonkeyPatch, trusted: str, peer: str | None, forwarded: str, found: str
) -> None:
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", [ipaddress.ip_network(trusted)] if trusted else [])
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    assert http.client_address({"client": (peer, 1) if peer else None, "headers": headers}) == found


def test_a_proxy_that_adds_a_line_of_its_own_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", [ipaddress.ip_network("10.0.0.0/8")])
    headers = [(b"x-forwarded-for", b"192.0.2.66"), (b"x-forwarded-for", b"203.0.113.9")]
    assert http.client_address({"client": ("10.0.0.1", 1), "headers": headers}) == "203.0.113.9"
