"""Where a session was opened: the browser in few words of ours, and the network.

What a browser says of itself is long, changes with every update and marks one person among thousands. The citizen needs
to know their own devices apart, nothing more, so two words of a closed list are kept and the rest is forgotten.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from idp.core.database import Instant, Model

_LONGEST_READ = 512
# In this order: nearly all of them also call themselves Chrome or Safari.
_BROWSERS = (
    ("Zalo", ("Zalo",)),
    ("Facebook", ("FBAN/", "FBAV/")),
    ("Cốc Cốc", ("coc_coc_browser/",)),
    ("Edge", ("Edg/", "EdgA/", "EdgiOS/")),
    ("Opera", ("OPR/", "OPT/", "Opera")),
    ("Samsung Internet", ("SamsungBrowser/",)),
    ("UC Browser", ("UCBrowser/", "UCWEB/")),
    ("Firefox", ("Firefox/", "FxiOS/")),
    ("Chrome", ("Chrome/", "CriOS/", "Chromium/")),
    ("Safari", ("Safari/",)),
)
_SYSTEMS = (
    ("Android", ("Android",)),
    ("iPhone", ("iPhone",)),
    ("iPad", ("iPad",)),
    ("Windows", ("Windows",)),
    ("macOS", ("Macintosh", "Mac OS X")),
    ("ChromeOS", ("CrOS",)),
    ("Linux", ("Linux", "X11")),
)
_NETWORK_BITS = {4: 24, 6: 48}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session comes from. Both may be empty: nobody said."""

    device: str = ""
    network: str = ""


NOWHERE = Origin()


class SessionOrigin(Model):
    """Where a session was opened. Stays when the session's row is gone, for the history of the citizen.

    A table of its own: a session's row is read at every login, and this at none.
    """

    __tablename__ = "session_origin"

    session_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    citizen_id: Mapped[UUID] = mapped_column(sa.Uuid)
    opened_at: Mapped[datetime] = mapped_column(Instant)
    device: Mapped[str] = mapped_column(sa.String(32), doc="Words of the list above, e.g. `Chrome, Android`")
    network: Mapped[str] = mapped_column(sa.String(24), doc="The /24 or /48 of the address")

    __table_args__ = (sa.Index("ix_session_origin_citizen_id_opened_at", "citizen_id", "opened_at"),)


def origin(user_agent: str, address: str) -> Origin:
    """Return the origin for a browser's User-Agent and its address."""
    read = user_agent[:_LONGEST_READ]
    words = [
        next((name for name, marks in choices if any(mark in read for mark in marks)), "")
        for choices in (_BROWSERS, _SYSTEMS)
    ]
    return Origin(", ".join(word for word in words if word), _network(address))


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ipaddress.ip_network((parsed, _NETWORK_BITS[parsed.version]), strict=False))
