"""The provider over HTTP: addresses for programs, and the pages on which a tester says who signs in."""

from urllib.parse import urlencode

from flask import Flask, Response, request

from idp.citizens.numbers import VN_PIN, scheme
from idp.core import errors, web
from idp.core.errors import Entry, Failure
from idp.core.parameters import Parameters
from idp.core.settings import Profile, Settings
from idp.core.web import form_parameters, query_parameters, see_other
from idp.sandbox.provider import identity
from idp.sandbox.provider.faults import Fault
from idp.sandbox.provider.protocol import AuthorizationRequest, PersonaProvider, Told, Untrusted, is_loopback
from idp.sandbox.provider.record import NAMES
from idp.sso.forms import FieldError, field_error

_MACHINE_PATHS = frozenset({"/token", "/userinfo", "/jwks", "/.well-known/openid-configuration", "/healthz"})
# From a page here the way leads to the client, and from there at once to the portal that asked it: browsers hold a form
# to all of it.
_LOOPBACK = "http://localhost:* http://127.0.0.1:*"
_TYPED = "typed"
_PROXIES = frozenset({"Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"})


def create_provider(provider: PersonaProvider) -> Flask:
    """Return `provider` as a WSGI application, which answers this machine alone."""
    app = Flask("idp", static_folder="static/assets", static_url_path="/static")
    app.jinja_env.loader = web.template_loader()
    settings = Settings(profile=Profile.SANDBOX, issuer=provider.issuer, service_name=NAMES["vi"])
    web.install(app, settings, machine_paths=_MACHINE_PATHS, machine_error=_machine_error)

    @app.before_request
    def refuse_others() -> None:
        # Whoever listens here may have been put behind a proxy, or on another address. A proxy that says nothing of
        # itself is not noticed; all it could reach leads back to this machine.
        if not is_loopback(web.remote_address()) or not _PROXIES.isdisjoint(request.headers.keys()):
            raise Failure(errors.NOT_FOUND)

    _add_machine_addresses(app, provider)
    _add_pages(app, provider)
    _add_sign_in(app, provider)
    return app


def _add_machine_addresses(app: Flask, provider: PersonaProvider) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return web.json_answer({"status": "ok"})

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        return web.json_answer(provider.metadata())

    @app.get("/jwks")
    def jwks() -> Response:
        return web.json_answer(provider.jwks())

    @app.post("/token")
    def token() -> Response:
        return _told(provider.redeem(form_parameters(), request.headers.get("Authorization")))

    @app.route("/userinfo", methods=["GET", "POST"])
    def userinfo() -> Response:
        return _told(provider.userinfo(request.headers.get("Authorization")))


def _add_pages(app: Flask, provider: PersonaProvider) -> None:
    @app.get("/")
    def home() -> Response:
        return web.render("sandbox/home.html", is_signed_out=False)

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Response:
        given = form_parameters() if request.method == "POST" else query_parameters()
        try:
            handle, refusal = provider.begin(given)
        except Untrusted:
            raise Failure(errors.FOREIGN_REDIRECT_URI) from None
        return see_other(refusal if handle is None else f"/signin/{handle}")

    @app.route("/end_session", methods=["GET", "POST"])
    def end_session() -> Response:
        # Nobody stays signed in here, so there is nothing to end and nothing to ask.
        given = form_parameters() if request.method == "POST" else query_parameters()
        address = provider.farewell(given)
        return see_other(address) if address else web.render("sandbox/home.html", is_signed_out=True)


def _add_sign_in(app: Flask, provider: PersonaProvider) -> None:
    @app.route("/signin/<handle>", methods=["GET", "POST"])
    def people(handle: str) -> Response:
        waiting = _waiting(provider, handle)
        if request.method == "GET":
            return _people_page(handle, fault=Fault.NONE, problems=[])
        form = form_parameters()
        chosen, fault = form.get("person", ""), _fault(form)
        if chosen == _TYPED:
            return see_other(f"/signin/{handle}/person?{urlencode({'fault': fault.value})}")
        for each in identity.prepared_people():
            if each.key == chosen:
                return see_other(provider.answer(waiting, each.identity, fault))
        return _people_page(handle, fault=fault, problems=[field_error("person", "trial.error.nobody-chosen")])

    @app.route("/signin/<handle>/person", methods=["GET", "POST"])
    def person(handle: str) -> Response:
        waiting = _waiting(provider, handle)
        if request.method == "GET":
            return _person_page(handle, identity.Typed(), _fault(query_parameters()))
        form = form_parameters()
        typed, fault = identity.read(form), _fault(form)
        if typed.problems:
            return _person_page(handle, typed, fault)
        return see_other(provider.answer(waiting, typed.identity(), fault))

    @app.post("/signin/<handle>/cancel")
    def cancel(handle: str) -> Response:
        return see_other(provider.decline(_waiting(provider, handle)))


def _waiting(provider: PersonaProvider, handle: str) -> AuthorizationRequest:
    waiting = provider.request(handle)
    if waiting is None:
        raise Failure(errors.FLOW_LOST)
    web.prefer_languages(waiting.languages)
    return waiting


def _people_page(handle: str, *, fault: Fault, problems: list[FieldError]) -> Response:
    numbers = scheme(VN_PIN, test_numbers=True)
    rows = [
        (each.key, each.identity.full_name, numbers.display(each.identity.number), each.identity.level)
        for each in identity.prepared_people()
    ]
    return web.render(
        "sandbox/people.html",
        form_action=_LOOPBACK,
        people=rows,
        faults=[each.value for each in Fault],
        fault=fault.value,
        errors=problems,
        action=f"/signin/{handle}",
    )


def _person_page(handle: str, typed: identity.Typed, fault: Fault) -> Response:
    problems = [field_error(name, f"trial.error.{problem}") for name, problem in typed.problems.items()]
    return web.render(
        "sandbox/person.html",
        form_action=_LOOPBACK,
        form=typed,
        levels=identity.LEVELS,
        fault=fault.value,
        errors=problems,
        action=f"/signin/{handle}/person",
        back=f"/signin/{handle}",
    )


def _fault(form: Parameters) -> Fault:
    word = form.get("fault", "")
    return Fault(word) if word in set(Fault) else Fault.NONE


def _told(told: Told) -> Response:
    return web.json_answer(told.document, told.status, {"Pragma": "no-cache", **told.headers})


def _machine_error(entry: Entry) -> Response:
    return web.json_answer({"error": entry.oauth_error or "invalid_request"}, entry.status)
