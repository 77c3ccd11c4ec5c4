"""The factory: settings -> keyring and database -> services -> blueprints. Nothing is decided here."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader
from werkzeug.middleware.proxy_fix import ProxyFix

from idp.account import views as account_views
from idp.account.agencies import views as agencies_views
from idp.account.data import views as data_views
from idp.account.history import views as history_views
from idp.account.language import views as language_views
from idp.account.passkeys import views as passkeys_views
from idp.account.sessions import views as sessions_views
from idp.agencies.clients import ClientDirectory
from idp.agencies.remote_keys import ClientKeys
from idp.citizens.contacts import CitizenContacts
from idp.citizens.registry import registry
from idp.core import keyring, runner, settings, web
from idp.core import logging as core_logging
from idp.core.database import db, driver_url, engine_options, hot_path, prepare_engine
from idp.core.keyring import Purpose
from idp.core.limits import limiter
from idp.core.outbound import Outbound
from idp.core.settings import Settings
from idp.keys.ring import SigningKeys
from idp.notify.deliveries import Notices
from idp.notify.mail import carrier_of
from idp.oidc import views as oidc_views
from idp.oidc.decoupled import views as decoupled_views
from idp.oidc.logout import backchannel
from idp.oidc.logout import views as logout_views
from idp.oidc.registration import views as registration_views
from idp.ops import views as ops_views
from idp.sso import views as sso_views
from idp.sso.services import Services

_HERE = Path(__file__).resolve().parent
_ASSET_LIFE = timedelta(days=365)


class _Flask(Flask):
    """Flask without looking at each call whether a view is a coroutine: none is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(chosen: Settings | None = None) -> Flask:
    """Return the provider as a WSGI application.

    Reads the settings from file and environment unless given. Raises SettingsRefused or KeyringRefused rather than
    start in an unsafe state. Touches the database only when the first request needs it.
    """
    chosen = chosen or settings.load()
    core_logging.configure(chosen.log_level)
    app = _Flask("idp", root_path=str(_HERE), static_folder="static/assets", static_url_path="/static")
    # Flask's own session stays off: no SECRET_KEY, no cookie that nobody asked for.
    app.config.update(
        SQLALCHEMY_DATABASE_URI=driver_url(chosen.database_url),
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(chosen.database_url),
        SEND_FILE_MAX_AGE_DEFAULT=_ASSET_LIFE,
    )
    app.jinja_env.loader = ChoiceLoader(
        [
            FileSystemLoader(templates_directory()),
            PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
        ]
    )
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
    app.extensions[web.EXTENSION] = provided = _services(chosen)
    app.extensions[backchannel.EXTENSION] = channel = backchannel.BackChannel(provided)
    app.extensions[runner.EXTENSION] = (channel, _notices(provided))
    web.install(
        app,
        chosen,
        machine_paths=oidc_views.MACHINE_PATHS
        | decoupled_views.MACHINE_PATHS
        | registration_views.MACHINE_PATHS
        | ops_views.PATHS,
        machine_error=oidc_views.machine_error,
    )
    for blueprint in (
        oidc_views.blueprint,
        decoupled_views.blueprint,
        logout_views.blueprint,
        registration_views.blueprint,
        sso_views.blueprint,
        account_views.blueprint,
        history_views.blueprint,
        passkeys_views.blueprint,
        sessions_views.blueprint,
        agencies_views.blueprint,
        language_views.blueprint,
        data_views.blueprint,
        ops_views.blueprint,
    ):
        app.register_blueprint(blueprint)
    if chosen.proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=chosen.proxy_hops, x_proto=chosen.proxy_hops, x_host=0, x_port=0, x_prefix=0
        )
    return app


def _services(chosen: Settings) -> Services:
    keys = keyring.load(chosen.secrets_dir, is_production=not chosen.is_sandbox)
    path = hot_path(chosen.database_url)
    outbound = Outbound(
        is_sandbox=chosen.is_sandbox, private_hosts=chosen.private_hosts, ca_file=chosen.outbound_ca_file
    )
    return Services(
        settings=chosen,
        keyring=keys,
        hot_path=path,
        clients=ClientDirectory(path),
        client_keys=ClientKeys(outbound),
        signing_keys=SigningKeys(path, keys),
        registry=registry(chosen, keyring=keys),
        limiter=limiter(path, chosen.valkey_url, secret=keys.key(Purpose.LOG).material),
        outbound=outbound,
    )


def _notices(provided: Services) -> Notices:
    chosen = provided.settings
    contacts = CitizenContacts(
        hot_path=provided.hot_path, keyring=provided.keyring, default_language=chosen.default_language
    )
    return Notices(
        settings=chosen,
        keyring=provided.keyring,
        hot_path=provided.hot_path,
        contacts=contacts,
        carrier=carrier_of(chosen),
    )


def templates_directory() -> Path:
    """Return where the templates are: in the package once installed, beside it in a checkout."""
    installed = _HERE / "templates"
    return installed if installed.is_dir() else _HERE.parent / "templates"
