"""`idp officers`: the number is typed, never given; a counter is named; an end is an end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from idp.cli import officers
from idp.cli.shared import Refused
from tests.provider import ISSUER, Provider, provider_at


@pytest.fixture
def provider(migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with provider_at(migrated_sqlite_url, tmp_path / "secrets") as made:
        monkeypatch.setenv("IDP_DATABASE_URL", migrated_sqlite_url)
        monkeypatch.setenv("IDP_SECRETS_DIR", str(tmp_path / "secrets"))
        monkeypatch.setenv("IDP_ISSUER", ISSUER)
        yield made


def call(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(officers.group, arguments, input=typed)


def test_officer_is_added_listed_and_ended(provider: Provider) -> None:
    person, portal = provider.citizen(), provider.portal()
    named = (
        "add",
        "--counter",
        "p1",
        "--name",
        "vi=Phường Một",
        "--service",
        portal.client_id,
        "--until",
        "2030-01-31",
    )
    made = call(*named, typed=f"{person.number}\n")
    assert made.exit_code == 0, made.output
    assert "passkey" in made.output
    assert person.number not in made.output
    again = call("add", "--counter", "p1", typed=person.number)
    assert isinstance(again.exception, SystemExit)
    listed = call("list").output
    assert listed.startswith("p1  ")
    assert person.number not in listed
    assert "31/01/2030" in listed or "01/02/2030" in listed
    assert "0 assisted sessions" in call("end", typed=f"{person.number}\n").output
    assert call("list").output == ""
    assert call("end", typed=person.number).exit_code == Refused.exit_code


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        (("--counter", "p2"), None, "Vietnamese name"),
        (("--counter", "p2", "--name", "de=Amt"), None, "LANGUAGE=NAME"),
        (("--counter", "p2", "--service", "nobody"), None, "there is no client"),
        (("--counter", "p2", "--name", "vi=Hai"), "123", "no number"),
        (("--counter", "p2", "--name", "vi=Hai"), "979191999999", "nobody with this number"),
    ],
)
def test_refusal_says_what_to_do(provider: Provider, arguments: tuple[str, ...], typed: str | None, words: str) -> None:
    refused = call("add", *arguments, typed=provider.citizen().number if typed is None else typed)
    assert refused.exit_code == Refused.exit_code
    assert words in refused.output
