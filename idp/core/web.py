"""The edge: what every request passes and every answer carries.

Owns reading parameters from Flask's request, cookies, security headers with the per-transaction `form-action`,
the language of a page, and turning failures into pages. Leaves routes to the rooms' `views` and JSON errors to
`oidc.views`. Headers and limits: security.md, 7.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import flask
from flask import Flask, Request, Response, g, render_template, request  # noqa: TID251 (the edge alone keeps g)
from jinja2 import ChoiceLoader, FileSystemLoader, PackageLoader, PrefixLoader, Template
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from idp.core import asked, errors, i18n, parameters
from idp.core.asked import Asked
from idp.core.database import DatabaseUnavailable
from idp.core.errors import Entry, Failure
from idp.core.ids import new_reference
from idp.core.logging import request_line, set_reference
from idp.core.parameters import MalformedParameters, Parameters
from idp.core.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from jinja2.environment import TemplateModule
    from jinja2.runtime import Context

log = logging.getLogger("idp.web")

_PAGE_POLICY = (
    "default-src 'none'; {script}style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'{origin}; "
    "base-uri 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
)
_DATA_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_COMMON_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_PAGE_HEADERS = (
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("Vary", "Cookie"),
)
# Kept: `json.dumps` with an option of ours would make a new encoder for each answer.
_encode = json.JSONEncoder(ensure_ascii=False).encode
_PRIVATE_HEADERS = (("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin"))
# In the WSGI environment: which list of constant headers this answer gets.
_CONSTANTS = "lienket.headers"
_STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload")
EXTENSION = "lienket"
LANGUAGE_COOKIE = "lang"
_DEFAULT_LANGUAGE = "LIENKET_DEFAULT_LANGUAGE"
_PUBLISHED_SECONDS = 300
_LONGEST_HEADERS = 16_384
_ENTRIES_BY_STATUS = {
    404: errors.NOT_FOUND,
    405: errors.METHOD_NOT_ALLOWED,
    413: errors.REQUEST_TOO_LARGE,
    431: errors.REQUEST_TOO_LARGE,
}
# Balancers ask a worker by its own address.
_ANY_HOST = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True)
class Back:
    """The way back to the portal from an error page: a small form of ours, or a link from the client's record."""

    kind: str
    url: str
    agency: str
    csrf: str = ""


@dataclass(frozen=True, slots=True)
class Language:
    """One entry of the language switch."""

    code: str
    label: str
    url: str
    current: bool


# --- reading ----------------------------------------------------------------------------------------------------


def query_parameters() -> Parameters:
    """Return the parameters of the query string. Raises Failure MALFORMED_REQUEST or REQUEST_TOO_LARGE."""
    raw: bytes = request.query_string
    if len(raw) > parameters.LONGEST_QUERY:
        raise Failure(errors.REQUEST_TOO_LARGE)
    return _read(raw)


def form_parameters() -> Parameters:
    """Return the parameters of a form body. Raises Failure MALFORMED_REQUEST or REQUEST_TOO_LARGE.

    A query string beside the form is refused: two places for one parameter invite parameter pollution.
    """
    if request.query_string:
        raise Failure(errors.MALFORMED_REQUEST)
    if (request.content_length or 0) > parameters.LONGEST_FORM:
        raise Failure(errors.REQUEST_TOO_LARGE)
    body: bytes = request.get_data()
    if body and request.mimetype != "application/x-www-form-urlencoded":
        raise Failure(errors.MALFORMED_REQUEST)
    return _read(body, of_lines=parameters.OF_LINES)


def _read(encoded: bytes, *, of_lines: frozenset[str] = frozenset()) -> Parameters:
    try:
        read = parameters.read(encoded, of_lines=of_lines)
    except MalformedParameters:
        raise Failure(errors.MALFORMED_REQUEST) from None
    asked.current().parameters = read
    return read


def extension() -> object:
    """Return what the factory put under our name on the application that serves this request."""
    return flask.current_app.extensions[EXTENSION]


