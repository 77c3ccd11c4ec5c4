"""The forms of contact data: one stored form for every way of writing an address."""

import pytest

from idp.citizens.contact_forms import ContactRefused, canonical, shown
from idp.notify.channels import Channel


@pytest.mark.parametrize(
    "typed",
    ["0912345678", "0912 345 678", "091.234.5678", "+84912345678", "+84 (0)912 345 678", "84912345678", "0084912345678",
     "０９１２３４５６７８", " 0912-345-678 "],
)  # fmt: skip
def test_number_is_the_same_however_it_is_written(typed: str) -> None:
    assert canonical(Channel.SMS, typed) == "+84912345678"


@pytest.mark.parametrize("typed", ["0301234567", "0951234567", "0871234567", "+33 6 12 34 56 78", "+1 202 555 0100"])
def test_no_prefix_and_no_country_is_refused(typed: str) -> None:
    assert canonical(Channel.SMS, typed).startswith("+")


@pytest.mark.parametrize("typed", ["", "091234567", "09123456789", "912345678", "0912345678x", "+0912345678", "١" * 10])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(ContactRefused):
        canonical(Channel.SMS, typed)


def test_mail_is_kept_as_a_server_is_given_it() -> None:
    assert canonical(Channel.MAIL, "  Hoa.Nguyen@Thu.EXAMPLE ") == "Hoa.Nguyen@thu.example"
    assert canonical(Channel.MAIL, "hoa@thư.example") == "hoa@xn--th-e0a.example"


@pytest.mark.parametrize(
    "typed",
    ["", "hoa", "hoa@", "@thu.example", "hoa@thu", "a b@thu.example", '"a@b"@thu.example',
     "hoa@thu.example\r\nBcc: x@y.z", "hoa@thu..example",
     "a@b@thu.example", f"{'a' * 65}@thu.example", "a" * 10_000],
)  # fmt: skip
def test_what_is_no_mail_address_is_refused(typed: str) -> None:
    with pytest.raises(ContactRefused):
        canonical(Channel.MAIL, typed)


def test_number_is_shown_as_at_home() -> None:
    assert shown(Channel.SMS, "+84912345678") == "0912 345 678"
    assert shown(Channel.SMS, "+33612345678") == "+33612345678"
    assert shown(Channel.MAIL, "hoa@thu.example") == "hoa@thu.example"
