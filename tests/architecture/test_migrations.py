"""Migrations: nothing is missing from them, and from nothing they make what the models say."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader

from tests.support.homes import Home, Run
from tests.support.servers import manage

OURS = ("accounts", "billing", "bus")
MODELS = [model for app in OURS for model in apps.get_app_config(app).get_models()]


@pytest.fixture
def empty_home(run: Run) -> Iterator[Home]:
    """A home whose database has no table yet."""
    home = run._new_home(f"{run.worker}_empty_{secrets.token_hex(4)}")
    if run.cluster is not None:
        run.cluster.create_database(run._database_name(home.name))
    yield home
    run.discard(home)


def test_no_change_of_a_model_lacks_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_each_app_has_one_last_migration() -> None:
    assert MigrationLoader(None).detect_conflicts() == {}


@pytest.mark.slow
def test_an_empty_database_is_migrated_and_back_and_again(empty_home: Home) -> None:
    manage(empty_home, "migrate", "--noinput")
    manage(empty_home, "migrate", "--check")
    manage(empty_home, "migrate", "bus", "zero", "--noinput")
    manage(empty_home, "migrate", "--noinput")
    manage(empty_home, "migrate", "--check")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_migrated_tables_are_what_the_models_say(model: type[models.Model]) -> None:
    options = model._meta
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, options.db_table)
        constraints = connection.introspection.get_constraints(cursor, options.db_table)
    nullable = {column.name: bool(column.null_ok) for column in described}
    assert nullable == {field.column: field.null for field in options.concrete_fields}
    named = {index.name for index in options.indexes} | {each.name for each in options.constraints}
    assert named <= set(constraints)
    unique = {tuple(each["columns"]) for each in constraints.values() if each["unique"] or each["primary_key"]}
    assert {(field.column,) for field in options.concrete_fields if field.unique} <= unique


def test_every_table_of_the_bus_belongs_to_a_workspace_first() -> None:
    for model in apps.get_app_config("bus").get_models():
        assert not model._meta.get_field("workspace").null, model.__name__
        lists = [
            each.fields for each in (*model._meta.indexes, *model._meta.constraints) if getattr(each, "fields", ())
        ]
        others = [list(fields) for fields in lists if fields[0] != "workspace"]
        assert others == NOT_A_TENANTS.get(model.__name__, []), model.__name__


NOT_A_TENANTS = {
    "IdempotencyKey": [["created_at"]],  # pruning deletes old ones of all workspaces
    "Wait": [["process"]],  # a process keeps all its waits alive in one statement
}
"""Indexes that do not begin with the workspace, since what uses them is no tenant's query."""