def reference() -> str:
    """Return the reference of this request, as its log line and its error page carry it."""
    value: str = g.reference
    return value


def is_from_elsewhere() -> bool:
    """Tell whether a browser says that another site's page sent this request, a sibling's included.

    Silence counts as ours: browsers before 2020 do not say, and SameSite=Lax protects them (Fetch Metadata, 2.1).
    """
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def remote_address() -> str:
    """Return the address of the browser, as the one trusted proxy says it if there is one."""
    return request.remote_addr or ""


@dataclass(frozen=True, slots=True)
class PassedCertificate:
    """A client certificate as the proxy wrote it, and whether the proxy followed it to an authority it trusts."""

    header: str
    is_verified: bool


def is_for_certificates(settings: Settings) -> bool:
    """Tell whether the request came to the address where clients show TLS certificates."""
    return settings.mtls_host is not None and request.host.lower() == settings.mtls_host


def passed_certificate(settings: Settings) -> PassedCertificate | None:
    """Return the client certificate of this request, None without one.

    The header is believed at that address alone, and only from the one hop in IDP_PROXY_ADDRESSES: anybody could
    write it (CVE-2026-40575 and its kin, security.md, 2.2).
    """
    if settings.client_certificate_header is None or not is_for_certificates(settings):
        return None
    header = request.headers.get(settings.client_certificate_header)
    # What the server saw, before ProxyFix put the browser's address in its place.
    hop = request.environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR")
    if not header or not _is_proxy(hop, settings.proxy_addresses):
        return None
    verdict = settings.client_verify_header
    return PassedCertificate(header, verdict is not None and request.headers.get(verdict) == "SUCCESS")


@lru_cache(256)
def _is_proxy(address: str | None, allowed: str) -> bool:
    try:
        seen = ip_address(address or "")
    except ValueError:
        return False
    return any(seen in ip_network(part.strip()) for part in allowed.split(",") if part.strip())


# --- cookies ----------------------------------------------------------------------------------------------------


