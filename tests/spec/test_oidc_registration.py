"""OpenID Connect Dynamic Client Registration 1.0: defaults, sector_identifier_uri, logos, and keys by jwks_uri."""

import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from secrets import token_hex
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from idp.agencies import remote_keys
from tests.keyed import ASSERTION_TYPE, KeyedPortal
from tests.provider import Provider
from tests.publishing import Publisher
from tests.registering import Stranger, plain, png, post, register


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        yield server


@pytest.mark.holds("OIDCR-2-1", "OIDCR-3.1-1", "OIDCR-3.2-1", "OIDCR-3.2-2")
def test_defaults_are_those_of_the_specification(provider: Provider) -> None:
    record = register(provider).record
    assert record["response_types"] == ["code"]
    assert record["grant_types"] == ["authorization_code"]
    assert record["application_type"] == "web"
    assert record["id_token_signed_response_alg"] == "RS256"
    assert record["token_endpoint_auth_method"] == "client_secret_basic"
    assert record["subject_type"] == "pairwise"
    assert "userinfo_signed_response_alg" not in record
    assert record["scope"] == "openid profile email address phone"
    lasting = register(provider, grant_types=["authorization_code", "refresh_token"]).record
    assert "offline_access" in lasting["scope"].split()


@pytest.mark.parametrize(
    "changes",
    [
        {"id_token_signed_response_alg": "none"},
        {"id_token_signed_response_alg": "HS256"},
        {"userinfo_signed_response_alg": "none"},
        {"request_object_signing_alg": "none"},
        {"subject_type": "public"},
        {"application_type": "native"},
        {"id_token_encrypted_response_enc": "A256GCM"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"redirect_uris": ["https://a.example/cb", "https://b.example/cb"]},
        {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}]}},
        {"jwks": {"keys": []}, "jwks_uri": "https://a.example/k"},
    ],
    ids="+".join,
)
@pytest.mark.holds("OIDCR-2-3", "OIDCR-2-4", "OIDCR-2-6", "OIDCR-3.3-1", "OIDCR-6-1")
def test_what_cannot_be_served_is_refused(provider: Provider, changes: dict[str, Any]) -> None:
    response = post(provider, plain(**changes))
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_client_metadata")


# --- sector_identifier_uri --------------------------------------------------------------------------------------

HOSTS = ["https://mot.example/cb", "https://hai.example/cb"]


@pytest.mark.holds("OIDCR-5-1", "OIDCR-6-1")
def test_several_hosts_are_one_sector_when_its_address_lists_them(provider: Provider, publisher: Publisher) -> None:
    uri = publisher.serve("/sector.json", [*HOSTS, "https://ba.example/cb"])
    first = register(provider, redirect_uris=HOSTS, sector_identifier_uri=uri)
    assert first.record["sector_identifier_uri"] == uri
    second = register(provider, redirect_uris=["https://ba.example/cb"], sector_identifier_uri=uri)
    person = provider.citizen()
    subjects = {each.portal().sign_in(provider.browser(), person)["sub"] for each in (first, second)}
    assert len(subjects) == 1
    # An address added later must stand there too.
    assert first.put(redirect_uris=[*HOSTS, "https://bon.example/cb"]).status_code == 400


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (HOSTS[:1], 200),
        ([], 200),
        ({"redirect_uris": HOSTS}, 200),
        ([1, 2], 200),
        (b"[", 200),
        (HOSTS, 500),
        (b"[" * 60_000, 200),
    ],
)
@pytest.mark.holds("OIDCR-5-1")
def test_a_sector_is_refused_when_its_address_does_not_list_them(
    provider: Provider, publisher: Publisher, content: Any, status: int
) -> None:
    uri = publisher.serve("/sector.json", content, status=status)
    response = post(provider, plain(redirect_uris=HOSTS, sector_identifier_uri=uri))
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_client_metadata")
    assert ": sector_identifier_uri: " in response.get_json()["error_description"]


DEVICE = ["urn:ietf:params:oauth:grant-type:device_code"]


@pytest.mark.parametrize("lists_keys", [True, False])
@pytest.mark.holds("OIDCR-5-1")
def test_a_sector_lists_the_keys_of_a_client_without_redirect_uris(
    provider: Provider, publisher: Publisher, lists_keys: bool
) -> None:
    keys = f"https://khoa-{token_hex(6)}.example/jwks"
    uri = publisher.serve("/sector.json", [keys] if lists_keys else [])
    members = plain(
        redirect_uris=None,
        grant_types=DEVICE,
        sector_identifier_uri=uri,
        jwks_uri=keys,
        token_endpoint_auth_method="private_key_jwt",
    )
    response = post(provider, members)
    assert response.status_code == (201 if lists_keys else 400), response.text


def test_a_client_without_addresses_shares_its_sector_with_nobody(provider: Provider) -> None:
    first, second = (
        register(provider, redirect_uris=None, grant_types=DEVICE, sector_identifier="thue.example") for _ in range(2)
    )
    sectors = {each.record["sector_identifier"] for each in (first, second)}
    assert len(sectors) == 2
    assert all(sector.endswith(".invalid") for sector in sectors)
    # Written out as GET gives it, it stays; another cannot be named.
    assert first.put(client_name="Kiosk").status_code == 200
    assert first.put(sector_identifier="thue.example").status_code == 400


