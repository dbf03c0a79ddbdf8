from __future__ import annotations

import base64
import hashlib
import re

from crosswire.lib import keys


def test_a_key_is_a_prefix_and_160_random_bits() -> None:
    key = keys.generate()
    assert re.fullmatch(r"cw_[a-z2-7]{32}", key)
    assert len(base64.b32decode(key.removeprefix("cw_").upper())) == 20


def test_no_two_keys_are_alike() -> None:
    made = [keys.generate() for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert len({key[: keys.DISPLAY_LENGTH] for key in made}) == len(made)


def test_every_place_of_a_key_is_random() -> None:
    made = [keys.generate().removeprefix("cw_") for _ in range(500)]
    for place in zip(*made, strict=True):
        assert len(set(place)) > 16


def test_a_key_is_stored_as_its_sha256() -> None:
    assert keys.digest("cw_abc") == hashlib.sha256(b"cw_abc").hexdigest()
    assert re.fullmatch(r"[0-9a-f]{64}", keys.digest(keys.generate()))
    assert keys.digest("cw_abc") != keys.digest("cw_abd")


def test_any_text_that_a_header_can_carry_has_a_digest() -> None:
    for odd in ("", "\udcff\udc80", "日本", "\x00", "x" * 100_000):
        assert len(keys.digest(odd)) == 64


def test_what_stays_readable_gives_120_bits_of_the_secret_away_to_nobody() -> None:
    key = keys.generate()
    assert keys.display_prefix(key) == key[:11]
    hidden = len(key) - len(keys.display_prefix(key))
    assert hidden * 5 >= 120
