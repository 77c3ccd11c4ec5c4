"""RFC 9110, 6.6.1 and 12.5.1, as FAPI 2.0 looks at resources: what only a real server sends, and odd Accept headers."""

import contextlib
import http.client
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from tests.journeys.stage import House

ACCEPT = [
    None,
    "*/*",
    "application/json",
    "application/json;charset=utf-8",
    "application/*, text/html;q=0.2",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "application/vnd.unheard-of+json",
]


@pytest.mark.holds("F13a")
@pytest.mark.parametrize("accept", ACCEPT)
def test_a_resource_says_when_it_answered_whatever_is_accepted(house: House, accept: str | None) -> None:
    headers = {"Authorization": "Bearer unheard-of"} | ({} if accept is None else {"Accept": accept})
    port = urlsplit(house.issuer).port
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/userinfo", headers=headers)
        answer = connection.getresponse()
        assert b"invalid_token" in answer.read()
        assert answer.status == 401
        assert answer.headers.get_content_type() == "application/json"
        assert parsedate_to_datetime(answer.headers["Date"]).tzinfo is not None
        # A token in the address is none at all.
        connection.request("GET", "/userinfo?access_token=x", headers={"Accept": "*/*"})
        refused = connection.getresponse()
        assert b"invalid_request" in refused.read()
        assert refused.status in (400, 401)