def test_the_host_of_its_keys_is_the_sector_of_a_client_that_proves_itself_with_them(provider: Provider) -> None:
    host = f"khoa-{token_hex(6)}.example"
    by_key = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"https://{host}/jwks"}
    record = register(provider, redirect_uris=None, grant_types=DEVICE, **by_key).record
    assert record["sector_identifier"] == host
    # With a secret the address proves nothing: whose keys are there does not matter.
    record = register(provider, redirect_uris=None, grant_types=DEVICE, jwks_uri=f"https://{host}/jwks").record
    assert record["sector_identifier"].endswith(".invalid")


# --- logos, policy and terms ------------------------------------------------------------------------------------


def webp(width: int, height: int, *, flags: int = 0) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0])
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg(width: int, height: int) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, height, width, 0)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"JF" + frame + b"\xff\xd9"


def logo_of(stranger: Stranger) -> str | None:
    stranger.provider.forget_caches()
    client = stranger.provider.services.clients.find(stranger.client_id)
    assert client is not None
    return f"/logo/{client.client_id}/{client.logo}" if client.logo else None


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(png(), "image/png"), (jpeg(30, 30), "image/jpeg"), (webp(64, 32), "image/webp")],
    ids=["png", "jpeg", "webp"],
)
@pytest.mark.holds("OIDCR-9-1")
def test_a_logo_is_served_from_here_and_from_nowhere_else(
    provider: Provider, publisher: Publisher, content: bytes, media_type: str
) -> None:
    uri = publisher.serve("/logo", content, headers={"Content-Type": "text/html"})
    stranger = register(
        provider, logo_uri=uri, policy_uri="https://a.example/vi", **{"policy_uri#en": "https://a.example/en"}
    )
    assert stranger.record["logo_uri"] == uri
    path = logo_of(stranger)
    assert path is not None
    answer = provider.http().get(path)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, media_type, content)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers
    browser = provider.browser()
    login = browser.get(stranger.portal().address())
    assert f'src="{path}"' in login.html
    assert publisher.origin not in login.html
    person = provider.citizen()
    page = browser.submit("login-form", number=person.number, password=person.password)
    page = browser.submit("totp-form", code=person.code()) if "totp-form" in page.forms else page
    assert f'src="{path}"' in page.html
    assert "https://a.example/vi" in page.links
    assert "https://a.example/en" in browser.get(f"{page.path}?lang=en").links
    assert publisher.asked == ["/logo"]


def test_a_logo_changes_with_its_address_and_goes_with_it(provider: Provider, publisher: Publisher) -> None:
    stranger = register(provider, logo_uri=publisher.serve("/one", png(40, 20)))
    first = logo_of(stranger)
    assert stranger.put(logo_uri=publisher.serve("/two", png(60, 20))).status_code == 200
    second = logo_of(stranger)
    assert None not in (first, second)
    assert first != second
    assert provider.http().get(first or "").status_code == 404
    assert stranger.put(logo_uri=None).status_code == 200
    assert logo_of(stranger) is None
    assert provider.http().get(second or "").status_code == 404
    assert provider.http().get("/logo/nobody/00").status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"",
        png()[:40],
        png() + b"<script>",
        png(40, 20, b"acTL" + bytes(8)),
        png(3_000, 1_000),
        png(100, 20),
        png(0, 0),
        jpeg(5_000, 5_000),
        jpeg(30, 30)[:12],
        webp(64, 32, flags=2),
        webp(64, 32) + b"x",
        b"RIFF\x04\x00\x00\x00WEBP",
        png() + bytes(70_000),
    ],
)
@pytest.mark.holds("OIDCR-9-1")
def test_a_logo_is_refused_when_it_is_no_still_picture(
    provider: Provider, publisher: Publisher, content: bytes
) -> None:
    uri = publisher.serve("/logo", content, headers={"Content-Type": "image/png"})
    response = post(provider, plain(logo_uri=uri))
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_client_metadata")
    assert ": logo_uri: " in response.get_json()["error_description"]


def test_a_client_is_registered_without_logo_when_its_server_is_away(provider: Provider, publisher: Publisher) -> None:
    stranger = register(provider, logo_uri=f"{publisher.origin}/nothing-here")
    assert logo_of(stranger) is None


# --- keys by jwks_uri -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("old", "new"), (None, None)], ids=["named", "nameless"])
def test_a_client_changes_its_keys_without_asking_us(
    provider: Provider, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, names: tuple[str | None, str | None]
) -> None:
    old, new = (ECKey.generate_key("P-256", {"use": "sig", **({"kid": kid} if kid else {})}) for kid in names)
    uri = publisher.serve("/jwks", {"keys": [old.as_dict(private=False)]})
    stranger = register(provider, token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    portal = KeyedPortal(
        provider, stranger.client_id, stranger.record, stranger.record["redirect_uris"][0], secret="", key=old
    )

    def status(by: KeyedPortal) -> int:
        now = int(time.time())
        claims = {"iss": by.client_id, "sub": by.client_id, "aud": by.issuer, "jti": token_hex(), "exp": now + 60}
        header = {"alg": "ES256", **({"kid": by.key.kid} if names[0] else {})}
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": jwt.encode(header, claims, by.key)}
        return by.redeem("made-up", authorization=None, **form).status_code

    # 400: authenticated, and the code is what is wrong; 401: not authenticated.
    assert status(portal) == 400
    publisher.serve("/jwks", {"keys": [new.as_dict(private=False)]})
    moved = replace(portal, key=new)
    assert status(moved) == 400
    assert status(portal) == 401
    # The next change in the same minute waits: signatures that name no key of ours cost the client's server little.
    publisher.serve("/jwks", {"keys": [old.as_dict(private=False)]})
    assert status(portal) == 401
    monkeypatch.setattr(remote_keys, "RETRY_SECONDS", 0.0)
    assert status(portal) == 400
    assert status(moved) == 401
