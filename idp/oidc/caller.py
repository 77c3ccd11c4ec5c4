"""Who sends a request to an endpoint for programs, as far as the transport says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The parts of a request, besides its form, by which a client proves itself or a key.

    `authorization` is the header as sent. `proofs` are the values of the DPoP headers, of which there may be at most
    one (RFC 9449, 4.3). `certificate` is the client's TLS certificate (DER), as the one trusted proxy passed it;
    `is_certificate_verified` says that the proxy also followed it to an authority it trusts.
    `address` is the full address of the endpoint as published, without a query: what a proof must name as `htu`.
    """

    method: str
    address: str
    authorization: str | None = None
    proofs: tuple[str, ...] = ()
    certificate: bytes | None = None
    is_certificate_verified: bool = False
