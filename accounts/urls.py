"""The pages of people and their workspaces."""

from __future__ import annotations

from django.urls import path

from accounts.views import (
    account,
    audit,
    delete_account,
    delete_workspace,
    exports,
    home,
    invites,
    keys,
    members,
    workspace_settings,
    workspaces,
)

urlpatterns = [
    path("w/", home.home, name="home"),
    path("w/new", workspaces.new, name="workspace_new"),
    path("invites", invites.invites_page, name="invites"),
    path("invites/<str:token>", invites.invite, name="invite"),
    path("w/<str:workspace>/members", members.members_page, name="members"),
    path("w/<str:workspace>/members/invite", members.invite, name="member_invite"),
    path("w/<str:workspace>/members/invites/<int:invite>/resend", members.resend, name="invite_resend"),
    path("w/<str:workspace>/members/invites/<int:invite>/revoke", members.revoke, name="invite_revoke"),
    path("w/<str:workspace>/members/hand-over", members.hand_over, name="hand_over"),
    path("w/<str:workspace>/members/<int:member>", members.member, name="member"),
    path("w/<str:workspace>/members/<int:member>/role", members.set_role, name="member_role"),
    path("w/<str:workspace>/members/<int:member>/remove", members.remove, name="member_remove"),
    path("w/<str:workspace>/leave", members.leave, name="leave"),
    path("w/<str:workspace>/audit", audit.audit, name="audit"),
    path("w/<str:workspace>/audit/download", audit.download, name="audit_download"),
    path("w/<str:workspace>/settings", workspace_settings.workspace_settings_page, name="workspace_settings"),
    path("w/<str:workspace>/settings/exports", exports.ask, name="export_ask"),
    path("w/<str:workspace>/settings/exports/<int:export_id>", exports.download, name="export_download"),
    path("w/<str:workspace>/settings/delete", delete_workspace.delete_workspace, name="workspace_delete"),
    path("account/delete", delete_account.delete_account, name="account_delete"),
    path("account/", account.profile, name="account_profile"),
    path("account/workspaces/", account.workspaces, name="account_workspaces"),
    path("w/<str:workspace>/keys", keys.keys, name="keys"),
    path("w/<str:workspace>/keys/<str:prefix>", keys.key, name="key"),
    path("w/<str:workspace>/keys/<str:prefix>/rename", keys.rename, name="key_rename"),
    path("w/<str:workspace>/keys/<str:prefix>/rotate", keys.rotate, name="key_rotate"),
    path("w/<str:workspace>/keys/<str:prefix>/revoke", keys.revoke, name="key_revoke"),
]
