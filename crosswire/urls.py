"""What Django answers: the pages, the operators' console, and REST for whatever the lane does not know."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts.views import codes
from bus.rest import docs, drf
from crosswire.site import urls as site_urls

urlpatterns = [
    *site_urls.urlpatterns,
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}favicon.svg")),
    path("api/", include(drf.urlpatterns())),
    *docs.urlpatterns(),
    path("accounts/confirm-email/", codes.confirm_email),  # both before allauth's own, under whose names they go
    path("accounts/password/reset/confirm/", codes.confirm_reset),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("w/<str:workspace>/", include("bus.urls")),
    path("admin/", admin.site.urls),
]

handler403 = "crosswire.views.handler403"
handler404 = "crosswire.views.handler404"
handler429 = "crosswire.views.handler429"  # read by allauth
handler500 = "crosswire.views.handler500"
