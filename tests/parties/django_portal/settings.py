"""The settings of the portal: Django's own in short, then those of mozilla-django-oidc."""

import os

SECRET_KEY = "a secret of the tests alone"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.parties.django_portal.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

INSTALLED_APPS += ["mozilla_django_oidc"]
MIDDLEWARE += ["mozilla_django_oidc.middleware.SessionRefresh"]
AUTHENTICATION_BACKENDS = ["tests.parties.django_portal.backend.LienKetBackend"]
ISSUER = os.environ["OIDC_ISSUER"]
OIDC_OP_AUTHORIZATION_ENDPOINT = f"{ISSUER}/authorize"
OIDC_OP_TOKEN_ENDPOINT = f"{ISSUER}/token"
OIDC_OP_USER_ENDPOINT = f"{ISSUER}/userinfo"
OIDC_OP_JWKS_ENDPOINT = f"{ISSUER}/jwks"
OIDC_RP_CLIENT_ID = os.environ["OIDC_CLIENT_ID"]
OIDC_RP_CLIENT_SECRET = os.environ["OIDC_CLIENT_SECRET"]  # registered with client_secret_post
OIDC_RP_SIGN_ALGO = "ES256"
OIDC_RP_SCOPES = "openid name email"
OIDC_USE_PKCE = True
OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"acr_values": "loa2"}
OIDC_STORE_ID_TOKEN = True  # for signing out at LienKet
OIDC_OP_LOGOUT_URL_METHOD = "tests.parties.django_portal.backend.logout_address"
# After so many seconds the middleware asks LienKet, unseen by the citizen, whether they are still signed in there.
OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = int(os.environ.get("OIDC_RENEW_SECONDS", "900"))
LOGIN_REDIRECT_URL = "/me"
LOGIN_REDIRECT_URL_FAILURE = "/refused"
LOGOUT_REDIRECT_URL = "/signed-out"
