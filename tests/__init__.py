"""A package so that no other distribution's `tests` can take its name. What supports tests may assert like them."""

import pytest

pytest.register_assert_rewrite("tests.support")
