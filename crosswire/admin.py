"""What the operators' console shows: Django looks for this module once the models are loaded.

Nothing that holds what people and agents wrote to each other is registered: no message, no shared data, no channel.
"""

from django.contrib import admin

from accounts.models import AuditEvent, PruneRun, User, Workspace
from billing.models import Reconciliation, StripeEvent, Subscription
from crosswire.console.money import Comparisons, Events, Subscriptions
from crosswire.console.people import People
from crosswire.console.records import PruneRuns, Records
from crosswire.console.workspaces import Workspaces

admin.site.register(Workspace, Workspaces)
admin.site.register(User, People)
admin.site.register(AuditEvent, Records)
admin.site.register(Subscription, Subscriptions)
admin.site.register(StripeEvent, Events)
admin.site.register(Reconciliation, Comparisons)
admin.site.register(PruneRun, PruneRuns)
