"""Set up a provider to be measured: secrets, schema, keys, clients, citizens with passwords, open sessions.

All but the sessions is made by the commands an operator uses; sessions and consents by the product's own acts, since
signing in fifty people by hand costs a second of hashing for nothing. Also a program, for the shared harness, whose
Python has none of our packages:

    python -m tests.bench.seed --directory DIR --database URL --port PORT [--clients N]
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.bench.fapi import public_jwk

ROOT = Path(__file__).resolve().parents[2]
REDIRECT_URI = "https://rp.example.test/cb"
SCOPE = "openid profile email"
OFFLINE_SCOPE = f"{SCOPE} offline_access"
ALGORITHMS = ("ES256", "RS256")
FAPI_CLIENT = "bench-fapi"
FAPI_OFFLINE_CLIENT = "bench-fapi-offline"
REFRESH_CLIENT = "bench-refresh"
RESOURCE_CLIENT = "bench-api"
RESOURCE = "https://api.example.test/"
PEOPLE = 49
"""Sessions used in turn, as in the shared harness."""
_PURPOSE = {"vi": "Để đo tốc độ.", "en": "To measure speed.", "fr": "Pour mesurer la vitesse."}
_OFFLINE = {
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": OFFLINE_SCOPE,
    "purposes": dict.fromkeys(OFFLINE_SCOPE.split(), _PURPOSE),
}
_CITIZEN_SEED = 2


@dataclass(frozen=True, slots=True)
class Site:
    """A provider ready to be started and measured, and what a load needs to know of it.

    `environment` holds its IDP_ settings, `secrets` the client secret by client, `key` the private key (PEM) of the
    FAPI client, `cookies` one Cookie header for each open session, `people` number and password of every citizen.
    """

    environment: dict[str, str]
    secrets: dict[str, str]
    key: str
    cookies: list[str]
    people: list[tuple[str, str]]


def client_id(algorithm: str) -> str:
    """Return the client whose ID tokens are signed with `algorithm`."""
    return f"bench-{algorithm.lower()}"


def build(directory: Path, *, database_url: str, port: int, clients: int = 10, citizens: int = 200) -> Site:
    """Make a provider for `http://127.0.0.1:port` on the empty database at `database_url`; files go to `directory`.

    Raises CalledProcessError when a command refuses. Side effects: writes to the database and below `directory`.
    """
    environment = {
        "IDP_ISSUER": f"http://127.0.0.1:{port}",
        "IDP_DATABASE_URL": database_url,
        "IDP_SECRETS_DIR": str(directory / "secrets"),
        # Codes and tokens are made before the clock starts, and must live until they are used.
        "IDP_CODE_LIFETIME": "60",
        # One client stands for a country's here.
        "IDP_CLIENT_REQUESTS": "1000000",
        "IDP_TOKEN_LIFETIME": "3600",
        # A flood of wrong passwords comes from many addresses, as a proxy would say.
        "IDP_PROXY_HOPS": "1",
    }
    names = {client_id(algorithm): algorithm for algorithm in ALGORITHMS}
    secrets = {name: f"secret-of-{name}-on-loopback-only" for name in (*names, REFRESH_CLIENT, RESOURCE_CLIENT)}
    key = ec.generate_private_key(ec.SECP256R1())
    documents = [
        _client(name, algorithm, client_secret=secrets[name], resources=[RESOURCE]) for name, algorithm in names.items()
    ]
    documents += [
        _client(FAPI_CLIENT, "ES256", **_fapi(key)),
        _client(FAPI_OFFLINE_CLIENT, "ES256", **_fapi(key), **_OFFLINE),
        _client(REFRESH_CLIENT, "ES256", client_secret=secrets[REFRESH_CLIENT], **_OFFLINE),
        _client(RESOURCE_CLIENT, "ES256", client_secret=secrets[RESOURCE_CLIENT], resource_identifiers=[RESOURCE]),
    ]
    documents += [
        _client(f"filler-{number}", "ES256", client_secret=f"secret-of-filler-{number}-on-loopback")
        for number in range(clients - len(documents))
    ]
    _write(directory / "clients.json", documents)
    from idp.sandbox.persona import Standing
    from idp.sandbox.personas import personas

    people = [one for one in personas(_CITIZEN_SEED, citizens) if one.standing is Standing.CURRENT]
    # Without one-time codes, so that everybody can sign in with number and password alone.
    alone = {"totp_secret": None, "level": "loa1"}
    _write(directory / "citizens.json", [person.document() | alone for person in people])
    for command in (
        ["secrets", "init"],
        ["db", "upgrade"],
        ["clients", "apply", str(directory / "clients.json")],
        ["citizens", "import", str(directory / "citizens.json")],
    ):
        subprocess.run(
            [sys.executable, "-m", "idp.cli", *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    cookies = _open_sessions(environment, [*names, FAPI_CLIENT, FAPI_OFFLINE_CLIENT, REFRESH_CLIENT])
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Site(environment, secrets, pem, cookies, [(one.number, one.password) for one in people])


def _write(path: Path, documents: object) -> None:
    path.write_text(json.dumps(documents, ensure_ascii=False), "utf-8")


def _client(name: str, algorithm: str, **members: object) -> dict[str, object]:
    return {
        "client_id": name,
        "agency": {"slug": "bench", "name": {"vi": "Cơ quan mẫu", "en": "Sample agency", "fr": "Agence exemple"}},
        "client_name": name,
        "client_uri": "https://rp.example.test/",
        "redirect_uris": [REDIRECT_URI],
        "scope": SCOPE,
        "sector_identifier": "rp.example.test",
        "default_acr_values": ["loa1"],
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": algorithm,
        "basis": "consent",
        "purposes": dict.fromkeys(SCOPE.split(), _PURPOSE),
        **members,
    }


def _fapi(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    jwks = {"keys": [public_jwk(key)]}
    return {"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}


def _open_sessions(environment: dict[str, str], client_ids: list[str]) -> list[str]:
    """Sign PEOPLE citizens in with a password, let every citizen agree for the clients, and return the cookies."""
    from idp.app import create_app
    from idp.citizens.models import Citizen
    from idp.core import clock, settings, web
    from idp.core.database import PostgresHotPath, db
    from idp.core.ids import new_secret
    from idp.core.levels import Method
    from idp.core.scopes import OFFLINE_ACCESS, claims_of
    from idp.sso import session
    from idp.sso.models import Consent
    from idp.sso.views import SESSION_COOKIE

    app = create_app(settings.load(environment | {"IDP_LOG_LEVEL": "WARNING"}))
    with app.app_context():
        provider = app.extensions[web.EXTENSION]
        now = clock.now()
        agreed = " ".join(sorted([*claims_of(SCOPE.split()), OFFLINE_ACCESS]))
        citizens = list(db.session.scalars(db.select(Citizen.id)))
        for name in client_ids:
            client = provider.clients.find(name)
            for citizen in citizens:
                consent = Consent(citizen_id=citizen, client_id=client.id, basis="consent", claims=agreed)
                consent.created_at = consent.updated_at = now
                db.session.add(consent)
        opened = [
            session.open_session(
                citizen,
                [Method.PASSWORD],
                flow_secret=new_secret(),
                previous=None,
                joined=None,
                settings=provider.settings,
                keyring=provider.keyring,
            )
            for citizen in citizens[:PEOPLE]
        ]
        db.session.commit()
        db.session.execute(db.text("ANALYZE"))
        db.session.commit()
        cookie = web.cookie_name(SESSION_COOKIE, provider.settings)
        db.engine.dispose()
        if isinstance(provider.hot_path, PostgresHotPath):
            provider.hot_path._drop_idle()
    return [f"{cookie}={each.secret}" for each in opened]


def main() -> None:
    """Build what the arguments say and print the site as JSON."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.seed")
    arguments.add_argument("--directory", type=Path, required=True)
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--clients", type=int, default=10)
    given = arguments.parse_args()
    site = build(given.directory, database_url=given.database, port=given.port, clients=given.clients)
    print(json.dumps(asdict(site)))


if __name__ == "__main__":
    main()
