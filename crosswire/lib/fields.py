"""Columns that Django does not have."""

from __future__ import annotations

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class WordsField(models.TextField):  # type: ignore[type-arg]  # at run time it takes none
    """Words between blanks, to be indexed: `tsvector` on PostgreSQL, text elsewhere. Null: not taken out yet."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return the type of the column."""
        return "tsvector" if connection.vendor == "postgresql" else super().db_type(connection)
