"""Settings: unknown or unsafe ones stop the start, named with their source and never with their value."""

from pathlib import Path

import pytest

from idp.core.settings import Profile, Settings, SettingsRefused, load, reference

PRODUCTION = {"IDP_PROFILE": "production", "IDP_ISSUER": "https://id.example"}


def problems(**environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsRefused) as refused:
        load(environment)
    return refused.value.problems


def test_defaults_hold_when_nothing_is_set() -> None:
    settings = load({"PATH": "/bin"})
    assert settings == Settings()
    assert settings.is_sandbox
    assert settings.issuer_host == "localhost:8000"
    assert not settings.is_https


def test_production_registers_nobody_unless_it_is_told_to() -> None:
    assert load({}).registers_clients == "open"
    assert load(PRODUCTION).registers_clients == "off"
    assert load({**PRODUCTION, "IDP_REGISTRATION": "token"}).registers_clients == "token"
    [problem] = problems(**PRODUCTION, IDP_REGISTRATION="open")
    assert problem.endswith("IDP_REGISTRATION: production registers clients with a token only; use token or off")
    assert len(problems(IDP_REGISTRATION="all")) == 1


def test_clients_addresses_may_lead_inside_only_where_the_settings_say_so(tmp_path: Path) -> None:
    assert load({"IDP_OUTBOUND_ALLOW": "api.noibo.example, Kho.example,"}).private_hosts == {
        "api.noibo.example",
        "kho.example",
    }
    assert load({}).private_hosts == frozenset()
    assert len(problems(IDP_OUTBOUND_CA_FILE=str(tmp_path / "missing.pem"))) == 1


def test_a_register_is_asked_only_where_and_as_is_safe(tmp_path: Path) -> None:
    there = {"IDP_REGISTRY": "http", "IDP_REGISTRY_URL": "https://dan-cu.example/tra-cuu"}
    known = {**there, "IDP_REGISTRY_AUTHENTICATION": "mtls"}
    assert load({**there, "IDP_REGISTRY_URL": "http://127.0.0.1:8100/questions"}).registry == "http"
    assert load({**PRODUCTION, **known}).registry_authentication == "mtls"
    [problem] = problems(**PRODUCTION, **there)
    assert problem == "default: IDP_REGISTRY_AUTHENTICATION: production needs bearer or mtls"
    for url in (
        "",
        "dan-cu.example",
        "http://dan-cu.example/",
        "https://u:p@dan-cu.example/",
        "https://[::1",
        "ftp://x/",
    ):
        assert "IDP_REGISTRY_URL: " in problems(**{**known, "IDP_REGISTRY_URL": url})[0]
    assert "IDP_REGISTRY_URL: " in problems(**PRODUCTION, **{**known, "IDP_REGISTRY_URL": "http://127.0.0.1/"})[0]
    for name in ("IDP_REGISTRY_MAPPING", "IDP_REGISTRY_CA_FILE"):
        assert problems(**{**known, name: str(tmp_path / "missing")})[0].endswith(
            f"{name}: is not a file that can be read"
        )


def test_the_environment_wins_when_the_file_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("# ours\n\nIDP_SERVICE_NAME = Cổng = một\nIDP_THREADS=3\n", "utf-8")
    settings = load({"IDP_SETTINGS_FILE": str(file), "IDP_THREADS": "4"})
    assert (settings.service_name, settings.threads) == ("Cổng = một", 4)


def test_every_problem_names_its_source_when_several_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("IDP_CODE_LIFETIME = 600\nnonsense\nIDP_COLOUR = blue\n", "utf-8")
    found = problems(IDP_SETTINGS_FILE=str(file), IDP_ISUER="x", IDP_HASH_QUEUE="many")
    assert [problem.split(": ")[0] for problem in sorted(found)] == sorted(
        [f"{file}:1", f"{file}:2", f"{file}:3", "environment variable IDP_HASH_QUEUE", "environment variable IDP_ISUER"]
    )


