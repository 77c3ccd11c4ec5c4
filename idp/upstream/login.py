"""One journey to a provider and back.

    prepare   a state, a nonce and a verifier made; the journey kept, sealed
    address   where the browser goes
    spend     the state that came back, spent by one statement before anything else is looked at
    come_back the code redeemed, every check of the answer made, the person read

The state is bound to the browser by the interaction it belongs to, whose flow cookie the view demands. Whoever asked us
is not in anything the provider sees: one redirect URI for each provider, a state that means nothing, no hint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import UUID

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from idp.agencies.remote_keys import ClientKeys
from idp.core.database import HotPath, as_uuid
from idp.core.ids import digest, new_id, new_secret
from idp.core.keyring import Keyring
from idp.core.levels import Level
from idp.core.outbound import Outbound
from idp.core.settings import Settings
from idp.keys.ring import SigningKeys
from idp.upstream import answer, claims
from idp.upstream.answer import Asked, Asserted, LogoutToken
from idp.upstream.channel import Channel
from idp.upstream.claims import Person
from idp.upstream.health import Breakers
from idp.upstream.metadata import MetadataReader
from idp.upstream.models import READ_SPENT_STATE, SPEND_LOGOUT_TOKEN, SPEND_STATE, START_JOURNEY, journey_place
from idp.upstream.record import Endpoint, Provider, ProviderRecord
from idp.upstream.refusal import Reason, UpstreamRefused

JOURNEY_SECONDS = 600
# A token older than this is refused by its `iat` anyway.
LOGOUT_TOKEN_SECONDS = 2 * 86_400
_LONGEST_CODE = 4_096


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sign-in has to bring: `level` is asked for, `least` is what less than is refused."""

    level: Level
    least: Level
    max_age: int | None
    must_prompt: bool
    language: str


