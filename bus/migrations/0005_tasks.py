"""A wait as a task: by when its client asks again, and what it answered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Both may be null: the release before this one stores waits without them."""

    dependencies = (("bus", "0004_released_channels"),)

    operations = (
        migrations.AddField(
            "wait",
            "poll_due_at",
            models.DateTimeField(null=True, help_text="By when a task's client asks again; null: it hung up."),
        ),
        migrations.AddField(
            "wait",
            "answer",
            models.JSONField(null=True, help_text="What a task answered: messages by their numbers in each channel."),
        ),
    )