def test_a_missing_file_is_named_when_asked_for() -> None:
    assert problems(IDP_SETTINGS_FILE="/nowhere") == ("IDP_SETTINGS_FILE: /nowhere cannot be read (FileNotFoundError)",)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://id.example",
        "https://id.example/",
        "https://id.example?x",
        "https://id.example#x",
        "https://id.example/path",
        "https://somebody:secret@id.example",
        "https://somebody@id.example",
        "https://@id.example",
        "ftp://x",
        "id.example",
    ],
)
def test_an_issuer_is_refused_when_it_cannot_be_one(issuer: str) -> None:
    assert "IDP_ISSUER" in problems(IDP_ISSUER=issuer)[0]


def test_production_refuses_when_something_is_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(PRODUCTION).profile is Profile.PRODUCTION
    assert "production needs https" in problems(IDP_PROFILE="production")[0]
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    assert "AUTHLIB_INSECURE_TRANSPORT" in problems(**PRODUCTION)[0]


def test_no_value_is_quoted_when_refused() -> None:
    found = problems(IDP_DATABASE_URL="mysql://somebody:Geheim1@host/x", IDP_LOG_LEVEL="Geheim1", IDP_THREADS="Geheim1")
    assert "Geheim1" not in "\n".join(found)


def test_the_reference_is_current_when_generated() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text("utf-8") == reference(), "idp settings --markdown > docs/settings.md"
    assert all(f"`IDP_{name.upper()}`" in reference() for name in Settings.model_fields)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"MAIL_SERVER": "smtp://mail.example"}, "IDP_MAIL_FROM: needs"),
        ({"MAIL_SERVER": "smtp://mail.example", "MAIL_FROM": "a@b.example\nBcc: c@d.example"}, "IDP_MAIL_FROM: needs"),
        ({"MAIL_SERVER": "smtp://mail.example", "MAIL_FROM": "LienKet"}, "IDP_MAIL_FROM: needs"),
        ({"MAIL_SERVER": "mail.example", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_SERVER: needs"),
        ({"MAIL_SERVER": "http://mail.example", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_SERVER: needs"),
        ({"MAIL_SERVER": "smtp://mail.example:x", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_SERVER: needs"),
        ({"MAIL_SERVER": "smtp://u:Geheim1@mail.example", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_SERVER: needs"),
        ({"MAIL_SERVER": "smtps://mail.example/x", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_SERVER: needs"),
        ({"MAIL_SERVER": "smtps://m.example", "MAIL_FOLDER": "m", "MAIL_FROM": "a@b.example"}, "IDP_MAIL_FOLDER: is"),
        ({"MAIL_FOLDER": "m", "MAIL_FROM": "a@b.example", "PROFILE": "production"}, "IDP_MAIL_FOLDER: is"),
    ],
)
def test_mail_that_could_not_go_or_would_leak_stops_the_start(given: dict[str, str], complaint: str) -> None:
    [problem] = problems(IDP_ISSUER="https://id.example", **{f"IDP_{name}": value for name, value in given.items()})
    assert complaint in problem
    assert "Geheim1" not in problem


@pytest.mark.parametrize(
    ("server", "profile", "is_plain"),
    [
        ("smtp://127.0.0.1:1025", "sandbox", True),
        ("smtp://127.0.0.1:1025", "production", False),
        ("smtp://mail.example", "sandbox", False),
        ("smtps://127.0.0.1", "sandbox", False),
    ],
)
def test_mail_goes_unencrypted_to_a_developers_own_machine_alone(server: str, profile: str, *, is_plain: bool) -> None:
    sender = "Cổng LienKet <khong-tra-loi@id.example>"
    given = {"IDP_ISSUER": "https://id.example", "IDP_PROFILE": profile, "IDP_MAIL_FROM": sender}
    assert load({**given, "IDP_MAIL_SERVER": server}).is_mail_plain is is_plain
