"""What counts as one address, and that keys say nothing."""

import pytest

from idp.citizens.credentials import throttle
from tests.unit.citizens.place import Place


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_network_is_what_one_household_has(address: str, network: str) -> None:
    assert throttle.network(address) == network


def test_keys_differ_when_rule_account_or_address_differ(place: Place) -> None:
    made = {
        throttle.key(rule, *parts, keyring=place.keyring)
        for rule in (throttle.PAIR, throttle.ADDRESS)
        for parts in (("a", "b"), ("ab",), ("a", "c"), ("b", "b"))
    }
    assert len(made) == 8
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in made)
