"""Replies along their index in order: SQLite walked through all of a workspace to list them by number."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

IN_ORDER = models.Index(
    fields=["workspace", "in_reply_to", "number"],
    name="message_replies_in_order",
    condition=models.Q(in_reply_to__isnull=False),
)
UNORDERED = models.Index(
    fields=["workspace", "in_reply_to"], name="message_replies", condition=models.Q(in_reply_to__isnull=False)
)


def replace(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor, old: models.Index, new: models.Index) -> None:
    """Put one index in the place of another without holding up sends; what an interrupted attempt left is no good."""
    message = apps.get_model("bus", "Message")
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    drop = f"DROP INDEX {'CONCURRENTLY ' if is_postgresql else ''}IF EXISTS"
    if is_postgresql:
        schema_editor.execute("SET lock_timeout = 0")  # CONCURRENTLY waits for every transaction that is older
    schema_editor.execute(f"{drop} {new.name}")
    schema_editor.add_index(message, new, **({"concurrently": True} if is_postgresql else {}))
    schema_editor.execute(f"{drop} {old.name}")
    if is_postgresql:
        schema_editor.execute("RESET lock_timeout")


def forwards(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the ordered index in place."""
    replace(apps, schema_editor, UNORDERED, IN_ORDER)


def backwards(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the unordered one back."""
    replace(apps, schema_editor, IN_ORDER, UNORDERED)


class Migration(migrations.Migration):
    """Not atomic: CONCURRENTLY asks for that."""

    atomic = False
    dependencies = (("bus", "0006_wait_events"),)

    operations = (
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(forwards, backwards)],
            state_operations=[
                migrations.AddIndex("message", IN_ORDER),
                migrations.RemoveIndex("message", "message_replies"),
            ],
        ),
    )
