"""Celery: the application and the schedule. The embedded default runs jobs eagerly, without a broker."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crosswire.settings")

app = Celery("crosswire")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "prune": {"task": "bus.tasks.prune", "schedule": 3600.0, "options": {"expires": 3600}},
    "look at quotas": {"task": "bus.tasks.look_at_quotas", "schedule": 3600.0},
    "resume": {"task": "accounts.tasks.resume", "schedule": 300.0},
    "beat": {"task": "crosswire.tasks.beat", "schedule": 60.0, "options": {"expires": 60}},
    "resume billing": {"task": "billing.tasks.resume", "schedule": 300.0},
    "keep graces": {"task": "billing.tasks.keep_graces", "schedule": 60.0, "options": {"expires": 60}},
    "reconcile": {"task": "billing.tasks.reconcile", "schedule": 86400.0},
    "tidy accounts": {"task": "accounts.tasks.tidy", "schedule": 86400.0},
}
