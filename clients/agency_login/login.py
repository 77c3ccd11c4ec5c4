"""The Flask extension: routes, decorator, and the order of the checks."""

from __future__ import annotations

import functools
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.flask_client import OAuthError
from flask import Blueprint, Flask, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from joserfc.errors import ClaimError, JoseError, MissingClaimError
from werkzeug.urls import iri_to_uri

from clients.agency_login.client import create_client
from clients.agency_login.id_token import CLOCK_TOLERANCE, verify_id_token
from clients.agency_login.logout_token import LogoutRefused, SeenTokens, read_logout_token
from clients.agency_login.provider import Provider, is_safe_url
from clients.agency_login.refusals import LANGUAGES, WORDINGS, LoginRefused, Refusal, refuse_oauth_error
from clients.agency_login.return_to import own_path
from clients.agency_login.sessions import MemorySessions, Person, Sessions, rank

log = logging.getLogger("agency_login")

# Sign-ins begun and not finished, each a tab, live in the cookie; three of the longest still fit into its 4 kB.
_PENDING_PREFIX = "_state_lienket_"  # Authlib's, for the client called lienket
_PENDING_LIMIT = 3
_PENDING_LIFETIME = 1800  # seconds
_LONGEST_HINT = 4096  # an ID token in the URL of the sign-out


