"""Sign citizens in to a Flask portal through LienKet.

Owns the relying party's half of an OpenID Connect login: the authorization request (code flow, PKCE S256, state,
nonce), the callback with all its checks, the portal's own session, step-up, sign-out, and pages that tell a citizen
what went wrong. Leaves to the portal: its pages, its data, and what a citizen may do once it knows who they are.

    login = AgencyLogin(app, issuer="https://...", client_id="...", client_secret="...", scope="openid name",
                        acr_values="loa1", redirect_uri="https://portal/signin/callback",
                        post_logout_redirect_uri="https://portal/signed-out")

    @app.get("/loans")
    @login.login_required(level="loa2")
    def loans(): ...

`AgencyApi` (clients/agency_login/api.py) guards an agency's own API with LienKet's access tokens.
"""

from clients.agency_login.access_token import AccessToken
from clients.agency_login.api import AgencyApi
from clients.agency_login.login import AgencyLogin
from clients.agency_login.refusals import LoginRefused
from clients.agency_login.sessions import MemorySessions, Person, Sessions

__all__ = ["AccessToken", "AgencyApi", "AgencyLogin", "LoginRefused", "MemorySessions", "Person", "Sessions"]
