"""The address that Stripe tells us at."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import webhooks
from crosswire.lib.errors import CrossWireError

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Store and handle an event: 200 when that is done, 400 for what Stripe did not send, 500 to have it come again."""
    try:
        event = webhooks.receive(request.body, request.headers.get("Stripe-Signature", ""))
    except CrossWireError as refusal:
        return HttpResponse(refusal.message, status=refusal.status, content_type="text/plain")
    try:
        webhooks.handle(event)
    except Exception:  # whatever it was: Stripe sends the event again
        logger.exception("stripe_event_failed", extra={"event": event.stripe_id, "type": event.type})
        return HttpResponse("This event could not be handled; send it again.", status=500, content_type="text/plain")
    return HttpResponse("Thank you.", content_type="text/plain")