class AgencyLogin:
    """Connect a Flask portal to LienKet.

    Adds GET /signin (`?return_to=` a path of this portal), the callback at the path of `redirect_uri`, POST /signout
    and the return at the path of `post_logout_redirect_uri`; with `backchannel_logout_uri`, the POST at its path by
    which LienKet says that a citizen has signed out elsewhere. Give `client_secret`, or `private_key` (a JWK mapping,
    EC or RSA) for private_key_jwt. `acr_values` is what an ordinary sign-in asks for, and the least it accepts.
    `session_lifetime` and `timeout` are seconds. Raises ValueError for settings that cannot be safe.
    """

    def __init__(
        self,
        app: Flask,
        *,
        issuer: str,
        client_id: str,
        redirect_uri: str,
        post_logout_redirect_uri: str,
        backchannel_logout_uri: str | None = None,
        client_secret: str | None = None,
        private_key: Mapping[str, Any] | None = None,
        token_endpoint_auth_method: str = "client_secret_basic",  # noqa: S107 - a method, not a secret
        scope: str = "openid",
        acr_values: str = "loa1",
        sessions: Sessions | None = None,
        session_lifetime: int = 1800,
        timeout: float = 5.0,
    ) -> None:
        if (client_secret is None) == (private_key is None):
            raise ValueError("give either client_secret or private_key")
        if not app.secret_key:
            raise ValueError("app.secret_key is missing: the state of a sign-in could be forged")
        if not (is_safe_url(redirect_uri) and is_safe_url(post_logout_redirect_uri)):
            raise ValueError("redirect URIs must be https (http only on loopback)")
        if "openid" not in scope.split():
            raise ValueError("scope must hold openid")
        self.level = min(acr_values.split(), key=rank, default="")
        if not rank(self.level):
            raise ValueError("acr_values must be levels between loa1 and loa3")
        self.provider = Provider(issuer, timeout=timeout)
        self.client_id = client_id
        self.redirect_uri = redirect_uri
        self.post_logout_redirect_uri = post_logout_redirect_uri
        self.backchannel_logout_uri = backchannel_logout_uri
        self.acr_values = acr_values
        self.sessions = sessions or MemorySessions()
        self.session_lifetime = session_lifetime
        self._seen = SeenTokens()
        self._client = create_client(
            app,
            self.provider,
            client_id=client_id,
            credential=client_secret or private_key,
            auth_method=token_endpoint_auth_method,
            scope=scope,
        )
        self._protect_cookie(app)
        app.register_blueprint(self._routes())
        # At DEBUG Authlib writes code verifiers and tokens to the log.
        logging.getLogger("authlib").setLevel(logging.INFO)

    @property
    def person(self) -> Person | None:
        """Return the citizen signed in at this portal, or None."""
        session_id = session.get("session_id")
        return self.sessions.get(session_id) if isinstance(session_id, str) else None

    @property
    def language(self) -> str:
        """Return "vi" or "en": what `?lang=` chose, now or before, else the browser's wish, else Vietnamese."""
        chosen = request.args.get("lang")
        if chosen in LANGUAGES and session.get("language") != chosen:
            session["language"] = chosen
        return session.get("language") or request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]

    def login_required(self, *, level: str | None = None) -> Callable[..., Callable[..., ResponseReturnValue]]:
        """Let a view run only for a signed-in citizen of at least `level`; otherwise send them to LienKet.

        Never loops: an answer below `level` ends in the callback with a page, and does not come back to the view.
        """
        if level is not None and not rank(level):
            raise ValueError("level must be between loa1 and loa3")

        def decorate(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
            @functools.wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
                person = self.person
                if person is not None and person.reaches(level or self.level):
                    return view(*args, **kwargs)
                # A form cannot be sent again by a redirect, so only a page is returned to.
                here = iri_to_uri(request.full_path.rstrip("?")) if request.method == "GET" else None
                return self.begin(return_to=here, level=level)

            return guarded

        return decorate

    def begin(self, *, return_to: str | None = None, level: str | None = None) -> ResponseReturnValue:
        """Send the citizen to LienKet, asking for `level` or the portal's ordinary level.

        Anything but a path of this portal in `return_to` becomes the start page.
        """
        demanded = level or self.level
        state = secrets.token_urlsafe(32)
        try:
            sent = self._client.create_authorization_url(
                self.redirect_uri,
                state=state,
                nonce=secrets.token_urlsafe(32),
                code_verifier=secrets.token_urlsafe(48),
                acr_values=level or self.acr_values,
                ui_locales=self.language,
            )
        except LoginRefused as refused:
            return self._page(refused)
        self._forget_oldest_pending()
        self._client.save_authorize_data(
            state=state,
            nonce=sent["nonce"],
            code_verifier=sent["code_verifier"],
            redirect_uri=self.redirect_uri,
            return_to=own_path(return_to) or "/",
            level=demanded,
            started_at=int(time.time()),
            # A step-up raises the level of the person who is here; it must not swap them for another.
            step_up=self.person is not None and level is not None,
        )
        response = redirect(sent["url"], 303)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _finish(self) -> str:
        """Check the answer, open the session, and return the path to go on to."""
        if any(len(values) > 1 for _, values in request.args.lists()):
            raise LoginRefused(Refusal.PROVIDER_ERROR, "a parameter came twice")
        state = request.args.get("state", "")
        pending = self._client.framework.get_state_data(session, state)
        if not pending or time.time() - pending["started_at"] > _PENDING_LIFETIME:
            raise LoginRefused(Refusal.STALE_REQUEST, "the state is not one of this browser's")
        try:
            # Authlib does not compare iss; before anything is sent to a token endpoint, we do (RFC 9207, 2.4).
            if request.args.get("iss") != self.provider.issuer:
                raise LoginRefused(Refusal.WRONG_ISSUER, "iss is missing or another")
            if "error" in request.args:
                raise refuse_oauth_error(request.args["error"], at="the authorization endpoint")
            if not request.args.get("code"):
                raise LoginRefused(Refusal.PROVIDER_ERROR, "neither code nor error")
            token = self._redeem()
            claims = verify_id_token(
                token["id_token"],
                self.provider.key,
                issuer=self.provider.issuer,
                client_id=self.client_id,
                nonce=pending["nonce"],
                access_token=token["access_token"],
            )
        finally:
            # One answer per request, whatever it was.
            self._client.framework.clear_state_data(session, state)
        if dict(token["userinfo"]) != claims:
            raise LoginRefused(Refusal.TOKEN_REFUSED, "Authlib and python-jose read different claims")
        userinfo = self.provider.userinfo(token["access_token"])
        # OpenID Connect Core 1.0, 5.3.2: otherwise the answer could be about somebody else.
        if userinfo.get("sub") != claims["sub"]:
            raise LoginRefused(Refusal.TOKEN_REFUSED, "UserInfo is about another sub")
        self._open_session(pending, claims, userinfo, token["id_token"])
        return_to: str = pending["return_to"]  # made safe before it went into the signed cookie
        return return_to

    def _redeem(self) -> dict[str, Any]:
        """Exchange the code through Authlib, which verifies the ID token the first time."""
        try:
            token: dict[str, Any] = self._client.authorize_access_token(
                leeway=CLOCK_TOLERANCE,
                claims_options={
                    "iss": {"essential": True, "value": self.provider.issuer},
                    "aud": {"essential": True, "value": self.client_id},
                },
            )
        except OAuthError as error:
            raise refuse_oauth_error(error.error, at="the token endpoint") from None
        except requests.RequestException as error:
            raise LoginRefused(Refusal.PROVIDER_UNREACHABLE, f"the token endpoint: {type(error).__name__}") from None
        except ClaimError as error:
            about_time = error.claim in ("exp", "iat", "nbf") and not isinstance(error, MissingClaimError)
            refusal = Refusal.CLOCK_SKEW if about_time else Refusal.TOKEN_REFUSED
            raise LoginRefused(refusal, f"Authlib: {type(error).__name__} {error.claim}") from None
        except (JoseError, TypeError, ValueError) as error:
            raise LoginRefused(Refusal.TOKEN_REFUSED, f"Authlib: {type(error).__name__}") from None
        return token

    def _open_session(
        self, pending: Mapping[str, Any], claims: Mapping[str, Any], userinfo: Mapping[str, Any], id_token: str
    ) -> None:
        """Replace whatever session there was by a new one with a new id (session fixation)."""
        before = self.person
        if before is not None and pending["step_up"] and before.sub != claims["sub"]:
            self._close_session()
            raise LoginRefused(Refusal.OTHER_PERSON, "the step-up answered with another sub")
        now = int(time.time())
        auth_time, sid = claims.get("auth_time"), claims.get("sid")
        person = Person(
            sub=claims["sub"],
            acr=str(claims.get("acr", "")),
            auth_time=auth_time if isinstance(auth_time, int) else None,
            signed_in_at=now,
            expires_at=now + self.session_lifetime,
            claims=dict(userinfo),
            id_token=id_token,
            sid=sid if isinstance(sid, str) else None,
        )
        if not person.reaches(pending["level"]):
            raise LoginRefused(Refusal.UNMET_LEVEL, "acr is lower than asked")
        pending_in_other_tabs = {key: value for key, value in session.items() if key.startswith(_PENDING_PREFIX)}
        self._close_session()
        session.update(pending_in_other_tabs)
        session["session_id"] = self.sessions.open(person)

    def _close_session(self) -> None:
        """Forget the person here, and everything in the cookie but the language."""
        if isinstance(session.get("session_id"), str):
            self.sessions.close(session["session_id"])
        language = session.get("language")
        session.clear()
        if language:
            session["language"] = language

    def _signout_url(self, hint: str | None, state: str, language: str) -> str:
        """Give the address that ends the session at LienKet (OpenID Connect RP-Initiated Logout 1.0, 2)."""
        if "end_session_endpoint" not in self.provider.metadata():
            raise LoginRefused(Refusal.SIGNOUT_INCOMPLETE, "discovery has no end_session_endpoint")
        url: str = self._client.create_logout_url(
            post_logout_redirect_uri=self.post_logout_redirect_uri,
            id_token_hint=hint,
            state=state,
            client_id=self.client_id,
            ui_locales=language,
        )["url"]
        return url

    def _end(self) -> ResponseReturnValue:
        """Close what the logout token of this request names; answer as Back-Channel Logout 1.0, 2.8, asks."""
        headers = {"Cache-Control": "no-store"}
        try:
            ended = read_logout_token(
                request.form.get("logout_token"),
                self.provider.key,
                issuer=self.provider.issuer,
                client_id=self.client_id,
            )
        except LoginRefused as refused:
            # The keys could not be read: LienKet tries again later.
            log.warning("logout token put off: %s", refused.cause)
            return {"error": "temporarily_unavailable"}, 503, headers
        except LogoutRefused as refused:
            log.warning("logout token refused: %s", refused)
            return {"error": "invalid_request"}, 400, headers
        if not self._seen.spend(ended):
            return {"error": "invalid_request"}, 400, headers
        self.sessions.close_all(sub=ended.sub, sid=ended.sid)
        return "", 200, headers

    def _routes(self) -> Blueprint:
        """Make the routes."""
        routes = Blueprint(
            "agency_login",
            __name__,
            template_folder="templates",
            static_folder="static",
            static_url_path="/signin/assets",
        )

        @routes.get("/signin")
        def signin() -> ResponseReturnValue:
            return self.begin(return_to=request.args.get("return_to"))

        @routes.get(urlsplit(self.redirect_uri).path)
        def callback() -> ResponseReturnValue:
            try:
                return redirect(self._finish(), 303)
            except LoginRefused as refused:
                return self._page(refused)

        @routes.post("/signout")
        def signout() -> ResponseReturnValue:
            if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
                # Another site's form: without its SameSite=Lax cookie the session looks empty here, and writing that
                # empty one back would sign the citizen out (Fetch Metadata, 2.1).
                return redirect("/", 303)
            person = self.person
            language = self.language
            self._close_session()
            state = secrets.token_urlsafe(32)
            session["signout_state"] = state
            hint = person.id_token if person and len(person.id_token) <= _LONGEST_HINT else None
            try:
                url = self._signout_url(hint, state, language)
            except LoginRefused as refused:
                return self._page(LoginRefused(Refusal.SIGNOUT_INCOMPLETE, refused.cause))
            return redirect(url, 303)

        @routes.get(urlsplit(self.post_logout_redirect_uri).path)
        def signed_out() -> ResponseReturnValue:
            # Kept, not popped: reloading this page is harmless. Signing in clears it.
            expected = session.get("signout_state", "")
            if not expected or not hmac.compare_digest(request.args.get("state", "").encode(), expected.encode()):
                return self._page(LoginRefused(Refusal.STALE_SIGNOUT, "the state is not one of this browser's"))
            return render_template("agency_login/signed_out.html", language=self.language)

        if self.backchannel_logout_uri is not None:
            path = urlsplit(self.backchannel_logout_uri).path
            routes.add_url_rule(path, "backchannel_logout", self._end, methods=["POST"])

        @routes.after_request
        def keep_private(response: Any) -> Any:
            # The callback's address holds a code: no cache, no Referer.
            if request.endpoint != "agency_login.static":
                response.headers["Cache-Control"] = "no-store"
            response.headers["Referrer-Policy"] = "no-referrer"
            return response

        return routes

    def _page(self, refused: LoginRefused) -> ResponseReturnValue:
        """Show what happened and what to do, with a reference that stands in the log too."""
        reference = secrets.token_hex(4)
        log.warning("refused %s reference=%s cause=%s", refused.refusal.code, reference, refused.cause)
        language = self.language
        page = render_template(
            "agency_login/refused.html",
            refusal=refused.refusal,
            wordings=WORDINGS[refused.refusal],
            languages=[language, *(other for other in LANGUAGES if other != language)],
            reference=reference,
            person=self.person,
            signin_url=url_for("agency_login.signin"),
        )
        return page, refused.refusal.status, {"Cache-Control": "no-store"}

    def _protect_cookie(self, app: Flask) -> None:
        """Set the cookie's attributes.

        Cookies ignore the port: two portals on 127.0.0.1 with the same cookie name would sign each other out.
        """
        secure = self.redirect_uri.startswith("https://")
        app.config.update(
            SESSION_COOKIE_NAME=("__Host-" if secure else "") + f"{self.client_id}-session",
            SESSION_COOKIE_SECURE=secure,
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",  # Strict would not be sent when LienKet sends the citizen back
            SESSION_COOKIE_PATH="/",
            SESSION_COOKIE_DOMAIN=None,
        )

    def _forget_oldest_pending(self) -> None:
        """Make room in the cookie for one more sign-in."""
        pending = [key for key in session if key.startswith(_PENDING_PREFIX)]
        for key in sorted(pending, key=lambda key: session[key]["exp"])[: max(0, len(pending) - _PENDING_LIMIT + 1)]:
            del session[key]
