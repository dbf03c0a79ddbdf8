"""People, workspaces (the tenants), keys, and the record of who did what."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

from accounts.plans import PLANS
from crosswire.lib import clock


def public_id() -> str:
    """Return a short random name that is safe in addresses."""
    return secrets.token_hex(8)


def credential_id() -> str:
    """Return the name of a new credential: what a key keeps when it is rotated."""
    return f"key:{secrets.token_hex(8)}"


class UserManager(BaseUserManager["User"]):
    """Makes people; the e-mail address is the login name."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store a person; without a password they can log in only some other way."""
        user = self.model(email=email.lower(), **fields)  # as allauth keeps addresses
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store an operator with every right."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """Look a person up whatever case they type their address in."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    wants_mail = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=clock.now)
    closing_at = models.DateTimeField(
        null=True, blank=True, help_text="The account is being erased: the last sign of life of the job that does it."
    )

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """Return what other people see."""
        return self.name or self.email.partition("@")[0]

    def get_short_name(self) -> str:
        """Return the first word of the name."""
        return self.get_full_name().partition(" ")[0]


class Workspace(models.Model):
    """The tenant: what a key belongs to and what is isolated.

    `overrides` replaces single figures of the plan. `retention_holds` is a list of `{"days", "until"}`: older and
    longer retentions (None: endless) that go on for a while after the plan's figure fell. accounts/plan_changes.py
    writes all three. `muted_mails` are the topics of accounts/notices.py that it sends no mail about.
    """

    slug = models.CharField(max_length=32, unique=True, default=public_id)
    name = models.CharField(max_length=120)
    plan = models.CharField(max_length=20, default="free", choices=[(plan.name, plan.title) for plan in PLANS.values()])
    overrides = models.JSONField(default=dict, blank=True)
    retention_holds = models.JSONField(default=list, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=200, blank=True)
    muted_mails = models.JSONField(default=list, blank=True, db_default=models.Value([], models.JSONField()))
    created_at = models.DateTimeField(default=clock.now)
    closing_at = models.DateTimeField(
        null=True, blank=True, help_text="It is being erased: the last sign of life of the job that does it."
    )

    def __str__(self) -> str:
        return self.name


class MemberManager(models.Manager["Member"]):
    """Finds members; of a workspace that is being erased nobody is one any more."""

    def get_queryset(self) -> models.QuerySet[Member]:
        """Leave them out. By a subquery: a lock on members locks no workspace."""
        closing = Workspace.objects.filter(pk=models.OuterRef("workspace"), closing_at__isnull=False)
        return super().get_queryset().filter(~models.Exists(closing))


class Member(models.Model):
    """A person in a workspace."""

    class Role(models.TextChoices):
        """What a member may do, most first."""

        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"
        VIEWER = "viewer"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=clock.now)

    objects = MemberManager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "user"], name="member_once"),)

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace}"


class Invite(models.Model):
    """An offer to join a workspace, sent to an address. Works once, for that address, until `expires_at`."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invites")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Member.Role.choices, default=Member.Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (
            models.Index(fields=["workspace", "created_at"], name="invite_by_age"),
            models.Index(fields=["email"], name="invite_by_address"),
        )

    def __str__(self) -> str:
        return f"{self.email} to {self.workspace}"


class Export(models.Model):
    """A copy of everything in a workspace, made by a job; `path` is the name of its zip in EXPORTS_DIR until
    `expires_at`.

    `seen_at` is the last sign of life of the job, `attempts` how many have begun, `problem` in words why it failed.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting"
        READY = "ready"
        FAILED = "failed"
        EXPIRED = "expired"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    path = models.CharField(max_length=200, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    problem = models.CharField(max_length=300, blank=True, db_default="")
    created_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=["workspace", "created_at"], name="export_by_age"),)

    def __str__(self) -> str:
        return f"{self.workspace} at {self.created_at}"


class ApiKey(models.Model):
    """A key: for any instance of its workspace, or bound to one (`instance_id`).

    Rotated keys share `credential`. A key works while `revoked_at` is null and `expires_at` is not past.
    """

    class Kind(models.TextChoices):
        """Whom the key speaks for."""

        WORKSPACE = "workspace"
        INSTANCE = "instance"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="keys")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.WORKSPACE)
    instance_id = models.CharField(max_length=80, blank=True)
    is_read_only = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16)
    credential = models.CharField(max_length=40, default=credential_id)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_client = models.CharField(max_length=120, blank=True)
    last_used_protocol = models.CharField(
        max_length=40, blank=True, db_default="", help_text="`REST`, or `MCP` and its version."
    )
    last_used_instance = models.CharField(max_length=80, blank=True, db_default="")

    class Meta:
        indexes = (
            models.Index(fields=["workspace", "created_at"], name="apikey_by_age"),
            models.Index(
                fields=["workspace", "instance_id"], name="apikey_by_instance", condition=models.Q(kind="instance")
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind="workspace", instance_id="")
                | (models.Q(kind="instance") & ~models.Q(instance_id="")),
                name="apikey_instance_iff_bound",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class UsageDay(models.Model):
    """How many messages an instance stored on a day (UTC); written in the send's own transaction."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    day = models.DateField()
    instance = models.CharField(max_length=80)
    messages = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "day", "instance"], name="usage_once_a_day"),)

    def __str__(self) -> str:
        return f"{self.day} {self.instance}: {self.messages}"


class QuotaWarning(models.Model):
    """That `line` per cent of `limit` were reached in a month (UTC): told of by mail once, at `told_at`.

    `begun_at` is when a process took it upon itself; a larger limit is told of anew.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    month = models.PositiveIntegerField(help_text="Calendar month in UTC, such as 202611.")
    what = models.CharField(max_length=20)
    limit = models.BigIntegerField()
    line = models.PositiveSmallIntegerField()
    begun_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["workspace", "month", "what", "limit", "line"], name="quota_told_once"),
        )

    def __str__(self) -> str:
        return f"{self.workspace} {self.month}: {self.line} % of {self.limit} {self.what}"


class Pruned(models.Model):
    """How much age took of one kind from a workspace on a day (UTC). `names`: some of what went, if it has any."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    day = models.DateField()
    what = models.CharField(max_length=20)
    count = models.PositiveBigIntegerField(default=0)
    names = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "day", "what"], name="pruned_once_a_day"),)
        indexes = (models.Index(fields=["day"], name="pruned_age"),)

    def __str__(self) -> str:
        return f"{self.day} {self.what}: {self.count}"


class PruneRun(models.Model):
    """One round of pruning through all workspaces: what it took, where it failed.

    It goes through them by their keys; `reached` is the last one it came to. Without `ended_at` it is under way, or was
    cut off after `seen_at`. `is_complete`: nothing that had expired when it began was left, but for what `failed`.
    """

    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    is_complete = models.BooleanField(default=False)
    reached = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict, blank=True)
    failed = models.JSONField(default=dict, blank=True, help_text="Workspace (its slug) → what went wrong.")

    class Meta:
        indexes = (models.Index(fields=["started_at"], name="prune_run_newest"),)

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class AuditEvent(models.Model):
    """Who did what to a workspace: append-only; outlives what it tells of."""

    workspace = models.ForeignKey(Workspace, models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=clock.now)
    actor = models.CharField(max_length=160)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = (models.Index(fields=["workspace", "-at"], name="audit_newest"),)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"
