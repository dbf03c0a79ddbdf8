"""The addresses of billing."""

from __future__ import annotations

from django.urls import path

from billing import changing, pages, views

urlpatterns = [
    path("billing", pages.find, name="billing_find"),
    path("w/<str:workspace>/billing", pages.billing, name="billing"),
    path("w/<str:workspace>/billing/change", changing.change, name="billing_change"),
    path("w/<str:workspace>/billing/cancel", pages.cancel, name="billing_cancel"),
    path("w/<str:workspace>/billing/resume", pages.resume, name="billing_resume"),
    path("w/<str:workspace>/billing/portal", pages.portal, name="billing_portal"),
    path("w/<str:workspace>/billing/return", pages.returned, name="billing_return"),
    path("billing/stripe/webhook", views.stripe_webhook, name="stripe_webhook"),
]
