"""Looking a provider over before citizens do: what it publishes and answers, held against its record, in plain words.

Owns the walk: metadata, addresses, clock, keys, our credentials there. Every request goes through the door that
sign-ins use, so what a sign-in would be refused for is refused here too, with the reason spelt out. What metadata
promise is compared in `comparison`. Nothing is written and no citizen is named: a code is made up to see how it is
turned down.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from idp.agencies import uris
from idp.agencies.remote_keys import LONGEST_SET, MAX_KEYS
from idp.core import clock, outbound
from idp.core.ids import new_secret
from idp.core.outbound import TOTAL_SECONDS, Answer, Outbound, OutboundRefused
from idp.keys import jose, public_jwk
from idp.keys.public_jwk import JwkRefused
from idp.upstream import comparison
from idp.upstream.answer import SKEW
from idp.upstream.channel import Channel
from idp.upstream.finding import Finding, note, quoted, right, wrong
from idp.upstream.metadata import DISCOVERY_PATH, LONGEST_DOCUMENT, NEEDED
from idp.upstream.record import AuthMethod, Endpoint, Provider, origin_of
from idp.upstream.refusal import UpstreamRefused

_NOTED_SKEW_SECONDS = 10
_BROWSER = (Endpoint.AUTHORIZATION, Endpoint.END_SESSION)
_WHY = {
    outbound.Reason.ADDRESS: "is no address that can be asked",
    outbound.Reason.NAME: "has a name that leads nowhere",
    outbound.Reason.NETWORK: "leads into a network that is not asked (IDP_OUTBOUND_ALLOW names exceptions)",
    outbound.Reason.CONNECT: "refuses the connection",
    outbound.Reason.TLS: "has a certificate that is not accepted (expired, for another name, of an unknown authority), "
    "or speaks nothing newer than TLS 1.1",
    outbound.Reason.TIMEOUT: f"does not answer within {TOTAL_SECONDS:.0f} seconds",
    outbound.Reason.REDIRECT: "answers with a redirect, and none is followed",
    outbound.Reason.ENCODED: "packs its answer although nobody asked for that",
    outbound.Reason.LENGTH: "answers with more than is read",
    outbound.Reason.BROKEN: "breaks its answer off",
}


class Check:
    """Looks providers over. `own_keys` is where our public keys are, for those who have to be told."""

    def __init__(self, door: Outbound, channel: Channel, *, is_sandbox: bool, own_keys: str) -> None:
        self._door = door
        self._channel = channel
        self._is_sandbox = is_sandbox
        self._own_keys = own_keys

    def walk(self, provider: Provider, redirect_uri: str) -> Iterator[Finding]:
        """Yield what is found, in the order of a sign-in. Side effects: asks the provider's machines."""
        published: Mapping[str, Any] | None = None
        if all(name in provider.endpoints for name in NEEDED):
            yield note("Its addresses are on record, so what it publishes is not read and not compared.")
        else:
            published, findings = self._published(provider)
            yield from findings
            if published is None:
                return
        endpoints, findings = self._endpoints(provider, published or {})
        yield from findings
        if published is not None:
            yield from comparison.compare(published, provider, endpoints)
        if Endpoint.KEYS in endpoints:
            yield from self._keys(provider, endpoints[Endpoint.KEYS])
        if Endpoint.TOKEN in endpoints:
            yield self._credentials(provider, endpoints[Endpoint.TOKEN], redirect_uri)
        if provider.uses_pushed_requests and Endpoint.PUSHED in endpoints:
            yield self._pushed(provider, endpoints[Endpoint.PUSHED], redirect_uri)

    def _published(self, provider: Provider) -> tuple[Mapping[str, Any] | None, list[Finding]]:
        address = provider.issuer.rstrip("/") + DISCOVERY_PATH
        try:
            answer = self._door.get(address, accept="application/json", longest=LONGEST_DOCUMENT)
        except OutboundRefused as refused:
            return None, [wrong(f"Metadata: {address} {_WHY[refused.reason]}.", "Tell them: let us read it.")]
        found = [_clock(answer)]
        document = _object(answer)
        if document is None:
            told = f"Metadata: {address} answers {answer.status} without a JSON object."
            return None, [*found, wrong(told, "Tell them: publish your metadata there, or correct `issuer` on record.")]
        if document.get("issuer") != provider.issuer:
            told = f"Issuer: it calls itself {quoted(document.get('issuer'))}, on record is {quoted(provider.issuer)}."
            advice = "Both must be the same, character by character. Correct the record if theirs is the right one."
            return None, [*found, wrong(told, advice)]
        return document, [*found, right("Metadata are there and name the issuer on record.")]

    def _endpoints(self, provider: Provider, published: Mapping[str, Any]) -> tuple[dict[Endpoint, str], list[Finding]]:
        good: dict[Endpoint, str] = {}
        findings = []
        for name in Endpoint:
            address = provider.endpoints.get(name) or published.get(name)
            if address is None:
                if name in NEEDED:
                    findings.append(wrong(f"{name} is missing.", "Tell them: publish it, or put it on record."))
                continue
            problem = "is no text" if not isinstance(address, str) else None
            problem = problem or uris.problem_of(address, allows_loopback=self._is_sandbox)
            if problem:
                findings.append(wrong(f"{name} {quoted(address)} {problem}.", "Tell them: sign-ins stop at this."))
                continue
            good[name] = address
            if name in _BROWSER and origin_of(address) not in provider.form_actions:
                is_used = name is Endpoint.AUTHORIZATION or provider.ends_sessions
                told = f"{name} is at {quoted(origin_of(address))}, where nobody agreed that browsers may be led."
                advice = 'If that is theirs, add it to "origins" on record.'
                findings.append(wrong(told, advice) if is_used else note(told, advice))
            elif urlsplit(address).hostname != urlsplit(provider.issuer).hostname:
                findings.append(note(f"{name} is on another host: {quoted(address)}.", "Ask whether it is theirs."))
        if all(name in good for name in NEEDED):
            findings.append(right("Every address it needs is there."))
        if Endpoint.USERINFO not in good:
            findings.append(note("It has no UserInfo: number, name and birth date must stand in its ID token."))
        return good, findings

    def _keys(self, provider: Provider, address: str) -> Iterator[Finding]:
        try:
            answer = self._door.get(address, accept="application/jwk-set+json, application/json", longest=LONGEST_SET)
        except OutboundRefused as refused:
            yield wrong(f"Keys: {quoted(address)} {_WHY[refused.reason]}.", "Tell them: let us read your keys.")
            return
        members = (_object(answer) or {}).get("keys")
        if answer.status != 200 or not isinstance(members, list) or len(members) > MAX_KEYS:  # noqa: PLR2004
            told = f"Keys: {quoted(address)} answers {answer.status} without a set of at most {MAX_KEYS} keys."
            yield wrong(told, "Tell them: publish a JSON Web Key Set there.")
            return
        keys = [key for key in members if isinstance(key, dict)]
        if any(not public_jwk.PRIVATE_MEMBERS.isdisjoint(key) for key in keys):
            yield wrong(
                "Keys: they publish a private or shared key. Whoever reads it can sign as them.",
                "Tell them at once: withdraw it and make a new pair. Disable the provider until then.",
            )
        names = [key["kid"] for key in keys if isinstance(key.get("kid"), str)]
        if len(names) != len(set(names)):
            yield wrong("Keys: two have the same name (kid).", "Tell them: every key needs a kid of its own.")
        used = {"ID tokens": provider.id_token_algorithm, "UserInfo": provider.userinfo_algorithm}
        for what, algorithm in used.items():
            if algorithm is None:
                continue
            fitting = [key for key in keys if _verifies(key, algorithm)]
            if not fitting:
                told = f"Keys: none of the {len(keys)} they publish verifies {algorithm}, on record for {what}."
                yield wrong(told, f"Tell them: publish the {algorithm} key you sign with.")
            elif len(fitting) > 1 and not all(key.get("kid") for key in fitting):
                yield note(f"Keys: one for {algorithm} has no name (kid).", "Tell them: name every key.")
            else:
                yield right(f"Keys: {len(fitting)} for {algorithm}, on record for {what}.")

    def _credentials(self, provider: Provider, address: str, redirect_uri: str) -> Finding:
        form = {
            "grant_type": "authorization_code",
            "code": new_secret(),
            "redirect_uri": redirect_uri,
            "code_verifier": new_secret(),
        }
        try:
            said = self._channel.probe(provider, address, form)
        except UpstreamRefused as refused:
            return wrong(f"Token endpoint: {quoted(address)} {_reason(refused)}.", "Tell them: it must answer us.")
        if said == "invalid_grant":
            return right("Our credentials are accepted at the token endpoint (a made-up code was turned down).")
        if said is None:
            return wrong("Token endpoint: a made-up code was accepted.", "Tell them at once, and disable the provider.")
        if said in ("invalid_client", "unauthorized_client"):
            return wrong(f"Token endpoint: it does not accept who we are ({said}).", self._who_we_are(provider))
        return note(
            f"Token endpoint: a made-up code was turned down with {said or 'no error word'}, usual is invalid_grant.",
            "Our credentials may be right or wrong; a sign-in will tell.",
        )

    def _pushed(self, provider: Provider, address: str, redirect_uri: str) -> Finding:
        request = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(provider.scopes),
            "state": new_secret(),
            "nonce": new_secret(),
            "code_challenge": new_secret(),
            "code_challenge_method": "S256",
        }
        try:
            said = self._channel.probe(provider, address, request)
        except UpstreamRefused as refused:
            return wrong(f"Pushed requests: {quoted(address)} {_reason(refused)}.", "Tell them: it must answer us.")
        if said is None:
            return right("A request was pushed and taken, so they know our redirect_uri and scopes.")
        advice = f"Tell them: client {quoted(provider.client_id)} has redirect_uri {redirect_uri} "
        return wrong(
            f"Pushed requests: ours was turned down with {said or 'no error word'}.",
            f"{advice}and asks scope {quoted(' '.join(provider.scopes))}.",
        )

    def _who_we_are(self, provider: Provider) -> str:
        client = f"Tell them: client {quoted(provider.client_id)} comes with {provider.auth_method}"
        if provider.auth_method is AuthMethod.PRIVATE_KEY_JWT:
            return (
                f"{client}, signed {provider.auth_algorithm} with a key at {self._own_keys}, "
                f"for the audience {quoted(provider.issuer)}."
            )
        return f"{client}. Compare the secret on record with theirs."


