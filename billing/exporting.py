"""What billing puts into an export of a workspace."""

from __future__ import annotations

from accounts.archive import Archive
from accounts.models import Workspace
from billing import history
from billing.models import Customer

_INVOICE = ("number", "status", "currency", "total", "amount_paid", "created_at", "paid_at", "hosted_url")


def write(archive: Archive, workspace: Workspace) -> None:
    """Write invoices and what happened to the plan; nothing where nobody ever paid."""
    customer = Customer.objects.filter(workspace=workspace).first()
    if customer is None:
        return
    invoices = customer.invoices.order_by("created_at", "pk").values(*_INVOICE)
    archive.rows("invoices", "Invoices; amounts in cents.", invoices.iterator(500))
    told = customer.happenings.order_by("at", "pk").iterator(500)
    archive.rows(
        "billing", "What happened to plan and payments.", ({"at": e.at, "what": history.words(e)} for e in told)
    )
