"""A provider on loopback and the portals around it, each a process, made of the commands an operator uses."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from idp.sandbox.persona import Persona, Standing
from idp.sandbox.personas import personas
from tests.journeys.stage import Running, done, operate
from tests.parties.walker import Walker
from tests.services import free_port, left_out

PARTIES = Path(__file__).parent
SCOPE = "openid name email"
AT_ONCE = 30
EVERY_CLAIM = {
    "family_name": "Nguyễn",
    "middle_name": "Thị",
    "given_name": "Hoà",
    "nickname": "Hoà",
    "preferred_username": "hoa",
    "profile": "https://nguoi.example/hoa",
    "picture": "https://nguoi.example/hoa.png",
    "website": "https://hoa.example/",
    "zoneinfo": "Asia/Ho_Chi_Minh",
    "locale": "vi-VN",
    "email_verified": True,
    "phone_number_verified": False,
    "address": {"locality": "Phường Mẫu", "region": "Hà Nội", "country": "VN"},
}


@dataclass(frozen=True)
class Client:
    """One registration: how it proves itself, what its library uses, and what its document and configuration add."""

    name: str
    method: str = "client_secret_basic"
    uses: Sequence[str] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    scope: str = SCOPE
    # Where browsers come back to; {name} is the client's.
    callback: str = "/{name}/callback"
    signed_out: str = "/{name}/signed-out"
    # RFC 7591 instead of a document that an operator applies.
    registers_itself: bool = False


@dataclass
class Sandbox:
    """A running provider and the invented people who have not signed in yet."""

    issuer: str
    settings: dict[str, str]
    directory: Path
    strangers: list[Persona]
    people: list[Persona] = field(default_factory=list)

    def walker(self) -> Walker:
        """Return a citizen nobody else uses, with a browser that has never been here."""
        return Walker(self.somebody())

    def somebody(self) -> Persona:
        """Return an invented citizen nobody else uses, with an authenticator app."""
        if not self.people:
            # A few at a time: a password costs as much to import as to check.
            self.people = [self.strangers.pop() for _ in range(AT_ONCE)]
            self.bring(self.people)
        return self.people.pop()

    def bring(self, people: Sequence[Persona]) -> None:
        """Import people as an operator would."""
        file = self.directory / f"people-{people[0].key}.json"
        file.write_text(json.dumps([person.document() for person in people]), "utf-8")
        done(operate("citizens", "import", str(file), settings=self.settings))

    def somebody_known_wholly(self) -> Persona:
        """Return somebody nobody else uses, of whom every standard claim is known (OpenID Connect Core 1.0, 5.1)."""
        whole = {"full_name": "Nguyễn Thị Hoà", "email": "wholly@thu.example", "phone_number": "+84301234567"}
        person = replace(self.strangers.pop(), **whole, claims=EVERY_CLAIM)
        self.bring([person])
        return person

    def register(self, party: str, origin: str, clients: Sequence[Client]) -> dict[str, Any]:
        """Apply the documents of a party's clients as an operator would; return the party's configuration."""
        documents, configurations = [], {}
        for client in clients:
            client_id = f"{party}-{client.name}"
            ours: dict[str, Any] = {
                "client_id": client_id,
                "method": client.method,
                "scope": client.scope,
                "redirect_uri": origin + client.callback.format(name=client.name),
                "post_logout_redirect_uri": origin + client.signed_out.format(name=client.name),
                "uses": list(client.uses),
            }
            document = {
                "client_id": client_id,
                "agency": {"slug": party, "name": {"vi": f"Cơ quan {party}", "en": f"Agency of {party}"}},
                "client_name": f"Cổng {party} {client.name}",
                "client_name#en": f"{party} {client.name}",
                "client_uri": f"{origin}/",
                "redirect_uris": [ours["redirect_uri"]],
                "post_logout_redirect_uris": [ours["post_logout_redirect_uri"]],
                "scope": client.scope,
                "purposes": {
                    word: {"vi": "Để thử.", "en": "To try it."}
                    for word in client.scope.split()
                    if word not in ("openid", "offline_access")
                },
                "basis": "consent",
                "token_endpoint_auth_method": client.method,
            }
            keys = []
            if client.method == "private_key_jwt":
                ours["jwk"] = _key(f"{client.name}-sig", use="sig", alg="ES256")
                keys.append(ours["jwk"])
            elif client.method.startswith("client_secret"):
                ours["client_secret"] = document["client_secret"] = f"secret-of-{client_id}-for-the-tests-alone"
            if "encryption" in client.uses:
                ours["encryption_jwk"] = _key(f"{client.name}-enc", use="enc", alg="ECDH-ES")
                keys.append(ours["encryption_jwk"])
            if keys:
                document["jwks"] = {
                    "keys": [{name: value for name, value in key.items() if name != "d"} for key in keys]
                }
            addresses = {
                name: value.format(origin=origin) for name, value in client.members.items() if name.endswith("_uri")
            }
            if client.registers_itself:
                kept = ("client_name", "redirect_uris", "post_logout_redirect_uris", "token_endpoint_auth_method")
                ours["register"] = {name: document[name] for name in kept} | client.members | addresses
                configurations[client.name] = ours | client.configuration
                continue
            configurations[client.name] = ours | client.configuration
            documents.append(document | client.members | addresses)
        if documents:
            file = self.directory / f"{party}-documents.json"
            file.write_text(json.dumps(documents), "utf-8")
            done(operate("clients", "apply", str(file), settings=self.settings))
        return {"issuer": self.issuer, "origin": origin, "clients": configurations}

    @contextlib.contextmanager
    def party(self, name: str, command: Sequence[str], clients: Sequence[Client]) -> Iterator["Party"]:
        """Register a party's clients, start it with its configuration's path as last argument, and yield it."""
        port = free_port()
        origin = f"http://127.0.0.1:{port}"
        configuration = self.register(name, origin, clients)
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps(configuration), "utf-8")
        server = Running([*command, str(file)], log=self.directory / f"{name}.log")
        try:
            server.until_it_answers(port)
            yield Party(self, name, origin, configuration)
        finally:
            server.end()


@dataclass(frozen=True)
class Party:
    """A running party: many clients under one origin, each with the addresses of one portal."""

    sandbox: Sandbox
    name: str
    origin: str
    configuration: Mapping[str, Any]

    def address(self, client: str, act: str, **parameters: str) -> str:
        """Return the address of one act of one client's portal."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"{self.origin}/{client}/{act}" + (f"?{query}" if query else "")

    def sign_in(self, walker: Walker, client: str, **parameters: str) -> dict[str, Any]:
        """Walk from the portal's sign-in to its own page; the parameters go into the authorization request."""
        return walker.walk(self.address(client, "signin", **parameters))

    def act(self, walker: Walker, client: str, act: str, **parameters: str) -> dict[str, Any]:
        """Let the portal do something for the citizen who is signed in there."""
        return walker.walk(self.address(client, act, **parameters))


