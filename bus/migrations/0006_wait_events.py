"""A further kind of wait: an open stream of events. No table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bus", "0005_tasks")]

    operations = [
        migrations.AlterField(
            model_name="wait",
            name="kind",
            field=models.CharField(
                choices=[
                    ("blocking", "Blocking"),
                    ("listener", "REST wait, waiting inbox"),
                    ("task", "Task"),
                    ("events", "an open stream of events"),
                ],
                max_length=8,
            ),
        ),
    ]
