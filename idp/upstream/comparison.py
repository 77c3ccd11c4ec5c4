"""What a provider's metadata promise, held against its record (OpenID Connect Discovery 1.0, 3; RFC 8414, 2).

The record decides at a sign-in and the metadata never do; where the two differ, one side has to be corrected, and an
operator wants to know before citizens find out.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from idp.keys.proof import PROVER_ALGORITHM
from idp.upstream.finding import Finding, note, quoted, right, wrong
from idp.upstream.record import AuthMethod, Endpoint, Provider

# What counts where a provider says nothing (Discovery 1.0, 3).
_DEFAULTS = {"token_endpoint_auth_methods_supported": ("client_secret_basic",)}
_SAME = {"EdDSA": ("EdDSA", "Ed25519")}


def compare(published: Mapping[str, Any], provider: Provider, endpoints: Mapping[Endpoint, str]) -> Iterator[Finding]:
    """Yield where `published` and the record of `provider` agree and differ."""
    yield from _algorithms(published, provider)
    yield from _encryption(published, provider)
    yield from _authentication(published, provider)
    yield from _requests(published, provider, endpoints)
    yield from _levels(published, provider)
    yield from _facts(published, provider)
    yield from _sign_out(published, provider, endpoints)


def _algorithms(published: Mapping[str, Any], provider: Provider) -> Iterator[Finding]:
    fixed = {
        "id_token_signed_response_alg": ("id_token_signing_alg_values_supported", provider.id_token_algorithm),
        "userinfo_signed_response_alg": ("userinfo_signing_alg_values_supported", provider.userinfo_algorithm),
    }
    for member, (listed_as, algorithm) in fixed.items():
        listed = _listed(published, listed_as)
        if algorithm is None:
            continue
        if listed is None:
            yield note(f"{member}: they do not say what they sign with; {algorithm} is on record.")
        elif set(_SAME.get(algorithm, (algorithm,))).isdisjoint(listed):
            yield wrong(
                f"{member}: {algorithm} is on record, they offer {_shown(listed)}.",
                f'Tell them: register {member} "{algorithm}" for us. Or put one of theirs on record (never HS256).',
            )
        else:
            yield right(f"{member}: they offer {algorithm}. It must be what they have registered for us.")


def _encryption(published: Mapping[str, Any], provider: Provider) -> Iterator[Finding]:
    for answer, encryption in provider.encryptions.items():
        for half, wanted in (("alg", encryption.alg), ("enc", encryption.enc)):
            member = f"{answer}_encrypted_response_{half}"
            offered = _listed(published, f"{answer}_encryption_{half}_values_supported") or ()
            if wanted in offered:
                yield right(f"{member}: they offer {wanted}. It must be what they have registered for us.")
            else:
                yield wrong(
                    f"{member}: {wanted} is on record, they offer {_shown(offered)}.",
                    "Put one of theirs on record, or drop it there.",
                )


def _authentication(published: Mapping[str, Any], provider: Provider) -> Iterator[Finding]:
    methods = _listed(published, "token_endpoint_auth_methods_supported") or ()
    if provider.auth_method not in methods:
        yield wrong(
            f"token_endpoint_auth_method: {provider.auth_method} is on record, they offer {_shown(methods)}.",
            "Tell them what is on record, or put one of theirs there.",
        )
        return
    algorithms = _listed(published, "token_endpoint_auth_signing_alg_values_supported")
    is_signed = provider.auth_method is AuthMethod.PRIVATE_KEY_JWT
    if is_signed and algorithms is not None and provider.auth_algorithm not in algorithms:
        yield wrong(
            f"token_endpoint_auth_signing_alg: we sign {provider.auth_algorithm}, they accept {_shown(algorithms)}.",
            "Put one of theirs on record.",
        )
        return
    yield right(f"token_endpoint_auth_method: they offer {provider.auth_method}.")


def _requests(published: Mapping[str, Any], provider: Provider, endpoints: Mapping[Endpoint, str]) -> Iterator[Finding]:
    if (kinds := _listed(published, "response_types_supported")) is not None and "code" not in kinds:
        yield wrong(f"response_types: we ask for code, they offer {_shown(kinds)}.", "Tell them: code flow only.")
    if "S256" not in (_listed(published, "code_challenge_methods_supported") or ()):
        yield note("PKCE: they do not say that they check S256.", "Ask them to; we send it in any case.")
    scopes = _listed(published, "scopes_supported")
    if scopes is not None and (unknown := [name for name in provider.scopes if name not in scopes]):
        yield wrong(f"scope: they do not know {_shown(unknown)}.", "Ask them for the scope, or drop it on record.")
    must_push = published.get("require_pushed_authorization_requests") is True
    if provider.uses_pushed_requests and Endpoint.PUSHED not in endpoints:
        yield wrong("pushed_requests: on record, but they have no address for them.", "Drop it on record.")
    elif must_push and not provider.uses_pushed_requests:
        yield wrong("pushed_requests: they insist on pushed requests.", 'Put "pushed_requests": true on record.')
    elif Endpoint.PUSHED in endpoints and not provider.uses_pushed_requests:
        yield note("pushed_requests: they take pushed requests.", 'Consider "pushed_requests": true on record.')
    names_itself = published.get("authorization_response_iss_parameter_supported") is True
    if provider.promises_iss and not names_itself:
        yield note(
            "iss_parameter: on record, but they do not promise it. Without it every return is refused.",
            "Ask them whether they send iss (RFC 9207).",
        )
    elif not names_itself:
        yield note("iss_parameter: they do not name themselves in their answers.", "Ask them for RFC 9207.")
    else:
        yield right("iss_parameter: every answer has to name them.")
    proofs = _listed(published, "dpop_signing_alg_values_supported") or ()
    if provider.binds_tokens and PROVER_ALGORITHM not in proofs:
        yield wrong(
            f"dpop_bound_access_tokens: our proofs are {PROVER_ALGORITHM}, they accept {_shown(proofs)}.",
            "Drop it on record, or ask them for it.",
        )
    elif proofs and not provider.binds_tokens:
        yield note("dpop_bound_access_tokens: they offer DPoP.", "Consider it on record; they have to set it, too.")


def _levels(published: Mapping[str, Any], provider: Provider) -> Iterator[Finding]:
    offered = _listed(published, "acr_values_supported")
    if offered is None:
        if provider.level_without_acr is None:
            yield note("levels: they do not list their acr words. A token without one is refused.")
        return
    missing = [word for word in provider.levels if word not in offered]
    if len(missing) == len(provider.levels):
        yield wrong(
            f"levels: none on record is a word of theirs; they have {_shown(offered)}.",
            "Ask them what each is worth, and put it on record.",
        )
    elif missing:
        yield note(f"levels: on record, but no word of theirs: {_shown(missing)}.")
    else:
        yield right("levels: every word on record is one of theirs.")
    if unknown := [word for word in offered if word not in provider.levels]:
        yield note(f"levels: of theirs and not on record, so refused: {_shown(unknown)}.")


def _facts(published: Mapping[str, Any], provider: Provider) -> Iterator[Finding]:
    offered = _listed(published, "claims_supported")
    if offered is None:
        return
    frameworks = _listed(published, "trust_frameworks_supported") or ()
    if provider.trust_frameworks and set(frameworks).isdisjoint(provider.trust_frameworks):
        yield note(f"trust_frameworks: they do not list one on record; theirs are {_shown(frameworks)}.")
    verified = _listed(published, "claims_in_verified_claims_supported") or ()
    for fact in ("number", "name", "birthdate"):
        names = provider.claims[fact]
        if set(names).isdisjoint((*offered, *verified)):
            yield note(
                f"claims.{fact}: they list none of {_shown(names)}.",
                "Ask them where it stands. Without it every sign-in is refused.",
            )


def _sign_out(published: Mapping[str, Any], provider: Provider, endpoints: Mapping[Endpoint, str]) -> Iterator[Finding]:
    if provider.ends_sessions and Endpoint.END_SESSION not in endpoints:
        yield wrong("end_session: on record, but they have no address for it.", "Drop it on record.")
    if provider.tells_of_logout and published.get("backchannel_logout_supported") is not True:
        yield note(
            "backchannel_logout: on record, but they do not promise it.",
            "Ask them whether they send logout tokens.",
        )


def _listed(published: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return the words of a list in metadata; what counts without one, or None, where there is none."""
    given = published.get(name)
    if not isinstance(given, list):
        return _DEFAULTS.get(name)
    return tuple(word for word in given if isinstance(word, str))


def _shown(words: Collection[str]) -> str:
    return ", ".join(map(quoted, words)) if words else "nothing"
