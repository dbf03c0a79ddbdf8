"""The full-text index: the words of the messages that are there, then the index, without holding up sends."""

from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from crosswire.lib import words

BATCH = 1_000

# Pending entries are sorted into the index by the send that fills the list: a short list is a short pause.
POSTGRESQL = """CREATE INDEX CONCURRENTLY message_words ON bus_message
                USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 1024)"""
UNFILLED = "CREATE INDEX {} message_without_words ON bus_message (workspace_id, id) WHERE words IS NULL"
SQLITE = (
    """CREATE VIRTUAL TABLE message_words
       USING fts5(words, content='bus_message', content_rowid='id', tokenize='ascii', detail='none', columnsize=0)""",
    # Sends pay for merging the index's pieces: at 8 least, measured between 2 and 16.
    "INSERT INTO message_words(message_words, rank) VALUES ('automerge', 8)",
    "INSERT INTO message_words(message_words) VALUES ('rebuild')",
    """CREATE TRIGGER message_words_in AFTER INSERT ON bus_message WHEN new.words IS NOT NULL BEGIN
       INSERT INTO message_words(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER message_words_out AFTER DELETE ON bus_message WHEN old.words IS NOT NULL BEGIN
       INSERT INTO message_words(message_words, rowid, words) VALUES ('delete', old.id, old.words); END""",
    """CREATE TRIGGER message_words_late AFTER UPDATE OF words ON bus_message
       WHEN old.words IS NULL AND new.words IS NOT NULL BEGIN
       INSERT INTO message_words(rowid, words) VALUES (new.id, new.words); END""",
)


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the words out of every message that has none yet; begins where it was interrupted."""
    cursor = schema_editor.connection.cursor()
    last = 0
    while True:
        with transaction.atomic(using=schema_editor.connection.alias):
            cursor.execute(
                "SELECT id, workspace_id, content FROM bus_message WHERE id > %s AND words IS NULL ORDER BY id LIMIT %s",
                [last, BATCH],
            )
            rows = cursor.fetchall()
            cursor.executemany(
                "UPDATE bus_message SET words = %s WHERE id = %s",
                [(" ".join(f"{workspace}x{word}" for word in words.of_text(text)), pk) for pk, workspace, text in rows],
            )
        if not rows:
            return
        last = rows[-1][0]


def index(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the index; what an interrupted attempt left is no good."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET lock_timeout = 0")  # CONCURRENTLY waits for every transaction that is older
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS message_without_words")
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS message_words")
        schema_editor.execute(UNFILLED.format("CONCURRENTLY"))
        schema_editor.execute(POSTGRESQL)
        schema_editor.execute("RESET lock_timeout")
        return
    with transaction.atomic(using=schema_editor.connection.alias):
        for statement in (UNFILLED.format(""), *SQLITE):
            schema_editor.execute(statement)


def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Remove the index."""
    schema_editor.execute("DROP INDEX IF EXISTS message_without_words")
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS message_words")
        return
    for trigger in ("message_words_in", "message_words_out", "message_words_late"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    schema_editor.execute("DROP TABLE IF EXISTS message_words")


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('bus', '0002_message_words'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(index, drop),
    ]
