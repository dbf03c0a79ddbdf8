"""Secrets that have to be read again."""

from __future__ import annotations

from pytest_django.fixtures import Settings

from crosswire.lib.sealed import seal, unseal


def test_what_was_sealed_opens_and_does_not_show() -> None:
    sealed = seal("JBSWY3DPEHPK3PXP")
    assert "JBSWY3DPEHPK3PXP" not in sealed
    assert unseal(sealed) == "JBSWY3DPEHPK3PXP"
    assert seal("JBSWY3DPEHPK3PXP") != sealed


def test_an_earlier_key_opens_what_it_sealed(settings: Settings) -> None:
    sealed = seal("secret")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert unseal(sealed) == "secret"


def test_with_another_key_it_opens_as_something_nobody_can_know(settings: Settings) -> None:
    sealed = seal("secret")
    settings.SECRET_KEY = "another" * 10
    assert unseal(sealed) not in ("secret", "")
    assert unseal(sealed) != unseal(sealed)
    assert len(unseal("nonsense")) == 32