def cookie_name(name: str, settings: Settings) -> str:
    """Return the name of a cookie of ours: `__Host-` wherever the issuer is https (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{name}" if settings.is_https else name


def set_cookie(response: Response, name: str, value: str, settings: Settings, *, max_age: int | None = None) -> None:
    """Put a cookie of ours on the answer: HttpOnly, SameSite=Lax, Secure on https, no Domain."""
    response.set_cookie(
        cookie_name(name, settings),
        value,
        max_age=max_age,
        path="/",
        secure=settings.is_https,
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(response: Response, name: str, settings: Settings) -> None:
    """Tell the browser to forget a cookie of ours."""
    set_cookie(response, name, "", settings, max_age=0)


# --- pages ------------------------------------------------------------------------------------------------------


class _Template(Template):
    """A template whose macros are at hand once it was imported.

    Jinja compares the names of the importing page with its own at each `import`, some forty times for one of our
    pages and a third of what it costs. All our templates have the same global names: those of the environment.
    """

    def _get_default_module(self, ctx: "Context | None" = None) -> "TemplateModule":
        module: TemplateModule = self._module or super()._get_default_module(ctx)
        return module


def render(
    template: str,
    *,
    status: int = 200,
    form_action: str | None = None,
    with_script: bool = False,
    frame_sources: Collection[str] = (),
    **context: Any,
) -> Response:
    """Return a page. `form_action` is the portal's origin that a form on it may lead to, besides ourselves;
    `with_script` allows the scripts we serve, which no page needs to be complete; `frame_sources` are the origins
    of frames on it."""
    g.is_page = True
    g.form_action = form_action
    g.with_script = with_script
    g.frame_sources = frame_sources
    return flask.make_response(render_template(template, **context), status)


def render_stream(template: str, **context: Any) -> Response:
    """Return a page that is sent while it is made, for one that may be very long and has no forms."""
    g.is_page = True
    g.form_action = g.frame_sources = None
    g.with_script = False
    flask.current_app.update_template_context(context)
    stream = flask.current_app.jinja_env.get_template(template).stream(context)
    stream.enable_buffering(256)
    return streamed(stream, "text/html")


def streamed(chunks: Iterator[str], mimetype: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that is sent while `chunks` make it.

    Each is made in an application context of its own: the server asks for them when the request is over, from whatever
    thread it likes, and no transaction must wait for a slow line.
    """
    app = cast(Flask, flask.current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 (the proxy)
    language = current_language()

    def sent() -> Iterator[bytes]:
        while True:
            with app.app_context():
                g.language = language
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk.encode()

    return Response(sent(), mimetype=mimetype, headers=headers)


def see_other(location: str) -> Response:
    """Return a redirect with 303, so that a form's body with a password is never sent on (RFC 9700, 4.12)."""
    return Response(status=303, headers={"Location": location})


def onward(response: Response) -> Response:
    """Return a redirect as a page that goes on by itself at once, and anything else as it is.

    For an address to which another site's form may lead: Chromium holds that site's form-action against every redirect
    after the form, and the site knows our address, not where we send people from there. The chain ends at a page.
    """
    if response.status_code != HTTPStatus.SEE_OTHER:
        return response
    address = response.headers.pop("Location")
    page = render("onward.html", address=address)
    response.status_code, response.content_type = page.status_code, page.content_type
    response.headers["Refresh"] = f"0; url={address}"
    response.set_data(page.get_data())
    return response


def prefer_languages(ui_locales: tuple[str, ...]) -> None:
    """Say which languages the portal asked for; what the person chose on our pages goes first."""
    g.ui_locales = ui_locales


def keep_no_language() -> None:
    """Say that the browser is one that others use: the language chosen in it is forgotten when it is closed."""
    g.keeps_language = False


def current_language() -> str:
    """Return the language of the page being served. The browser's own header is not asked: a phone set up in
    English by a shop must not greet a farmer in English; the switch stands on every page."""
    if "language" not in g:
        g.language = i18n.negotiate(
            chosen=g.get("chosen_language"),
            cookie=request.cookies.get(LANGUAGE_COOKIE),
            ui_locales=g.get("ui_locales", ()),
            default=flask.current_app.config[_DEFAULT_LANGUAGE],
        )
    language: str = g.language
    return language


def translate(message: str, **values: object) -> str:
    """Return the text of `message` in the language of the page being served."""
    return i18n.translate(current_language(), message, **values)


def error_page(entry: Entry, *, reference: str, back: Back | None = None, form_action: str | None = None) -> Response:
    """Return the page of a catalogue entry with its code and the reference of this request."""
    asked.refuse(entry)
    return render(
        "errors/error.html",
        status=entry.status,
        form_action=form_action,
        title=translate(f"error.{entry.code}.title"),
        message=translate(f"error.{entry.code}.message"),
        advice=translate(f"error.{entry.code}.advice"),
        code=entry.code,
        reference=reference,
        back=back,
    )


def json_answer(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON document for a portal, never cached."""
    response = Response(_encode(document), status, mimetype="application/json")
    if headers:
        response.headers.update(headers)
    return response


def published(body: bytes, etag: str, *, seconds: int = _PUBLISHED_SECONDS) -> Response:
    """Return a JSON document for everybody, kept for so many seconds, readable from any origin; 304 if unchanged."""
    g.is_public = True
    headers = {"Cache-Control": f"public, max-age={seconds}", "Access-Control-Allow-Origin": "*", "ETag": etag}
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers=headers)
    return Response(body, mimetype="application/json", headers=headers)


def picture(content: bytes, media_type: str) -> Response:
    """Return a picture whose address changes with it: for everybody, kept for good (RFC 8246)."""
    g.is_public = True
    return Response(content, mimetype=media_type, headers={"Cache-Control": "public, max-age=31536000, immutable"})


# --- installation -----------------------------------------------------------------------------------------------


class _Request(Request):
    max_content_length = parameters.LONGEST_FORM
    max_form_parts = parameters.MOST_FIELDS


class Observer(Protocol):
    """Whoever looks at requests once they are answered. It must be quick, and never raise."""

    def observe(self, environ: Mapping[str, Any], asked: Asked, *, reference: str, status: int) -> None:
        """Take note of one request; `environ` is that of WSGI."""


def template_loader() -> ChoiceLoader:
    """Return where templates come from: ours, in the package once installed and beside it in a checkout, and the
    library's under its name."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    ours = FileSystemLoader(installed if installed.is_dir() else package.parent / "templates")
    return ChoiceLoader([ours, PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})])