@dataclass(frozen=True, slots=True)
class Departure:
    """A journey about to begin: what only this browser and the provider will know of it."""

    id: UUID
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey whose state has just been spent."""

    id: UUID
    provider_id: UUID
    interaction_id: UUID
    handle: str
    verifier: str = field(repr=False)
    asked: Asked


@dataclass(frozen=True, slots=True)
class Found:
    """What a provider said, all checks passed: the sign-in, the person, and the token its own sign-out wants."""

    asserted: Asserted
    person: Person
    id_token: str = field(repr=False)


class Upstream:
    """Sign-ins by providers. One for each process; safe to use from several threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        keyring: Keyring,
        hot_path: HotPath,
        outbound: Outbound,
        signing_keys: SigningKeys,
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._hot_path = hot_path
        self.metadata = MetadataReader(outbound, is_sandbox=settings.is_sandbox)
        self.keys = ClientKeys(outbound)
        self._own_keys = signing_keys
        self._channel = Channel(outbound, signing_keys, Breakers(hot_path))

    def redirect_uri(self, provider: Provider) -> str:
        """Return where `provider` sends browsers back to: an address of its own, so that no other can answer there."""
        return f"{self._settings.issuer}/upstream/{provider.slug}/callback"

    @property
    def jwks_uri(self) -> str:
        """Return where providers find our keys: to know our assertions by, and to encrypt to."""
        return f"{self._settings.issuer}/upstream/jwks"

    def to_register(self, slug: str, record: ProviderRecord) -> dict[str, str]:
        """Return what the other side has to register for us, by the names of Dynamic Client Registration."""
        home = f"{self._settings.issuer}/upstream/{slug}"
        encryptions = record.encryptions.items()
        return {
            "jwks_uri": self.jwks_uri,
            "redirect_uri": f"{home}/callback",
            "backchannel_logout_uri": f"{home}/backchannel-logout",
            "post_logout_redirect_uri": f"{home}/signed-out",
            **{f"{name}_encrypted_response_alg": each.alg for name, each in encryptions},
            **{f"{name}_encrypted_response_enc": each.enc for name, each in encryptions},
        }

    def prepare(self, provider: Provider, wish: Wish, *, interaction_id: UUID, handle: str) -> Departure:
        """Keep a new journey, by one statement that commits. The caller holds no transaction."""
        departure = Departure(new_id(), new_secret(), new_secret(), new_secret())
        kept = {
            "handle": handle,
            "nonce": departure.nonce,
            "verifier": departure.verifier,
            "least": int(wish.least),
            "max_age": wish.max_age,
        }
        journey = {
            "id": departure.id,
            "state_digest": digest(departure.state),
            "provider_id": provider.id,
            "interaction_id": interaction_id,
            "journey": self._keyring.seal(json.dumps(kept), journey_place(departure.id)),
            "lifetime": JOURNEY_SECONDS,
        }
        self._hot_path.apply(START_JOURNEY, journey)
        return departure

    def address(self, provider: Provider, wish: Wish, departure: Departure) -> str:
        """Return where the browser goes. Raises UpstreamRefused. Side effects: may ask the provider's machines."""
        request = self._request(provider, wish, departure)
        with self._channel.place(provider):
            metadata = self.metadata.of(provider)
            if provider.uses_pushed_requests:
                whole = {"response_type": "code", "client_id": provider.client_id, **request}
                request = {"request_uri": self._channel.push(provider, metadata, whole)}
        address = metadata.endpoints[Endpoint.AUTHORIZATION]
        if provider.uses_pushed_requests:
            pushed = urlencode({"client_id": provider.client_id, **request})
            return f"{address}{'&' if '?' in address else '?'}{pushed}"
        return str(prepare_grant_uri(address, provider.client_id, "code", **request))

    def spend(self, state: str) -> Journey | None:
        """Spend `state` and return its journey; None when it is unknown, spent before, or its time is over."""
        row = self._hot_path.apply(SPEND_STATE, {"digest": digest(state)})
        if row is None:
            return None
        login_id = as_uuid(row["id"])
        kept = json.loads(self._keyring.unseal(row["journey"], journey_place(login_id)))
        return Journey(
            id=login_id,
            provider_id=as_uuid(row["provider_id"]),
            interaction_id=as_uuid(row["interaction_id"]),
            handle=kept["handle"],
            verifier=kept["verifier"],
            asked=Asked(kept["nonce"], Level(kept["least"]), kept["max_age"]),
        )

    def handle_of_spent(self, state: str) -> str | None:
        """Return the interaction's handle for a state that was spent: the browser sent the same answer twice.

        The handle opens nothing without the flow cookie.
        """
        row = self._hot_path.one(READ_SPENT_STATE, {"digest": digest(state)})
        if row is None:
            return None
        kept = json.loads(self._keyring.unseal(row["journey"], journey_place(as_uuid(row["id"]))))
        return str(kept["handle"])

    def come_back(self, journey: Journey, parameters: Mapping[str, str], *, provider: Provider) -> Found:
        """Return whom `provider` names in its answer. Raises UpstreamRefused.

        The caller holds no transaction: the provider may take its time.
        """
        with self._channel.place(provider):
            metadata = self.metadata.of(provider)
            issuer = parameters.get("iss")
            if (issuer is not None or metadata.promises_iss) and issuer != provider.issuer:
                # RFC 9207, 2.4: somebody else's answer, errors included.
                raise UpstreamRefused(Reason.RESPONSE_ISSUER)
            if error := parameters.get("error"):
                raise UpstreamRefused(Reason.CANCELLED if error == "access_denied" else Reason.PROVIDER_ERROR)
            code = parameters.get("code", "")
            if not code or len(code) > _LONGEST_CODE or not code.isascii():
                raise UpstreamRefused(Reason.CODE_MISSING)
            tokens = self._channel.redeem(
                provider, metadata, code, verifier=journey.verifier, redirect_uri=self.redirect_uri(provider)
            )
            id_token = self._opened(tokens.id_token, provider)
            asserted = answer.read_id_token(
                id_token,
                tokens.access_token,
                asked=journey.asked,
                provider=provider,
                metadata=metadata,
                keys=self.keys,
            )
            said = dict(asserted.claims)
            if Endpoint.USERINFO in metadata.endpoints:
                said |= answer.read_userinfo(
                    self._channel.userinfo(metadata, tokens),
                    subject=asserted.subject,
                    provider=provider,
                    metadata=metadata,
                    keys=self.keys,
                    own_keys=self._own_keys,
                )
        person = claims.person_of(said, provider=provider, settings=self._settings)
        return Found(asserted, person, id_token)

    def logout_token(self, compact: str, provider: Provider) -> LogoutToken:
        """Return what a logout token of `provider` ends, spent. Raises UpstreamRefused."""
        with self._channel.place(provider):
            metadata = self.metadata.of(provider)
            compact = self._opened(compact, provider)
            token = answer.read_logout_token(compact, provider=provider, metadata=metadata, keys=self.keys)
        spent = {"provider_id": provider.id, "digest": digest(token.jti), "lifetime": LOGOUT_TOKEN_SECONDS}
        if self._hot_path.apply(SPEND_LOGOUT_TOKEN, spent) is None:
            raise UpstreamRefused(Reason.REPLAYED)
        return token

    def _opened(self, compact: str, provider: Provider) -> str:
        # A logout token is encrypted as ID tokens are (Back-Channel Logout 1.0, 2.6), and a hint for the provider's own
        # sign-out is sent as it was signed (RP-Initiated Logout 1.0, 2).
        return answer.opened(compact, provider.id_token_encryption, self._own_keys, Reason.ENCRYPTION)

    def _request(self, provider: Provider, wish: Wish, departure: Departure) -> dict[str, str]:
        words = provider.acr_words(provider.asked(wish.level))
        request = {
            "redirect_uri": self.redirect_uri(provider),
            "scope": " ".join(provider.scopes),
            "state": departure.state,
            "nonce": departure.nonce,
            "code_challenge": create_s256_code_challenge(departure.verifier),
            "code_challenge_method": "S256",
            "ui_locales": wish.language,
        }
        if words:
            request["acr_values"] = " ".join(words)
        if wish.must_prompt or provider.always_prompts:
            request["prompt"] = "login"
        if wish.max_age is not None:
            request["max_age"] = str(wish.max_age)
        return request
