"""A provider of other people's making (oidc-provider for Node) as the identity provider of ours."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from joserfc.jwk import ECKey

from idp.citizens.birthdate import BirthDate
from idp.citizens.numbers import Gender
from idp.citizens.registry import table
from idp.core.database import db
from idp.upstream import apply
from idp.upstream.channel import Channel
from idp.upstream.check import Check
from idp.upstream.document import read
from idp.upstream.finding import Verdict
from idp.upstream.health import Breakers
from tests.journeys.stage import Running
from tests.parties.sandbox import PARTIES, node
from tests.parties.upstream.served import path_of, served
from tests.provider import Answer, Provider, walk
from tests.services import free_port, left_out

SLUG = "nuoc-ngoai"
NUMBER, NAME = "979191000777", "Trần Thị Lan"
# Debian 12's Node is older than what oidc-provider runs on.
_OLDEST_NODE = 20


@dataclass(frozen=True)
class Abroad:
    """Ours, and where the other one is found."""

    ours: Provider
    issuer: str

    def sign_in(self, address: str, login: str) -> str:
        """Sign in there as `login`, agreeing to everything; return where the browser is sent back to."""
        with requests.Session() as browser:
            for _ in range(12):
                answer = browser.get(address, allow_redirects=False, timeout=10)
                while answer.ok and not answer.is_redirect:
                    assert re.search("<title>(login|consent)</title>", answer.text), answer.text
                    answer = browser.post(address, {"login": login}, allow_redirects=False, timeout=10)
                assert answer.is_redirect, answer.text
                address = urljoin(address, answer.headers["Location"])
                if address.startswith(self.ours.settings.issuer):
                    return address
        raise AssertionError("going in circles")


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    program = node()
    if not (PARTIES / "node_modules" / "oidc-provider").exists():
        left_out("the parties' npm packages are of another release: bash tests/system_packages.sh")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < _OLDEST_NODE:
        left_out("oidc-provider needs a newer Node")
    directory = tmp_path_factory.mktemp("abroad")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    with served(directory / "ours") as ours:
        home = f"{ours.settings.issuer}/upstream/{SLUG}"
        claims = {"SoDinhDanh": NUMBER, "HoVaTen": NAME, "NgayThangNamSinh": "28/02/1991"}
        key: dict[str, Any] = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True).as_dict(
            private=True
        )
        protection = {
            "id_token_signed_response_alg": "ES256",
            "id_token_encrypted_response_alg": "ECDH-ES",
            "id_token_encrypted_response_enc": "A256GCM",
            "userinfo_signed_response_alg": "ES256",
            "userinfo_encrypted_response_alg": "RSA-OAEP-256",
            "userinfo_encrypted_response_enc": "A128CBC-HS256",
        }
        configuration = {
            "issuer": issuer,
            "key": key,
            "people": {
                "lan": {"sub": "a1", "acr": "seen", "claims": claims},
                "impostor": {"sub": "a2", "acr": "seen", "claims": claims | {"HoVaTen": "Phạm Văn Giả"}},
                "weak": {"sub": "a3", "acr": "unheard-of", "claims": claims},
            },
            "client": {
                "client_id": "lienket",
                "redirect_uris": [f"{home}/callback"],
                "post_logout_redirect_uris": [f"{home}/signed-out"],
                "response_types": ["code"],
                "grant_types": ["authorization_code"],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks_uri": f"{ours.settings.issuer}/upstream/jwks",
                **protection,
                "dpop_bound_access_tokens": True,
            },
        }
        file = directory / "foreign.json"
        file.write_text(json.dumps(configuration), "utf-8")
        document = {
            "slug": SLUG,
            "issuer": issuer,
            "client_id": "lienket",
            "scope": "openid profile cccd",
            **protection,
            "levels": {"basic": "loa1", "seen": "loa2"},
            "ceiling": "loa2",
            "amr": ["pwd"],
            "name": {"vi": "Nhà cung cấp nước ngoài"},
            "iss_parameter": True,
            "pushed_requests": True,
            "dpop_bound_access_tokens": True,
        }
        with ours.app.app_context():
            apply.apply(read(document, source=SLUG, is_sandbox=True), keyring=ours.services.keyring)
            known = table.Person("vn-pin", NUMBER, NAME, BirthDate(1991, 2, 28), Gender.FEMALE)
            table.write([known], keyring=ours.services.keyring)
            db.session.commit()
        script = Path(__file__).with_name("foreign_provider.mjs")
        running = Running([program, str(script), str(file)], log=directory / "foreign.log")
        try:
            running.until_it_answers(port, "/.well-known/openid-configuration")
            yield Abroad(ours, issuer)
        finally:
            running.end()


def _visit(abroad: Abroad, login: str) -> str | list[str]:
    """Go there from a portal of ours as `login`; return the portal's `acr`, or the ids on the page that refuses."""
    here, portal = abroad.ours.browser(), abroad.ours.portal()
    here.get(portal.address(acr_values="loa2"))
    left = here.submit(f"upstream-form-{SLUG}").left_for
    assert left is not None, here.page and here.page.text
    assert portal.client_id not in left
    page = here.get(path_of(abroad.sign_in(left, login)))
    if "error-summary" in page.ids:
        return list(page.ids)
    acr: str = portal.claims(portal.tokens(Answer(walk(here, page))))["acr"]
    return acr


def test_citizen_signs_in_by_a_provider_of_other_people(abroad: Abroad) -> None:
    assert _visit(abroad, "lan") == "loa2"


@pytest.mark.parametrize("login", ["impostor", "weak"])
def test_whom_the_other_provider_cannot_vouch_for_is_led_back_to_the_choice(login: str, abroad: Abroad) -> None:
    assert "error-summary" in _visit(abroad, login)


def test_check_finds_nothing_wrong_with_it(abroad: Abroad) -> None:
    ours = abroad.ours.services
    provider = ours.providers.find(SLUG)
    assert provider is not None
    check = Check(
        ours.outbound, Channel(ours.outbound, ours.signing_keys, Breakers(ours.hot_path)), is_sandbox=True, own_keys=""
    )
    found = list(check.walk(provider, ours.upstream.redirect_uri(provider)))
    assert [finding.words for finding in found if finding.verdict is Verdict.WRONG] == []
