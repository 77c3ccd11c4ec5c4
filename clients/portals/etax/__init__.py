"""Personal e-tax: a public body that acts on a legal basis.

Asks LienKet for name and number at level loa2; shows the citizen who they are for the tax administration. Signing a
return asks for loa3, to show a step-up.
"""

from __future__ import annotations

from datetime import datetime

from flask import Flask, render_template
from flask.typing import ResponseReturnValue

from clients.agency_login import AgencyLogin
from clients.portals import VIETNAM_TIME, Options, add_headers


def create_app(options: Options) -> Flask:
    """Make the portal; contacts nobody until a citizen signs in."""
    app = Flask(__name__)
    app.secret_key = options.cookie_key
    login = AgencyLogin(
        app,
        issuer=options.issuer,
        client_id=options.registration["client_id"],
        client_secret=options.client_secret,
        token_endpoint_auth_method=options.registration["token_endpoint_auth_method"],
        scope=options.registration["scope"],
        acr_values=" ".join(options.registration["default_acr_values"]),
        redirect_uri=f"{options.public_url}/signin/callback",
        post_logout_redirect_uri=f"{options.public_url}/signed-out",
        backchannel_logout_uri=f"{options.public_url}/signin/backchannel-logout",
    )
    add_headers(app, options.issuer)

    def page(template: str) -> str:
        person = login.person
        signed_in = datetime.fromtimestamp(person.auth_time or person.signed_in_at, VIETNAM_TIME) if person else None
        return render_template(template, person=person, signed_in=signed_in, language=login.language)

    @app.get("/healthz")
    def health() -> ResponseReturnValue:
        return "ok\n", {"Content-Type": "text/plain"}

    @app.get("/")
    def home() -> ResponseReturnValue:
        return page("etax/home.html")

    @app.get("/account")
    @login.login_required()
    def account() -> ResponseReturnValue:
        return page("etax/home.html")

    @app.get("/return")
    @login.login_required(level="loa3")
    def sign_return() -> ResponseReturnValue:
        return page("etax/return.html")

    return app
