"""The pages of a workspace's bus, below /w/<workspace>/."""

from __future__ import annotations

from django.urls import include, path

from bus.views import (
    connect,
    data,
    overview,
    search,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("presence", overview.presence, name="presence"),
    path("instances", overview.instances, name="instances"),
    path("instances/free", overview.free_place, name="instance_free"),
    path("search", search.search, name="search"),
    path("data/", data.data, name="data"),
    path("data/item", data.item, name="data_item"),
    path("data/download", data.download, name="data_download"),
    path("data/delete", data.delete, name="data_delete"),
    path("connect", connect.connect, name="connect"),
    path("connect/seen", connect.seen, name="connect_seen"),
    path("channels/", include("bus.channel_urls")),
]
