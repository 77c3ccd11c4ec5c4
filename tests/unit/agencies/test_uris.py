"""Which addresses browsers may be sent to."""

import pytest

from idp.agencies import uris


@pytest.mark.parametrize(
    "uri",
    ["https://[::1]:8443/cb", "https://[2001:db8::1]/cb", "https://etax.example/cb", "https://192.0.2.7:8443/cb"],
)
def test_an_address_with_a_real_host_is_taken(uri: str) -> None:
    assert uris.problem_of(uri, allows_loopback=False) is None


@pytest.mark.parametrize(
    "uri",
    [
        "https://[v1.a;script-src]/cb",
        "https://[v1.a,b]/cb",
        "https://[::1]x/cb",
        "https://[::1].evil.example/cb",
        "https://x[::1]/cb",
        "https://[::1/cb",
        "https://::1]/cb",
        "https://[::1%25eth0]/cb",
        "https://[127.0.0.1]/cb",
        "https://[]/cb",
    ],
)
def test_brackets_hold_an_ipv6_address_and_nothing_else(uri: str) -> None:
    """Such a host goes into the Content-Security-Policy of pages, where `;` and `,` begin something new."""
    assert uris.problem_of(uri, allows_loopback=True) is not None
