"""A column for the words of each message. Null until 0003 or a send fills it, so the previous release goes on."""

import crosswire.lib.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('bus', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='words',
            field=crosswire.lib.fields.WordsField(editable=False, null=True),
        ),
    ]
