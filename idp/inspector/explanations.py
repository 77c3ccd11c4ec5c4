"""Why a request was refused, by which rule, and how to mend it: a row for each code of the error catalogue that a
client can meet.

The words are in the catalogues (`inspect.CODE.why`, `inspect.CODE.mend`), for people who build portals; a test holds
that no code is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from idp.core import i18n


@dataclass(frozen=True, slots=True)
class Explanation:
    """One refusal: `code` of the error catalogue and `section`, where the rule stands."""

    code: str
    section: str

    def why(self, language: str) -> str:
        """Return what was wrong."""
        return i18n.translate(language, f"inspect.{self.code}.why")

    def mend(self, language: str) -> str:
        """Return what to change."""
        return i18n.translate(language, f"inspect.{self.code}.mend")


def explanation_of(outcome: str) -> Explanation | None:
    """Return the explanation of a code, None for what needs none."""
    section = SECTIONS.get(outcome)
    return None if section is None else Explanation(outcome, section)


SECTIONS: Final[Mapping[str, str]] = {
    "PR-001": "RFC 6749, 4.1.2.1",
    "PR-002": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-003": "RFC 6749, 3.1",
    "PR-004": "RFC 9126, 2.3",
    "PR-005": "RFC 6749, 4.1.2.1",
    "PR-006": "RP-Initiated Logout 1.0, 2 and 4",
    "PR-007": "RFC 9126, 4",
    "PR-008": "RFC 9101, 6.3",
    "PR-101": "RFC 6749, 3.1",
    "PR-102": "RFC 6749, 3.1.1",
    "PR-103": "RFC 9700, 2.1.2",
    "PR-104": "OAuth 2.0 Multiple Response Types, 2.1",
    "PR-105": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-106": "RFC 6749, 3.3",
    "PR-107": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-108": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-109": "OpenID Connect Core 1.0, 5.5",
    "PR-110": "RFC 7636, 4.3; RFC 9700, 2.1.1",
    "PR-111": "RFC 7636, 4.2",
    "PR-112": "OpenID Connect Core 1.0, 6.1",
    "PR-113": "OpenID Connect Core 1.0, 6.2",
    "PR-114": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-115": "RFC 6749, 3.1",
    "PR-116": "OpenID Connect Core 1.0, 7.2.1",
    "PR-117": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-118": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-119": "OpenID Connect Core 1.0, 3.1.2.1",
    "PR-120": "OpenID Connect Core 1.0, 3.1.2.6",
    "PR-121": "OpenID Connect Core 1.0, 3.1.2.6",
    "PR-122": "OpenID Connect Core 1.0, 3.1.2.6",
    "PR-123": "OpenID Connect Core 1.0, 3.1.2.6",
    "PR-124": "RFC 6749, 4.1.2.1",
    "PR-125": "RFC 9101, 6; OpenID Connect Core 1.0, 6.1",
    "PR-126": "RFC 9101, 6; RFC 7519, 4.1.4",
    "PR-127": "FAPI 2.0 Message Signing, 5.3.1",
    "PR-128": "RFC 9101, 10.5",
    "PR-129": "RFC 9126, 5 and 6",
    "PR-130": "RFC 9126, 2.1",
    "PR-131": "RFC 9126, 2.3; OpenID Connect Core 1.0, 3.1.2.1",
    "PR-132": "RFC 9449, 10",
    "PR-133": "RFC 8707, 2",
    "PR-134": "LienKet, connect-an-agency",
    "PR-201": "RFC 6749, 3.2",
    "PR-202": "RFC 6749, 5.2; OpenID Connect Core 1.0, 9",
    "PR-203": "RFC 6749, 5.2",
    "PR-204": "RFC 6749, 5.2",
    "PR-205": "RFC 6749, 4.1.3",
    "PR-206": "RFC 6749, 5.2 and 4.1.2",
    "PR-207": "RFC 7636, 4.6",
    "PR-208": "RFC 6749, 4.1.3",
    "PR-209": "RFC 6749, 4.1.3",
    "PR-210": "RFC 6749, 4.1.3",
    "PR-211": "RFC 7636, 4.1",
    "PR-212": "RFC 6749, 6",
    "PR-213": "RFC 6749, 6; RFC 9700, 4.14.2",
    "PR-214": "RFC 6749, 6",
    "PR-215": "RFC 8707, 2.2",
    "PR-216": "OpenID Connect Core 1.0, 10.2",
    "PR-220": "RFC 6750, 3.1",
    "PR-221": "RFC 6750, 3.1",
    "PR-222": "RFC 6750, 2",
    "PR-223": "RFC 6750, 3.1",
    "PR-224": "RFC 6749, 5.2",
    "PR-225": "RFC 7009, 2.1; RFC 7662, 2.1",
    "PR-226": "RFC 7009, 2.1",
    "PR-227": "RFC 6585, 4",
    "PR-601": "RFC 8628, 3.5",
    "PR-602": "RFC 8628, 3.5",
    "PR-603": "RFC 8628, 3.5",
    "PR-604": "RFC 8628, 3.5; CIBA Core 1.0, 11",
    "PR-605": "RFC 8628, 3.4",
    "PR-606": "RFC 8628, 3.5",
    "PR-607": "CIBA Core 1.0, 10.1",
    "PR-608": "CIBA Core 1.0, 11",
    "PR-609": "CIBA Core 1.0, 7.1",
    "PR-610": "CIBA Core 1.0, 7.1",
    "PR-611": "CIBA Core 1.0, 7.1",
    "PR-612": "CIBA Core 1.0, 7.1",
    "PR-613": "CIBA Core 1.0, 7.1",
    "PR-614": "CIBA Core 1.0, 7.1",
    "PR-615": "RFC 6585, 4",
    "PR-701": "RFC 9449, 4.3",
    "PR-702": "RFC 9449, 8",
    "PR-703": "RFC 9449, 5",
    "PR-704": "RFC 9449, 10.1",
    "PR-705": "RFC 8705, 3",
    "PR-706": "RFC 9449, 7.1",
    "PR-707": "RFC 9449, 7.1; RFC 8705, 3",
    "ID-001": "LienKet, the pages of a login",
    "ID-002": "LienKet, the pages of a login",
    "ID-003": "RFC 6749, 4.1.2.1",
    "ID-004": "RFC 6749, 4.1.2.1",
    "ID-005": "RFC 6749, 4.1.2.1",
    "ID-006": "OpenID Connect Unmet Authentication Requirements 1.0, 1",
    "ID-007": "LienKet, the pages of a login",
    "ID-008": "LienKet, the pages of a login",
    "ID-021": "RFC 6749, 4.1.2.1",
    "ID-101": "RFC 8628, 3.3",
    "ID-102": "RFC 8628, 3.3",
    "ID-103": "CIBA Core 1.0, 7.1",
    "OP-001": "RFC 6749, 4.1.2.1",
    "OP-002": "RFC 6749, 4.1.2.1",
    "OP-003": "RFC 9110, 15.5.5",
    "OP-004": "RFC 9110, 15.5.6",
    "OP-005": "RFC 6585, 4",
}
"""The section of each rule, by the code it is refused with."""
