"""The settings: typed, documented at the field, refused when unknown or unsafe.

Sources, the later one winning: defaults here, the file named by `IDP_SETTINGS_FILE` (lines `NAME = value`),
the environment. The reference page docs/settings.md is generated from the descriptions below (`idp settings`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

PREFIX = "IDP_"
_NOT_SETTINGS = frozenset({"SETTINGS_FILE"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MAIL_FROM = re.compile(r"[!-~]+@[!-~]+|[^<>@\x00-\x1f\x7f]*<[!-;=?-~]+@[!-;=?-~]+>")


class Profile(StrEnum):
    """Where this provider stands: `sandbox` allows loopback http and invented people, `production` neither."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Registers(StrEnum):
    """Who may register a client at the registration endpoint: nobody, holders of an initial access token, everybody."""

    OFF = "off"
    TOKEN = "token"  # noqa: S105 (a word of the setting)
    OPEN = "open"


class RegistryAuthentication(StrEnum):
    """How the national register knows us: not at all, by a bearer token, by a TLS client certificate."""

    NONE = "none"
    BEARER = "bearer"
    MTLS = "mtls"


class SettingsRefused(Exception):
    """The settings cannot be used; `problems` holds one line per problem, each naming its setting and source."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


Seconds = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """All settings of one running provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(
        "http://localhost:8000",
        description="Issuer identifier: the public address of this provider, without a trailing slash. "
        "Production needs https.",
    )
    profile: Profile = Field(
        Profile.SANDBOX,
        description="`sandbox` (loopback http, invented citizens) or `production` (neither, and it refuses to start "
        "with either).",
    )
    database_url: str = Field(
        "sqlite:///var/lienket.sqlite3",
        description="SQLAlchemy address of the database: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.",
    )
    valkey_url: str | None = Field(
        None, description="Address of a Valkey or Redis server for rate limits shared by many workers; empty: database."
    )
    secrets_dir: Path = Field(
        Path("var/secrets"),
        description="Directory of the keyring: one file per purpose. Made by `idp secrets init`; mode 0700.",
    )
    person_keys: bool = Field(
        default=True,
        description="Give each citizen a key of their own. Off only while workers of a release without such keys still "
        "run beside this one.",
    )
    service_name: str = Field("LienKet", description="Name shown at the top of every page.")
    number_scheme: str = Field(
        "vn-pin",
        description="Scheme of the personal identification number: `vn-pin`, `stdnum:CC.MODULE`, or a dotted factory.",
    )
    default_language: str = Field(
        "vi", description="Language of pages when the citizen names none.", pattern="^(vi|en|fr)$"
    )
    registry: str = Field(
        "table",
        description="Adapter of the national register: `table` (embedded), `http` (asked over HTTPS), or a dotted "
        "factory name.",
    )
    registry_url: str | None = Field(
        None, description="Address to which `http` posts its questions; https, in the sandbox also loopback http."
    )
    registry_mapping: Path | None = Field(
        None,
        description="JSON file with the names the register uses for the members of questions and answers; empty: those "
        "of the Vietnamese population database.",
    )
    registry_authentication: RegistryAuthentication = Field(
        RegistryAuthentication.NONE,
        description="How the register knows us: `bearer` (the token in `registry.token` of the secrets directory), "
        "`mtls` (certificate and key in `registry.pem` there) or `none` (sandbox only).",
    )
    registry_ca_file: Path | None = Field(
        None, description="PEM file of certificate authorities trusted besides the system's for the register."
    )
    registry_recheck: Seconds = Field(
        86_400, description="Age in seconds after which the register is asked again about a citizen who signs in."
    )
    registry_retry: Seconds = Field(
        300, description="Seconds to leave the register alone about one citizen after it did not answer."
    )
    enrolment_wait: Seconds = Field(
        1_209_600,
        description="Seconds an enrolment waits for a register that does not answer, before the applicant must begin "
        "anew.",
    )
    session_idle: Seconds = Field(1_800, description="Idle life in seconds of a session at loa1.")
    session_absolute: Seconds = Field(43_200, description="Longest life in seconds of a session at loa1.")
    session_high: Seconds = Field(
        600, description="Life in seconds of a session at loa2 or loa3, from the authentication, never extended."
    )
    session_shared_idle: Seconds = Field(
        300, description="Idle life in seconds of a session on a device of which the citizen said that others use it."
    )
    closing_wait: int = Field(
        15, ge=0, le=365, description="Days from the wish to close an account until it is closed."
    )
    rights_answer_days: int = Field(
        2, ge=1, le=60, description="Working days (Monday to Friday) in which a request about rights is answered."
    )
    rights_restriction_days: int = Field(
        15, ge=1, le=365, description="Days in which a withdrawal, restriction or objection is carried out."
    )
    rights_other_days: int = Field(20, ge=1, le=365, description="Days in which any other right is carried out.")
    closed_history_days: int = Field(
        1_826, ge=0, description="Days the history of a closed account is kept: what the law on records asks for."
    )
    audit_key_file: Path | None = Field(
        None,
        description="PEM file of the key that signs checkpoints of the audit trail; empty: `audit.pem` in the secrets "
        "directory. Workers of `idp serve` seal where it is there; elsewhere `idp audit seal --follow` does.",
    )
    audit_checkpoints_file: Path | None = Field(
        None,
        description="File to which every checkpoint of the audit trail is added as it is signed; best on storage that "
        "can only be added to. Empty: none.",
    )
    audit_days: int = Field(
        1_096, ge=31, description="Days events of the audit trail are kept; their hashes stay for good."
    )
    counter_fresh: Seconds = Field(
        900,
        description="Seconds after signing in with a passkey that an officer may work at the counter; the life of the "
        "session (`IDP_SESSION_HIGH`) may end it earlier.",
    )
    counter_approvals: int = Field(
        2,
        ge=1,
        le=2,
        description="Officers needed to replace the ways to sign in of an account whose identity was bound before.",
    )
    counter_pairing: int = Field(
        900, ge=60, le=3_600, description="Seconds the code that a citizen shows at a counter is good."
    )
    mandate_longest: Seconds = Field(
        31_536_000, description="Longest time in seconds for which a citizen can let a counter help them sign in."
    )
    assisted_session: Seconds = Field(
        1_200, description="Life in seconds of a session opened with an officer's help, never beyond the mandate."
    )
    interaction_lifetime: Seconds = Field(600, description="Seconds a citizen has to finish one sign-in.")
    code_lifetime: int = Field(30, ge=1, le=60, description="Seconds an authorization code can be redeemed.")
    token_lifetime: int = Field(300, ge=10, le=3_600, description="Life in seconds of access and ID tokens.")
    token_lifetime_high: int = Field(
        120,
        ge=10,
        le=3_600,
        description="Life in seconds of access and ID tokens when loa2 or more was proven. Libraries that take a token "
        "for expired a minute before its time need more than 60.",
    )
    refresh_idle: Seconds = Field(
        604_800, description="Seconds after which a refresh token that nobody used stops working."
    )
    refresh_absolute: Seconds = Field(
        2_592_000, description="Seconds after the citizen's agreement when refreshing ends for good."
    )
    client_requests: int = Field(
        1_000,
        ge=1,
        description="Requests a second that one worker answers one client at `/par`, `/introspect`, `/revoke` and "
        "`/userinfo` together; five seconds of silence allow five times as many at once.",
    )
    pushed_lifetime: int = Field(
        60, ge=5, le=600, description="Seconds a pushed authorization request can be brought to the browser."
    )
    hash_workers: int = Field(
        0, ge=0, description="Passwords one worker process hashes at once; 0: one less than the cores, at least 1."
    )
    hash_queue: int = Field(
        50, ge=1, description="Passwords that may wait for hashing in one worker before it answers 503."
    )
    threads: int = Field(
        0, ge=0, description="Threads of one worker process; 0: what `idp serve` chooses for the server."
    )
    proxy_hops: int = Field(
        0, ge=0, le=1, description="1 when one trusted proxy stands in front and sets X-Forwarded-For and -Proto."
    )
    registration: str = Field(
        "",
        description="Who may register a client at `/register` (RFC 7591): `off`, `token` (who was given an initial "
        "access token by `idp clients invite`) or `open` (everybody; sandbox only). Empty: `open` in the sandbox, "
        "`off` in production.",
        pattern="^(|off|token|open)$",
    )
    outbound_ca_file: Path | None = Field(
        None,
        description="PEM file of certificate authorities trusted besides the system's for requests to clients' "
        "addresses (`jwks_uri`, logout, logos) and to the mail server.",
    )
    outbound_allow: str = Field(
        "",
        description="Host names, commas between them, that clients' addresses may name although they resolve to "
        "private addresses: those of the government's own network. All others must be public.",
    )
    proxy_addresses: str = Field(
        "",
        description="Addresses or networks the trusted proxy calls from, separated by commas; only needed for client "
        "certificates, which are believed from these alone.",
    )
    mtls_origin: str | None = Field(
        None,
        description="Second public address for programs that come with a TLS certificate (RFC 8705), such as "
        "`https://mtls.id.example`; empty: no mutual TLS.",
    )
    client_certificate_header: str | None = Field(
        None,
        description="Header in which the proxy passes the client's certificate at that address: URL-encoded PEM (nginx "
        "`$ssl_client_escaped_cert`) or the form of RFC 9440. A name without hyphen cannot be imitated by one with an "
        "underscore.",
        pattern="^[A-Za-z0-9-]{1,64}$",
    )
    client_verify_header: str | None = Field(
        None,
        description="Header in which the proxy says `SUCCESS` when the certificate leads to an authority it trusts "
        "(nginx `$ssl_client_verify`); empty: `tls_client_auth` is off, self-signed certificates work.",
        pattern="^[A-Za-z0-9-]{1,64}$",
    )
    dpop_nonce: bool = Field(
        default=True, description="Ask DPoP proofs at the token and PAR endpoints for a nonce of ours (RFC 9449, 8)."
    )
    mail_server: str | None = Field(
        None,
        description="Server that takes notices to citizens: `smtp://HOST[:587]`, where STARTTLS must succeed, or "
        "`smtps://HOST[:465]`. User and password are the two lines of `mail.credentials` in the secrets directory. "
        "Empty: notices are recorded and not sent. On loopback in the sandbox `smtp` is not encrypted.",
    )
    mail_from: str = Field(
        "", description="Sender of notices: `Name <address>`. Needed with a mail server or a mail folder."
    )
    mail_timeout: int = Field(10, ge=1, le=60, description="Seconds one mail may take, from connecting to its end.")
    mail_folder: Path | None = Field(
        None,
        description="Folder into which mails are written as .eml files, and text messages as .txt files, instead of "
        "being sent; for developers, sandbox only.",
    )
    sms_url: str | None = Field(
        None,
        description="Address of the SMS gateway, to which each text message is posted as JSON; https, in the sandbox "
        "also loopback http. Its bearer token is the line of `sms.token` in the secrets directory. Empty: no text "
        "messages, and mobile numbers cannot be proven.",
    )
    sms_sender: str = Field("", description="Sender of text messages as registered with the gateway; needed with it.")
    sms_timeout: int = Field(5, ge=1, le=60, description="Seconds the gateway may take for one text message.")
    password_blocklist: Path | None = Field(
        None,
        description="File of passwords that are known to attackers, made by `idp passwords blocklist build`; none of "
        "them can be set. Empty: the most common ones alone are refused.",
    )
    log_level: str = Field("INFO", description="Least level that is logged.", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        parts = urlsplit(self.issuer)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("issuer: needs an http(s) address without query or fragment")
        if parts.path.strip("/") or parts.username is not None:
            raise ValueError("issuer: needs scheme, host and port only; the endpoints stand at the root")
        if self.issuer.endswith("/"):
            raise ValueError("issuer: drop the trailing slash; relying parties compare the issuer byte for byte")
        if self.profile is Profile.PRODUCTION:
            if parts.scheme != "https":
                raise ValueError("issuer: production needs https")
            if os.environ.get("AUTHLIB_INSECURE_TRANSPORT"):
                raise ValueError("profile: production refuses to start while AUTHLIB_INSECURE_TRANSPORT is set")
            if self.registration == "open":
                raise ValueError("registration: production registers clients with a token only; use token or off")
        elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("issuer: http is allowed on loopback only; use https")
        if self.outbound_ca_file is not None and not self.outbound_ca_file.is_file():
            raise ValueError("outbound_ca_file: is not a file that can be read")
        if not self.database_url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ValueError("database_url: needs sqlite:///PATH or postgresql://...")
        self._refuse_unsafe_certificates()
        self._refuse_unsafe_register()
        self._refuse_unsafe_mail()
        self._refuse_unsafe_sms()
        return self

    def _refuse_unsafe_register(self) -> None:
        for name in ("registry_mapping", "registry_ca_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: is not a file that can be read")
        if self.registry != "http":
            return
        try:
            parts = urlsplit(self.registry_url or "")
            is_address = parts.hostname and parts.username is None and not parts.fragment and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError("registry_url: needs an address without user name and fragment")
        is_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK and self.is_sandbox
        if parts.scheme != "https" and not is_loopback:
            raise ValueError("registry_url: needs https; the sandbox may ask http on loopback")
        if self.registry_authentication is RegistryAuthentication.NONE and not self.is_sandbox:
            raise ValueError("registry_authentication: production needs bearer or mtls")

    def _refuse_unsafe_certificates(self) -> None:
        try:
            networks = self.proxy_networks
        except ValueError:
            raise ValueError("proxy_addresses: needs IP addresses or networks, separated by commas") from None
        if self.mtls_origin is None:
            if self.client_certificate_header is not None:
                raise ValueError("client_certificate_header: needs IDP_MTLS_ORIGIN")
            return
        parts = urlsplit(self.mtls_origin)
        if parts.scheme != "https" or not parts.hostname or self.mtls_origin != f"https://{parts.netloc}":
            raise ValueError("mtls_origin: needs https, host and port only")
        if parts.netloc.lower() == self.issuer_host:
            raise ValueError("mtls_origin: needs a name of its own; browsers would be asked for certificates")
        if self.client_certificate_header is None:
            raise ValueError("mtls_origin: needs IDP_CLIENT_CERTIFICATE_HEADER")
        if not self.proxy_hops or not networks:
            raise ValueError("mtls_origin: needs IDP_PROXY_HOPS = 1 and the proxy in IDP_PROXY_ADDRESSES")

    def _refuse_unsafe_mail(self) -> None:
        if self.mail_folder is not None and (self.mail_server is not None or not self.is_sandbox):
            raise ValueError("mail_folder: is for the sandbox, and takes the place of IDP_MAIL_SERVER")
        if self.mail_server is None and self.mail_folder is None:
            return
        if not _MAIL_FROM.fullmatch(self.mail_from):
            raise ValueError("mail_from: needs `Name <address>` or an address, in one line, the address in ASCII")
        if self.mail_server is None:
            return
        try:
            parts = urlsplit(self.mail_server)
            is_server = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
        except ValueError:
            is_server = False
        if not is_server or self.mail_server != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
            raise ValueError("mail_server: needs smtp://HOST or smtps://HOST, with a port or without, and no more")

    def _refuse_unsafe_sms(self) -> None:
        if self.sms_url is None:
            return
        try:
            parts = urlsplit(self.sms_url)
            is_address = parts.hostname and parts.username is None and not parts.fragment and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError("sms_url: needs an address without user name and fragment")
        is_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK and self.is_sandbox
        if parts.scheme != "https" and not is_loopback:
            raise ValueError("sms_url: needs https; the sandbox may post to http on loopback")
        if not self.sms_sender.strip() or not self.sms_sender.isprintable():
            raise ValueError("sms_sender: needs the name or number that the gateway knows this house by")

    @property
    def has_mail(self) -> bool:
        """Tell whether mails go anywhere: a mail address cannot be proven otherwise."""
        return self.mail_server is not None or self.mail_folder is not None

    @property
    def has_sms(self) -> bool:
        """Tell whether text messages go anywhere: a mobile number cannot be proven otherwise."""
        return self.sms_url is not None or self.mail_folder is not None

    @property
    def is_mail_plain(self) -> bool:
        """Tell whether the mail server is a developer's on this machine, which is spoken to without encryption."""
        parts = urlsplit(self.mail_server or "")
        return self.is_sandbox and parts.scheme == "smtp" and parts.hostname in _LOOPBACK

    @property
    def is_sandbox(self) -> bool:
        """Tell whether invented citizens, test numbers and loopback http are allowed."""
        return self.profile is Profile.SANDBOX

    @property
    def registers_clients(self) -> Registers:
        """Return who may register a client at the registration endpoint."""
        return Registers(self.registration or (Registers.OPEN if self.is_sandbox else Registers.OFF))

    @property
    def private_hosts(self) -> frozenset[str]:
        """Return the names that clients' addresses may have although they lead into a private network."""
        return frozenset(name.strip().lower() for name in self.outbound_allow.split(",") if name.strip())

    @property
    def is_https(self) -> bool:
        """Tell whether cookies can be `Secure` and carry the `__Host-` prefix."""
        return self.issuer.startswith("https://")

    @property
    def issuer_host(self) -> str:
        """Return the only Host header value that is answered."""
        return urlsplit(self.issuer).netloc.lower()

    @property
    def mtls_host(self) -> str | None:
        """Return the Host header value of the address for certificates, None without one."""
        return urlsplit(self.mtls_origin).netloc.lower() if self.mtls_origin else None

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return the networks of `proxy_addresses`. Raises ValueError."""
        return tuple(ip_network(part.strip()) for part in self.proxy_addresses.split(",") if part.strip())

    def lifetime_of_tokens(self, *, is_high: bool) -> timedelta:
        """Return the life of access and ID tokens for a sign-in above loa1 (`is_high`) or at loa1."""
        return timedelta(seconds=self.token_lifetime_high if is_high else self.token_lifetime)


@dataclass(frozen=True, slots=True)
class _Given:
    value: str
    source: str


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from file and environment.

    Raises SettingsRefused naming every unknown or unsafe setting and the line or variable it came from.
    """
    environment = os.environ if environment is None else environment
    problems: list[str] = []
    given: dict[str, _Given] = {}
    file = environment.get(PREFIX + "SETTINGS_FILE")
    if file:
        given |= _read_file(Path(file), problems)
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and (name := variable[len(PREFIX) :]) not in _NOT_SETTINGS:
            given[name.lower()] = _Given(value, f"environment variable {variable}")
    for name, entry in given.items():
        if name not in Settings.model_fields:
            problems.append(f"{entry.source}: there is no setting {PREFIX}{name.upper()}; `idp settings` lists all")
    values: dict[str, Any] = {
        name: entry.value for name, entry in given.items() if name in Settings.model_fields and entry.value != ""
    }
    try:
        settings = Settings(**values)
    except ValidationError as refused:
        problems.extend(_problem(error, given) for error in refused.errors())
    if problems:
        raise SettingsRefused(tuple(problems))
    return settings


def reference() -> str:
    """Return the reference page of all settings in Markdown, made from the field descriptions."""
    rows = [
        "# Settings",
        "",
        "Generated by `idp settings`; do not edit. Each name is an environment variable, or a line `NAME = value` of",
        "the file named by `IDP_SETTINGS_FILE`. Unknown names and unsafe values stop the start.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{PREFIX}{name.upper()}` | {_default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.default.value if isinstance(field.default, StrEnum) else field.default
    return "(empty)" if value is None else f"`{value}`"


def _read_file(path: Path, problems: list[str]) -> dict[str, _Given]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"IDP_SETTINGS_FILE: {path} cannot be read ({type(error).__name__})")
        return {}
    given: dict[str, _Given] = {}
    for line_number, written in enumerate(text.splitlines(), start=1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip().upper()
        if not equals or not name.startswith(PREFIX):
            problems.append(f"{path}:{line_number}: expected a line `{PREFIX}NAME = value`")
            continue
        given[name[len(PREFIX) :].lower()] = _Given(value.strip(), f"{path}:{line_number}")
    return given


def _problem(error: Any, given: Mapping[str, _Given]) -> str:
    name = str(error["loc"][0]) if error["loc"] else str(error["msg"]).removeprefix("Value error, ").partition(":")[0]
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix(f"{name}: ")
    source = given[name].source if name in given else "default"
    # The value itself stays out: it may hold a database password.
    return f"{source}: {PREFIX}{name.upper()}: {message}"
