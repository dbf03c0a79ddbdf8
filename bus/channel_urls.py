"""The pages of channels, below /w/<workspace>/channels/. The socket of an open one is in crosswire/sockets.py."""

from __future__ import annotations

from django.urls import path

from bus.views import channel, channels, message, moderation, transcript

urlpatterns = [
    path("", channels.channels, name="channels"),
    path("<str:name>/", channel.channel, name="channel"),
    path("<str:name>/moderate/", moderation.moderate, name="channel_moderate"),
    path("<str:name>/export.md", transcript.markdown, name="channel_markdown"),
    path("<str:name>/export.json", transcript.json, name="channel_json"),
    path("<str:name>/messages/<int:number>/", message.message, name="message"),
    path("<str:name>/messages/<int:number>/text", message.text, name="message_text"),
]