def install(
    app: Flask,
    settings: Settings,
    *,
    machine_paths: frozenset[str],
    machine_error: Callable[[Entry], Response],
    observer: Observer | None = None,
) -> None:
    """Put the edge on `app`: checks before, headers after, pages for failures.

    `machine_paths` are answered to programs: their failures go to `machine_error`, which makes JSON of them. One that
    ends with a slash stands for all below it. `observer` sees every request with its answer, where there is one.
    """
    app.request_class = _Request
    app.config[_DEFAULT_LANGUAGE] = settings.default_language
    _install_pages(app, settings)
    _install_checks(app, settings, machine_paths)
    _install_headers(app, settings, observer)
    _install_failures(app, machine_paths, machine_error)


def _install_pages(app: Flask, settings: Settings) -> None:
    assets = json.loads((Path(app.root_path) / "static" / "manifest.json").read_text("utf-8"))
    asset_urls = {name: f"/static/{entry['file']}" for name, entry in assets.items()}
    app.jinja_env.template_class = _Template
    app.jinja_env.add_extension("jinja2.ext.i18n")
    text, counted_text = i18n.gettext_callables(current_language)
    app.jinja_env.install_gettext_callables(text, counted_text, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals.update(
        asset=asset_urls.__getitem__, service_name=settings.service_name, sandbox=settings.is_sandbox
    )

    @app.context_processor
    def page_context() -> dict[str, Any]:
        language = current_language()
        return {"language": language, "languages": _language_switch(language)}


def _install_checks(app: Flask, settings: Settings, machine_paths: frozenset[str]) -> None:
    host = settings.issuer_host
    mtls_host = settings.mtls_host

    @app.before_request
    def check_request() -> None:
        g.started = time.perf_counter()
        g.reference = new_reference()
        set_reference(g.reference)
        g.asked = asked.begin()
        called = request.host.lower()
        answered = _ANY_HOST | machine_paths if called == mtls_host else _ANY_HOST
        if called != host and request.path not in answered:
            # Links and issuer come from the settings alone; a foreign Host is a probe or a broken proxy. The address
            # for certificates has no pages: a browser must not be asked for one.
            raise Failure(errors.MALFORMED_REQUEST)
        if len(request.environ.get("HTTP_COOKIE", "")) > _LONGEST_HEADERS:
            raise Failure(errors.REQUEST_TOO_LARGE)
        if b"lang=" in request.query_string and (chosen := request.args.get("lang")) in i18n.LANGUAGES:
            g.chosen_language = chosen


def _install_headers(app: Flask, settings: Settings, observer: Observer | None) -> None:
    common = [*_COMMON_HEADERS, _STRICT_TRANSPORT] if settings.is_https else [*_COMMON_HEADERS]
    page = [*common, *_PRIVATE_HEADERS, *_PAGE_HEADERS]
    data = [*common, *_PRIVATE_HEADERS, _DATA_POLICY]
    public = [*common, _DATA_POLICY, ("Cross-Origin-Resource-Policy", "cross-origin")]
    inner = app.wsgi_app

    def with_common_headers(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        # Constants, so they are added to the finished list: a tenth of what Werkzeug's headers would cost.
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, headers + environ.get(_CONSTANTS, data), *rest)

        return inner(environ, cast("StartResponse", start))

    app.wsgi_app = with_common_headers  # type: ignore[method-assign]

    @app.after_request
    def add_headers(response: Response) -> Response:
        if g.get("is_page"):
            request.environ[_CONSTANTS] = page
            origin = g.get("form_action")
            policy = _PAGE_POLICY.format(
                origin=f" {origin}" if origin else "", script="script-src 'self'; " if g.get("with_script") else ""
            )
            if frames := g.get("frame_sources"):
                policy += "; frame-src " + " ".join(sorted(set(frames)))
            response.headers["Content-Security-Policy"] = policy
            if chosen := g.get("chosen_language"):
                _remember_language(response, chosen, settings)
        elif g.get("is_public") or request.endpoint == "static":
            request.environ[_CONSTANTS] = public
        if not g.get("keeps_language", True) and (known := request.cookies.get(LANGUAGE_COOKIE)) in i18n.LANGUAGES:
            _remember_language(response, g.get("chosen_language") or known, settings)
        request_line(
            reference=g.reference,
            method=request.method,
            endpoint=request.endpoint,
            status=response.status_code,
            milliseconds=(time.perf_counter() - g.started) * 1000,
        )
        if observer is not None:
            observer.observe(request.environ, g.asked, reference=g.reference, status=response.status_code)
        return response


def _remember_language(response: Response, language: str, settings: Settings) -> None:
    life = 31_536_000 if g.get("keeps_language", True) else None
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=life, secure=settings.is_https, samesite="Lax", httponly=True
    )


