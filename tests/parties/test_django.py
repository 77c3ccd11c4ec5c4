"""A Django portal with mozilla-django-oidc: sign in, come again, refuse what is not its own, sign out."""

import sys
import time
from collections.abc import Iterator

import pytest

from tests.parties.sandbox import Client, Party, Sandbox
from tests.parties.walker import Walker

# One worker for all of them: a provider and many portals are started once.
pytestmark = pytest.mark.xdist_group("parties")

COMMAND = [sys.executable, "-m", "tests.parties.django_portal"]


@pytest.fixture(scope="module")
def portal(town: Sandbox) -> Iterator[Party]:
    """Yield the Django portal."""
    client = Client("django", "client_secret_post", callback="/oidc/callback/", signed_out="/signed-out")
    with town.party("django", COMMAND, [client]) as running:
        yield running


def test_citizen_signs_in_and_out_through_django(portal: Party, walker: Walker) -> None:
    arrived = walker.walk(f"{portal.origin}/oidc/authenticate/?next=/me")
    assert walker.seen == {"login-form", "totp-form", "consent-form"}
    assert arrived["name"] == walker.person.full_name
    assert arrived["email"] == (walker.person.email or "")
    again = walker.walk(f"{portal.origin}/oidc/authenticate/?next=/me")
    assert again == arrived

    walker.open(portal.origin)
    walker.submit("signout")
    walker.seen.clear()
    assert walker.finish() == {"status": 200, "signed_out": True}
    assert walker.seen == {"logout-form"}
    assert walker.walk(f"{portal.origin}/me")["signed_in"] is False
    walker.open(f"{portal.origin}/oidc/authenticate/")
    assert "login-form" in walker.page.forms


def test_django_portal_asks_again_unseen_whether_the_citizen_is_signed_in(portal: Party, walker: Walker) -> None:
    arrived = walker.walk(f"{portal.origin}/oidc/authenticate/?next=/me")
    time.sleep(2.1)
    walker.seen.clear()
    walker.trail.clear()
    assert walker.walk(f"{portal.origin}/me") == arrived
    assert ["prompt=none" in address for address in walker.went_to("/authorize")] == [True]
    assert walker.seen == set()

    # Signed out at the provider meanwhile: the portal finds out and lets go.
    walker.open(f"{portal.sandbox.issuer}/logout")
    walker.submit("logout-form")
    time.sleep(2.1)
    assert walker.walk(f"{portal.origin}/me") == {"status": 502, "refused": True}
    assert walker.walk(f"{portal.origin}/me")["signed_in"] is False


def test_django_portal_lets_nobody_in_when_the_citizen_turns_back(portal: Party, walker: Walker) -> None:
    walker.open(f"{portal.origin}/oidc/authenticate/")
    walker.submit("cancel")
    assert walker.finish() == {"status": 502, "refused": True}
    assert walker.walk(f"{portal.origin}/me")["signed_in"] is False