def _clock(answer: Answer) -> Finding:
    try:
        told = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return note("Clock: its answer has no Date, so clocks were not compared.")
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    seconds = round(_skew(told))
    if abs(seconds) <= _NOTED_SKEW_SECONDS:
        return right("Clock: theirs agrees with ours.")
    words = f"Clock: theirs is {abs(seconds)} seconds {'ahead of' if seconds > 0 else 'behind'} ours."
    advice = f"Tell them; make sure of ours too. More than {SKEW.seconds} seconds refuse every sign-in."
    return wrong(words, advice) if abs(seconds) > SKEW.seconds else note(words, advice)


def _skew(told: datetime) -> float:
    return (told - clock.now()).total_seconds()


def _object(answer: Answer) -> dict[str, Any] | None:
    if answer.status != 200:  # noqa: PLR2004 (RFC 9110, 15.3.1)
        return None
    try:
        members = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _verifies(key: Mapping[str, Any], algorithm: str) -> bool:
    try:
        return bool(jose.verification_keys(public_jwk.checked(key), (algorithm,)))
    except JwkRefused:
        return False


def _reason(refused: UpstreamRefused) -> str:
    cause = refused.__cause__
    return _WHY[cause.reason] if isinstance(cause, OutboundRefused) else "does not answer as it should"
