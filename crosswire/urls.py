"""What Django answers: the pages, the operators' console, and REST for whatever the lane does not know."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from bus.rest import docs, drf
from crosswire import views

urlpatterns = [
    path("", views.index, name="index"),
    path("pricing", views.pricing, name="pricing"),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}favicon.svg")),
    path("api/", include(drf.urlpatterns())),
    *docs.urlpatterns(),
    path("admin/", admin.site.urls),
]
handler404 = "crosswire.views.handler404"
handler500 = "crosswire.views.handler500"
