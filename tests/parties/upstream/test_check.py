"""`idp upstream check`: what is wrong with a provider is named with whom to tell what, and nothing is changed."""

import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.commands import operate
from tests.scripted_upstream import SECRET, Reply, ScriptedProvider, reply

Spoil = Callable[[ScriptedProvider], None]
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the settings of a provider whose operator checks others."""
    directory = tmp_path_factory.mktemp("check")
    given = {
        "IDP_PROFILE": "sandbox",
        "IDP_DATABASE_URL": f"sqlite:///{directory / 'lienket.sqlite3'}",
        "IDP_SECRETS_DIR": str(directory / "secrets"),
    }
    for command in (("secrets", "init"), ("db", "upgrade")):
        assert operate(*command, settings=given).returncode == 0
    return given


@pytest.fixture
def script() -> Iterator[ScriptedProvider]:
    """Yield a provider that knows our credentials and no code."""
    with ScriptedProvider() as made:
        made.answers["/token"] = lambda _: reply({"error": "invalid_grant"}, status=400)
        made.answers["/par"] = lambda _: reply({"request_uri": "urn:x", "expires_in": 60}, status=201)
        yield made


def _file(folder: Path, script: ScriptedProvider, **changes: Any) -> Path:
    whole = {
        "slug": "scripted",
        "issuer": script.issuer,
        "client_id": "lienket",
        "client_secret": SECRET,
        "token_endpoint_auth_method": "client_secret_basic",
        "levels": {"low": "loa1"},
        "ceiling": "loa1",
        "name": {"vi": "Bưu điện ID"},
        **changes,
    }
    file = folder / "provider.json"
    file.write_text(json.dumps({name: value for name, value in whole.items() if value is not None}), "utf-8")
    return file


def _check(file: Path | str, settings: dict[str, str]) -> tuple[int, list[str], str]:
    """Return status, what is wrong, and everything printed."""
    done = operate("upstream", "check", str(file), settings=settings)
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("WRONG")], done.stdout


def _metadata(**changes: Any) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        whole = script.metadata() | changes
        script.answers[DISCOVERY] = lambda _: reply({name: value for name, value in whole.items() if value is not None})

    return spoil


def _keys(*keys: dict[str, Any]) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        script.answers["/jwks"] = lambda _: reply({"keys": [script.key.jwk() | key for key in keys]})

    return spoil


def _at(path: str, answer: Reply) -> Spoil:
    def spoil(script: ScriptedProvider) -> None:
        script.answers[path] = lambda _: answer

    return spoil


def test_sound_provider_has_nothing_wrong_and_is_told_what_to_register(
    settings: dict[str, str], script: ScriptedProvider, tmp_path: Path
) -> None:
    status, wrong, output = _check(_file(tmp_path, script), settings)
    assert (status, wrong) == (0, [])
    assert "/upstream/scripted/callback" in output
    assert "right  Our credentials are accepted" in output
    assert "right  Clock" in output
    assert operate("upstream", "list", settings=settings).stdout == ""


def test_provider_on_record_is_checked_with_its_sealed_secret(
    settings: dict[str, str], script: ScriptedProvider, tmp_path: Path
) -> None:
    file = _file(tmp_path, script, slug="sealed")
    assert operate("upstream", "add", str(file), settings=settings).returncode == 0
    assert _check("sealed", settings)[:2] == (0, [])
    # A changed document without the secret is checked with the one on record.
    assert _check(_file(tmp_path, script, slug="sealed", client_secret=None), settings)[0] == 0
    assert script.times("/token") == 2
    assert all("Authorization" in headers for headers in script.headers[-1:])


@pytest.mark.parametrize(
    ("spoil", "changes", "words"),
    [
        (_metadata(issuer="https://id.example"), {}, "Issuer: it calls itself"),
        (_at(DISCOVERY, Reply(b"<html>", 200)), {}, "without a JSON object"),
        (_at(DISCOVERY, Reply(b"", 302, {"Location": "/other"})), {}, "answers with a redirect"),
        (_at(DISCOVERY, reply({}, headers={"Content-Encoding": "gzip"})), {}, "packs its answer"),
        (_metadata(token_endpoint=None), {}, "token_endpoint is missing"),
        (_metadata(token_endpoint="http://id.example/token"), {}, "must be https"),
        (_metadata(authorization_endpoint="https://id.example/a"), {}, "nobody agreed that browsers may be led"),
        (_metadata(id_token_signing_alg_values_supported=["HS256"]), {}, "id_token_signed_response_alg: ES256"),
        (_metadata(userinfo_signing_alg_values_supported=["RS256"]), {"userinfo_signed_response_alg": "ES256"},
         "userinfo_signed_response_alg"),
        (_metadata(), {"id_token_encrypted_response_alg": "ECDH-ES"}, "id_token_encrypted_response_alg: ECDH-ES"),
        (_metadata(token_endpoint_auth_methods_supported=["private_key_jwt"]), {}, "token_endpoint_auth_method"),
        (_metadata(require_pushed_authorization_requests=True), {}, "they insist on pushed requests"),
        (_metadata(), {"pushed_requests": True}, "pushed_requests: on record"),
        (_metadata(scopes_supported=["openid"]), {"scope": "openid cccd"}, "scope: they do not know"),
        (_metadata(acr_values_supported=["gold"]), {}, "levels: none on record"),
        (_metadata(end_session_endpoint=None), {"end_session": True}, "end_session: on record"),
        (_at("/jwks", reply({"keys": []})), {}, "none of the 0 they publish verifies ES256"),
        (_keys({"alg": "RS256"}), {}, "none of the 1 they publish verifies ES256"),
        (_keys({"d": "AAAA"}), {}, "they publish a private or shared key"),
        (_keys({}, {}), {}, "two have the same name"),
        (_at("/token", reply({"error": "invalid_client"}, status=401)), {}, "does not accept who we are"),
        (_at("/token", reply({"access_token": "x"})), {}, "a made-up code was accepted"),
    ],
)  # fmt: skip
def test_defect_is_named(
    spoil: Spoil,
    changes: dict[str, Any],
    words: str,
    settings: dict[str, str],
    script: ScriptedProvider,
    tmp_path: Path,
) -> None:
    spoil(script)
    status, wrong, output = _check(_file(tmp_path, script, **changes), settings)
    assert status == 1
    assert any(words in line for line in wrong), output


def test_clock_that_is_wrong_is_told_in_seconds(
    settings: dict[str, str], script: ScriptedProvider, tmp_path: Path
) -> None:
    script.date = formatdate(time.time() - 600, usegmt=True)
    status, [wrong], _ = _check(_file(tmp_path, script), settings)
    assert status == 1
    assert "Clock: theirs is 60" in wrong
    assert "behind ours" in wrong


def test_pushed_request_that_is_turned_down_names_the_redirect_uri(
    settings: dict[str, str], script: ScriptedProvider, tmp_path: Path
) -> None:
    pushed = {"pushed_authorization_request_endpoint": f"{script.issuer}/par"}
    _metadata(**pushed)(script)
    file = _file(tmp_path, script, pushed_requests=True)
    assert _check(file, settings)[:2] == (0, [])
    script.answers["/par"] = lambda _: reply({"error": "invalid_redirect_uri"}, status=400)
    status, [wrong], output = _check(file, settings)
    assert (status, wrong) == (1, "WRONG  Pushed requests: ours was turned down with invalid_redirect_uri.")
    assert 'Tell them: client "lienket" has redirect_uri' in output


def test_nothing_that_answers_is_told_so(settings: dict[str, str], tmp_path: Path) -> None:
    with ScriptedProvider() as gone:
        file = _file(tmp_path, gone)
    status, [wrong], _ = _check(file, settings)
    assert status == 1
    assert "refuses the connection" in wrong


def test_what_the_other_side_writes_cannot_drive_the_terminal(
    settings: dict[str, str], script: ScriptedProvider, tmp_path: Path
) -> None:
    _metadata(issuer="\x1b]0;owned\x07" + "x" * 5_000, acr_values_supported=["\x1b[2J"])(script)
    _, _, output = _check(_file(tmp_path, script), settings)
    assert "\x1b" not in output
    assert len(output) < 3_000


def test_name_that_is_neither_file_nor_provider_is_refused(settings: dict[str, str]) -> None:
    done = operate("upstream", "check", "nobody", settings=settings)
    assert (done.returncode, done.stdout) == (2, "")