def _install_failures(app: Flask, machine_paths: frozenset[str], machine_error: Callable[[Entry], Response]) -> None:
    machine_folders = tuple(path for path in machine_paths if path.endswith("/"))

    def answer(entry: Entry, *, retry_after: int | None = None) -> Response:
        # What a half-made page set must not leak onto the error page.
        g.form_action = g.frame_sources = None
        g.with_script = False
        is_for_program = request.path in machine_paths or request.path.startswith(machine_folders)
        response = machine_error(entry) if is_for_program else error_page(entry, reference=reference())
        if retry_after is not None or entry is errors.BUSY:
            response.headers["Retry-After"] = str(retry_after or 5)
        return response

    @app.errorhandler(Failure)
    def on_failure(failure: Failure) -> Response:
        log.warning("refused", extra={"code": failure.entry.code, "endpoint": request.endpoint})
        return answer(failure.entry, retry_after=failure.retry_after)

    @app.errorhandler(DatabaseUnavailable)
    @app.errorhandler(PoolTimeout)
    @app.errorhandler(DBAPIError)
    def on_database(error: Exception) -> Response:
        if isinstance(error, DBAPIError) and not _is_unavailable(error):
            return on_defect(error)
        log.error("database unavailable", exc_info=error, extra={"code": errors.BUSY.code})
        return answer(errors.BUSY)

    @app.errorhandler(HTTPException)
    def on_http(error: HTTPException) -> Response:
        entry = _ENTRIES_BY_STATUS.get(error.code or 500, errors.MALFORMED_REQUEST)
        response = answer(entry)
        if allowed := getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(Exception)
    def on_defect(error: Exception) -> Response:
        log.error("defect", exc_info=error, extra={"code": errors.INTERNAL.code})
        return answer(errors.INTERNAL)


def _is_unavailable(error: DBAPIError) -> bool:
    """Tell a database that is away, read-only or overloaded from a statement of ours that is wrong."""
    return error.connection_invalidated or isinstance(error, OperationalError | InternalError)


def _language_switch(current: str) -> list[Language]:
    # The query stays, so that an error page about a request is about the same request in the next language.
    kept = [part for part in request.query_string.decode("latin-1").split("&") if part and part[:5] != "lang="]
    return [
        Language(
            code, i18n.LANGUAGE_LABELS[code], f"{request.path}?{'&'.join([*kept, f'lang={code}'])}", code == current
        )
        for code in i18n.LANGUAGES
    ]


def origin_of(url: str) -> str:
    """Return scheme and authority of `url`, the form a `form-action` source has."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
