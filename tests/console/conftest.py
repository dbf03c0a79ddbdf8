"""Operators, at browsers of their own."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.support.operators import browser_of, make_operator
from tests.support.people import Person, make_person


@pytest.fixture(scope="module")
def olga(database: None) -> Person:
    """A superuser with a second factor."""
    return make_operator()


@pytest.fixture(scope="module")
def console(olga: Person) -> Client:
    """Olga's browser."""
    return browser_of(olga)


@pytest.fixture
def ada() -> Person:
    """Somebody with a workspace of her own."""
    return make_person()
