"""`released_at` goes by the names of channels, as waits do. No table changes."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('bus', '0003_full_text'),
    ]

    operations = [
        migrations.AlterField(
            model_name='instance',
            name='released_at',
            field=models.JSONField(blank=True, default=dict, help_text='Channel → its last_seq when a mutual wait there was ended for this one.'),
        ),
    ]