def _key(name: str, **members: str) -> dict[str, Any]:
    key: dict[str, Any] = ECKey.generate_key("P-256", {"kid": name} | members, private=True).as_dict(private=True)
    return key


def node() -> str:
    """Return the path of Node with the parties' packages beside it; leave the test out without them."""
    found = shutil.which("node") or shutil.which("nodejs")
    if found is None:
        left_out("there is no Node on this machine: apt-get install nodejs npm")
    if not (PARTIES / "node_modules" / ".lienket-installed").exists():
        left_out("the parties' npm packages are missing: bash tests/system_packages.sh")
    return found


@contextlib.contextmanager
def sandbox(directory: Path, *, database_url: str, settings: Mapping[str, str] | None = None) -> Iterator[Sandbox]:
    """Yield a running provider without portals; its process has ended afterwards."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    chosen = {
        "IDP_PROFILE": "sandbox",
        "IDP_ISSUER": issuer,
        "IDP_DATABASE_URL": database_url,
        "IDP_SECRETS_DIR": str(directory / "secrets"),
        **(settings or {}),
    }
    done(operate("secrets", "init", settings=chosen))
    done(operate("db", "upgrade", settings=chosen))
    strangers = [
        person
        for person in personas(3, 600)
        if person.standing is Standing.CURRENT and person.level == "loa2" and person.totp_secret
    ]
    server = Running(
        [sys.executable, "-m", "idp.cli", "serve", "--port", str(port), "--workers", "1"],
        log=directory / "provider.log",
        settings=chosen,
    )
    try:
        server.until_it_answers(port)
        yield Sandbox(issuer, chosen, directory, strangers)
    finally:
        server.end()
