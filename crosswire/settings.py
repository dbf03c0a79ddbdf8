"""Every setting, read from the environment. A bad value stops the start and is named; crosswire/checks.py looks
at settings that cannot work together. Production is: PUBLIC_URL is not loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from crosswire.lib import env

BASE_DIR = Path(__file__).resolve().parent.parent
# A checkout keeps pages and data beside its packages; an installed copy has the pages inside, and data with the user.
IS_CHECKOUT = (BASE_DIR / "manage.py").is_file()
PAGES_DIR = BASE_DIR if IS_CHECKOUT else BASE_DIR / "crosswire"
VAR_DIR = Path(env.text("CROSSWIRE_VAR", str(BASE_DIR / "var" if IS_CHECKOUT else Path.home() / ".crosswire")))
# Exports lie here until they expire: one folder for all processes, web and worker, on however many machines.
EXPORTS_DIR = Path(env.text("EXPORTS_DIR", str(VAR_DIR / "exports")))

# --- who we are -------------------------------------------------------------------------------------------------
PORT = env.port("PORT", 8000)
PUBLIC_URL = env.public_url("PUBLIC_URL", f"http://localhost:{PORT}")
_public = urlsplit(PUBLIC_URL)
PUBLIC_HOST = _public.hostname or ""
IS_PRODUCTION = not env.is_loopback(PUBLIC_HOST)
DEBUG = False
SECRET_KEY = env.secret("SECRET_KEY") or ("" if IS_PRODUCTION else env.generated_secret(VAR_DIR / "secret_key"))
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY (or SECRET_KEY_FILE) is missing: 50 random characters, kept secret")
SECRET_KEY_FALLBACKS = env.read.list("SECRET_KEY_FALLBACKS", default=[])
# Who runs this installation: named in its terms and privacy pages, and told of faults (security.txt).
OPERATOR_NAME = env.text("OPERATOR_NAME")
OPERATOR_EMAIL = env.text("OPERATOR_EMAIL")
OPERATOR_ADDRESS = env.text("OPERATOR_ADDRESS")

# --- who may talk to us -----------------------------------------------------------------------------------------
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = [PUBLIC_HOST, *env.read.list("EXTRA_HOSTS", default=[])] + ([] if IS_PRODUCTION else LOOPBACK_HOSTS)
# Browser pages that may call /mcp and /api from another origin with a key; "*" means any page.
CORS_ORIGINS = env.read.list("CORS_ORIGINS", default=[])
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
CLIENT_CEILINGS = env.ceilings("CLIENT_CEILINGS")  # come before the table in bus/clients.py
API_LANE = env.switch("API_LANE", default=True)

# --- storage ----------------------------------------------------------------------------------------------------
DATABASE_URL = env.secret("DATABASE_URL") or f"sqlite:///{quote(str(VAR_DIR / 'crosswire.db'))}"
REDIS_URL = env.secret("REDIS_URL")
EXECUTOR_THREADS = env.number("EXECUTOR_THREADS", 8)
DB_POOL_SIZE = env.number("DB_POOL_SIZE", 12)


def _database(url: str) -> dict[str, Any]:
    try:
        database: dict[str, Any] = env.read.db_url_config(url)
        engine: str = database["ENGINE"]
    except Exception as problem:  # environ raises whatever the parsing of the moment raises
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read; example: postgres://user:password@host/name"
        ) from problem
    if engine.endswith("sqlite3"):
        if database["NAME"] != ":memory:":
            env.private_folder(Path(database["NAME"]).parent)
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 15,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
        }
    elif engine.endswith("postgresql"):
        # A lock that is not had by then, or a network that swallows everything, ends as an error, never as a hung call.
        patience: dict[str, Any] = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
        patience |= {"tcp_user_timeout": 20_000, "options": "-c lock_timeout=15000"}
        options = database["OPTIONS"] = patience | database.get("OPTIONS", {})
        options["pool"] = {"min_size": 0, "max_size": DB_POOL_SIZE, "timeout": 10, "name": "crosswire"}
        # The pause between attempts to connect doubles until then: after a long outage it would outlast "timeout".
        options["pool"]["reconnect_timeout"] = 3
    else:
        raise ImproperlyConfigured("DATABASE_URL must start with sqlite:// or postgres://")
    return database


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {"BACKEND": "crosswire.lib.cache.Cache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# --- the application --------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",
    "crosswire.apps.CrossWireAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "channels",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.github",
    "crosswire",
    "accounts",
    "bus",
    "billing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "crosswire.static_files.StaticFilesMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "crosswire.site.middleware.PublicPagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SessionListMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "accounts.middleware.FormAddressMiddleware",
]
ROOT_URLCONF = "crosswire.urls"
ASGI_APPLICATION = "crosswire.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PAGES_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.csp",
                "accounts.context.page",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # templates/django/forms has our markup of a field
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static" if IS_PRODUCTION else None  # elsewhere they are served from where they lie
STATICFILES_DIRS = [PAGES_DIR / "static"]
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
LANGUAGE_CODE = "en"

# --- people -----------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "accounts.backends.PasswordBackend",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.forms.SignInForm",
    "signup": "accounts.forms.SignUpForm",
    "change_password": "accounts.forms.ChangeForm",
    "set_password": "accounts.forms.SetForm",
    "reset_password_from_key": "accounts.forms.ResetForm",
    "add_email": "accounts.forms.EmailForm",
}
ACCOUNT_USER_DISPLAY = "accounts.adapters.shown_name"
ACCOUNT_LOGOUT_REDIRECT_URL = "index"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = 5
CODE_SECONDS = ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE = False  # is offered to new addresses alone, which tells known ones
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
LOCK_SECONDS = 5 * 60
ACCOUNT_RATE_LIMITS = {  # beside allauth's own; "key" is an address: nobody's mailbox is filled by strangers
    "confirm_email": "1/10s/key,12/h/key",
    "login_failed": f"10/m/ip,5/{LOCK_SECONDS}s/key",
    "reset_password": "20/m/ip,5/m/key,12/h/key",
}
MFA_ADAPTER = "accounts.adapters.MfaAdapter"
MFA_FORMS = {
    "add_webauthn": "accounts.passkeys.AddForm",
    "edit_webauthn": "accounts.passkeys.RenameForm",
    "login_webauthn": "accounts.passkeys.LoginForm",
    "authenticate_webauthn": "accounts.passkeys.AuthenticateForm",
    "reauthenticate_webauthn": "accounts.passkeys.ReauthenticateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "CrossWire"
MFA_TOTP_TOLERANCE = 1
USERSESSIONS_TRACK_ACTIVITY = True  # accounts.middleware keeps it, every few minutes
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # who owns an address elsewhere signs in here first, then links
SOCIALACCOUNT_STORE_TOKENS = False


def _sign_in_with(client: tuple[str, str], **options: Any) -> dict[str, Any]:
    return {"APPS": [{"client_id": client[0], "secret": client[1], "key": ""}], **options}


_google = (env.text("GOOGLE_CLIENT_ID"), env.secret("GOOGLE_CLIENT_SECRET"))
_github = (env.text("GITHUB_CLIENT_ID"), env.secret("GITHUB_CLIENT_SECRET"))
SOCIALACCOUNT_PROVIDERS = {}
if all(_google):
    SOCIALACCOUNT_PROVIDERS["google"] = _sign_in_with(_google, OAUTH_PKCE_ENABLED=True)
if all(_github):
    SOCIALACCOUNT_PROVIDERS["github"] = _sign_in_with(_github, SCOPE=["read:user", "user:email"])
PASSWORD_HASHERS = [
    "accounts.backends.PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- browsers ---------------------------------------------------------------------------------------------------
_https = PUBLIC_URL.startswith("https://")
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _https else "http"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _https
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "accounts.views.stale_form.stale_form"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_SSL_REDIRECT = False  # TLS ends at the proxy, which redirects; /health must answer plain HTTP inside
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = False  # the operator's other hosts are not ours to decide about
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: the operator's other hosts are not ours to decide about
    "security.W008",  # SSL redirect: the proxy's
    "security.W021",  # HSTS preload: as W005
]
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    # Chromium follows a form's redirects with this rule: the button "Sign in with Google" is a form.
    "form-action": [
        "'self'",
        *(["https://accounts.google.com"] if "google" in SOCIALACCOUNT_PROVIDERS else []),
        *(["https://github.com"] if "github" in SOCIALACCOUNT_PROVIDERS else []),
    ],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}

# --- bounds of a request ----------------------------------------------------------------------------------------
MAX_ADDRESS_BYTES = 16_000
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_000
MAX_JSON_DEPTH = 64
MAX_BODY_BYTES = 1_000_000
MAX_SHARED_DATA_BYTES = 10_000_000
# JSON may escape what UTF-8 writes shorter: `é` has two bytes, `\\u00e9` six.
MAX_SHARED_DATA_BODY_BYTES = 3 * MAX_SHARED_DATA_BYTES + MAX_BODY_BYTES
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_SHARED_DATA_BODY_BYTES

# --- jobs -------------------------------------------------------------------------------------------------------
JOBS_APP = "crosswire.celery.app"
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A broker that swallows everything holds a request up for seconds, never for good; workers ask it every second.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5.0, "socket_connect_timeout": 1.0}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0}
CELERY_TASK_ACKS_LATE = True
CELERY_TIMEZONE = "UTC"

# --- mail -------------------------------------------------------------------------------------------------------
SMTP, TERMINAL = "django.core.mail.backends.smtp.EmailBackend", "crosswire.lib.mail.TerminalBackend"
MAIL_HOST = env.text("MAIL_HOST")
MAIL_BACKEND = env.text("MAIL_BACKEND", SMTP if IS_PRODUCTION or MAIL_HOST else TERMINAL)
MAIL_FROM = env.text("MAIL_FROM")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = MAIL_FROM or "CrossWire <crosswire@localhost>"
MAIL_FOLDER = VAR_DIR / "mail"  # what was "sent" while no mail is sent


def _mailer() -> dict[str, Any]:
    options = env.json_object("MAIL_OPTIONS")
    if MAIL_BACKEND == SMTP:
        tls = env.one_of("MAIL_TLS", "STARTTLS", "TLS", "NONE")
        port = env.port("MAIL_PORT", {"STARTTLS": 587, "TLS": 465, "NONE": 25}[tls])
        login = {"username": env.text("MAIL_USER"), "password": env.secret("MAIL_PASSWORD")}
        secure = {"use_tls": tls == "STARTTLS", "use_ssl": tls == "TLS"}
        options = {"host": MAIL_HOST or "localhost", "port": port, **login, **secure, "timeout": 10, **options}
    elif MAIL_BACKEND == TERMINAL:
        options = {"folder": str(MAIL_FOLDER), **options}
    return {"BACKEND": MAIL_BACKEND, "OPTIONS": options}


MAILERS: dict[str, dict[str, Any]] = {"default": _mailer()}

# --- money ------------------------------------------------------------------------------------------------------
STRIPE_SECRET_KEY = env.secret("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET")  # several, with commas, while one replaces another
STRIPE_API_URL = env.text("STRIPE_API_URL")  # for tests: something that speaks like api.stripe.com
# A stand-in for Stripe inside `make run`, where nothing is paid: on this machine alone.
DEMO_PAYMENTS = env.switch("DEMO_PAYMENTS", default=not IS_PRODUCTION and not STRIPE_SECRET_KEY)
if DEMO_PAYMENTS and (IS_PRODUCTION or STRIPE_SECRET_KEY):
    raise ImproperlyConfigured("DEMO_PAYMENTS is for a loopback PUBLIC_URL without STRIPE_SECRET_KEY; leave it out")

# --- REST -------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["bus.rest.formats.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["bus.rest.formats.OrjsonRenderer", "rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_PARSER_CLASSES": ["bus.rest.formats.OrjsonParser"],
    "EXCEPTION_HANDLER": "bus.rest.drf.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

# --- MCP ---------------------------------------------------------------------------------------------------------
MCP_TASKS = env.switch("MCP_TASKS", default=True)

# --- logs and figures --------------------------------------------------------------------------------------------
METRICS_TOKEN = env.secret("METRICS_TOKEN")
LOG_FORMAT = env.one_of("LOG_FORMAT", *(("JSON", "TEXT") if IS_PRODUCTION else ("TEXT", "JSON")))
ACCESS_LOG = env.switch("ACCESS_LOG", default=True)
LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "TEXT": {"()": "crosswire.lib.logs.LineFormatter"},
        "JSON": {"()": "crosswire.lib.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "stripe": {"level": "WARNING"},  # tells of each request otherwise
        "mcp": {"level": "ERROR"},  # says "Terminating session: None" for every stateless request
        "sse_starlette": {"level": "WARNING"},
        "daphne": {"level": "ERROR"},  # its warnings print whole addresses, ?api_key= and all
        "asyncio": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},  # each 4xx would be told twice, beside our access log
        "uvicorn.access": {"handlers": [], "propagate": False, "level": "CRITICAL"},  # prints query strings
    },
}
