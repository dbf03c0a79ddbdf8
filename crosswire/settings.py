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

# --- who may talk to us -----------------------------------------------------------------------------------------
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = [PUBLIC_HOST, *env.read.list("EXTRA_HOSTS", default=[])] + ([] if IS_PRODUCTION else LOOPBACK_HOSTS)
# Browser pages that may call /mcp and /api from another origin with a key; "*" means any page.
CORS_ORIGINS = env.read.list("CORS_ORIGINS", default=[])
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
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
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
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
    "channels",
    "rest_framework",
    "crosswire",
    "accounts",
    "bus",
    "billing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "crosswire.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
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
            ],
        },
    },
]
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
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- browsers ---------------------------------------------------------------------------------------------------
_https = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
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
    "form-action": ["'self'"],
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
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TIMEZONE = "UTC"

# --- mail -------------------------------------------------------------------------------------------------------
MAILERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": env.text(
            "MAIL_BACKEND",
            "django.core.mail.backends.smtp.EmailBackend"
            if IS_PRODUCTION
            else "django.core.mail.backends.console.EmailBackend",
        ),
    }
}

# --- money ------------------------------------------------------------------------------------------------------
STRIPE_SECRET_KEY = env.secret("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET")

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
        "mcp": {"level": "ERROR"},  # says "Terminating session: None" for every stateless request
        "sse_starlette": {"level": "WARNING"},
        "daphne": {"level": "ERROR"},  # its warnings print whole addresses, ?api_key= and all
        "asyncio": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},  # each 4xx would be told twice, beside our access log
        "uvicorn.access": {"handlers": [], "propagate": False, "level": "CRITICAL"},  # prints query strings
    },
}
