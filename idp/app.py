"""The factory: settings -> keyring and database -> services -> blueprints. Nothing is decided here."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy.engine import Engine
from werkzeug.middleware.proxy_fix import ProxyFix

from idp.account import views as account_views
from idp.account.agencies import views as agencies_views
from idp.account.apps import views as apps_views
from idp.account.closing import views as closing_views
from idp.account.closing.job import Closings
from idp.account.contacts import views as contacts_views
from idp.account.data import views as data_views
from idp.account.disowning import views as disowning_views
from idp.account.history import views as history_views
from idp.account.language import views as language_views
from idp.account.lock import views as lock_views
from idp.account.mandates import views as account_mandates_views
from idp.account.passkeys import views as passkeys_views
from idp.account.password import views as password_views
from idp.account.providers import views as providers_views
from idp.account.recovery import views as recovery_views
from idp.account.rights import views as rights_views
from idp.account.sessions import views as sessions_views
from idp.account.ways import views as ways_views
from idp.agencies.clients import ClientDirectory
from idp.agencies.remote_keys import ClientKeys
from idp.audit.job import Sealing, key_of
from idp.citizens.applicants.waiting import WaitingEnrolments
from idp.citizens.contacts import CitizenContacts
from idp.citizens.registry import registry
from idp.console import views as console_views
from idp.console.invitation import views as console_invitation_views
from idp.console.providers import views as console_providers_views
from idp.console.providers.change import views as console_change_views
from idp.console.providers.incident import views as console_incident_views
from idp.console.staff import views as console_staff_views
from idp.core import keyring, runner, settings, web
from idp.core import logging as core_logging
from idp.core.database import db, driver_url, engine_options, hot_path, prepare_engine
from idp.core.keyring import Purpose
from idp.core.limits import Buckets, limiter
from idp.core.outbound import Outbound
from idp.core.settings import Settings
from idp.counter import views as counter_views
from idp.counter.assist import views as assist_views
from idp.counter.citizen import views as counter_citizen_views
from idp.counter.mandates import views as counter_mandates_views
from idp.counter.visits import views as visits_views
from idp.inspector.waiting import Inspection
from idp.keys.ring import SigningKeys
from idp.notify.deliveries import Notices, senders_of
from idp.oidc import inspected
from idp.oidc import views as oidc_views
from idp.oidc.decoupled import views as decoupled_views
from idp.oidc.logout import backchannel
from idp.oidc.logout import views as logout_views
from idp.oidc.rechecks import Rechecks
from idp.oidc.registration import views as registration_views
from idp.ops import views as ops_views
from idp.ops.housekeeping import Housekeeping
from idp.sso import views as sso_views
from idp.sso.enrolment import views as enrolment_views
from idp.sso.enrolment.credentials import views as enrolment_credentials_views
from idp.sso.fallback import views as fallback_views
from idp.sso.federation import views as federation_views
from idp.sso.forgotten import views as forgotten_views
from idp.sso.services import Services
from idp.upstream.directory import ProviderDirectory
from idp.upstream.health import Probes
from idp.upstream.login import Upstream

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
    app.jinja_env.loader = web.template_loader()
    db.init_app(app)
    with app.app_context():
        prepare_engine(engine := db.engine)
    app.extensions[web.EXTENSION] = provided = _services(chosen)
    app.extensions[backchannel.EXTENSION] = channel = backchannel.BackChannel(provided)
    inspection = Inspection(engine, inspected.records_of(provided))
    # Named, so that what a runner needs is checked: an extension may be anything.
    delivered: tuple[runner.Deliveries, ...] = (
        channel,
        *_notices(provided),
        _enrolments(provided, app),
        Probes(providers=provided.providers, hot_path=provided.hot_path, outbound=provided.outbound),
        Rechecks(provided, app.app_context),
        Closings(provided, app.app_context),
        Housekeeping(app.app_context, keyring=provided.keyring, limiter=provided.limiter),
        *_sealing(provided, engine),
        inspection,
    )
    app.extensions[runner.EXTENSION] = delivered
    web.install(
        app,
        chosen,
        machine_paths=oidc_views.MACHINE_PATHS
        | decoupled_views.MACHINE_PATHS
        | registration_views.MACHINE_PATHS
        | federation_views.MACHINE_PATHS
        | ops_views.PATHS,
        machine_error=oidc_views.machine_error,
        observer=inspection,
    )
    for blueprint in (
        oidc_views.blueprint,
        decoupled_views.blueprint,
        logout_views.blueprint,
        registration_views.blueprint,
        sso_views.blueprint,
        federation_views.blueprint,
        fallback_views.blueprint,
        forgotten_views.blueprint,
        enrolment_views.blueprint,
        enrolment_credentials_views.blueprint,
        account_views.blueprint,
        history_views.blueprint,
        ways_views.blueprint,
        apps_views.blueprint,
        passkeys_views.blueprint,
        recovery_views.blueprint,
        password_views.blueprint,
        providers_views.blueprint,
        contacts_views.blueprint,
        sessions_views.blueprint,
        agencies_views.blueprint,
        language_views.blueprint,
        data_views.blueprint,
        disowning_views.blueprint,
        lock_views.blueprint,
        closing_views.blueprint,
        rights_views.blueprint,
        account_mandates_views.blueprint,
        counter_views.blueprint,
        visits_views.blueprint,
        counter_citizen_views.blueprint,
        counter_mandates_views.blueprint,
        assist_views.blueprint,
        console_views.blueprint,
        console_invitation_views.blueprint,
        console_staff_views.blueprint,
        console_providers_views.blueprint,
        console_change_views.blueprint,
        console_incident_views.blueprint,
        ops_views.blueprint,
    ):
        app.register_blueprint(blueprint)
    if chosen.proxy_hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=chosen.proxy_hops, x_proto=chosen.proxy_hops, x_host=0, x_port=0, x_prefix=0
        )
    return app


def _services(chosen: Settings) -> Services:
    keys = keyring.load(chosen.secrets_dir, is_production=not chosen.is_sandbox, gives_own_keys=chosen.person_keys)
    path = hot_path(chosen.database_url)
    outbound = Outbound(
        is_sandbox=chosen.is_sandbox, private_hosts=chosen.private_hosts, ca_file=chosen.outbound_ca_file
    )
    signing_keys = SigningKeys(path, keys)
    return Services(
        settings=chosen,
        keyring=keys,
        hot_path=path,
        clients=ClientDirectory(path),
        client_keys=ClientKeys(outbound),
        signing_keys=signing_keys,
        registry=registry(chosen, keyring=keys),
        limiter=limiter(path, chosen.valkey_url, secret=keys.key(Purpose.LOG).material),
        requests=Buckets(chosen.client_requests),
        outbound=outbound,
        providers=ProviderDirectory(path, keys, is_sandbox=chosen.is_sandbox),
        upstream=Upstream(settings=chosen, keyring=keys, hot_path=path, outbound=outbound, signing_keys=signing_keys),
    )


def _notices(provided: Services) -> tuple[Notices, ...]:
    chosen = provided.settings
    contacts = CitizenContacts(
        hot_path=provided.hot_path, keyring=provided.keyring, default_language=chosen.default_language
    )
    senders = senders_of(chosen)
    return tuple(
        Notices(
            settings=chosen,
            keyring=provided.keyring,
            hot_path=provided.hot_path,
            contacts=contacts,
            senders=senders,
            are_codes=are_codes,
        )
        for are_codes in (False, True)
    )


def _sealing(provided: Services, engine: Engine) -> tuple[Sealing, ...]:
    """Return the sealer of a worker that can reach the key; elsewhere a process of its own seals."""
    key = key_of(provided.settings)
    return () if key is None else (Sealing(engine, provided.hot_path, key, provided.settings),)


def _enrolments(provided: Services, app: Flask) -> WaitingEnrolments:
    return WaitingEnrolments(
        hot_path=provided.hot_path, keyring=provided.keyring, registry=provided.registry, place=app.app_context
    )
