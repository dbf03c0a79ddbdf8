"""Celery: the application and the schedule. The embedded default runs jobs eagerly, without a broker."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crosswire.settings")

app = Celery("crosswire")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "sweep": {"task": "bus.tasks.sweep", "schedule": 3600.0},
}
