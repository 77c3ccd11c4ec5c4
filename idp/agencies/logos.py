"""Clients' logos: fetched once, judged as pictures, kept and served here.

A picture from elsewhere on the page where a citizen signs in would tell the agency who is looking, and whoever holds
that address could change it afterwards. SVG and HTML are programs and never taken (security.md, 2, 37). Only what a
browser needs to draw is judged: kind by its first bytes, size, one frame.
"""

import hashlib
import struct
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from idp.agencies.models import READ_LOGO, Client, ClientLogo
from idp.core.database import HotPath, db
from idp.core.outbound import Outbound, OutboundRefused

MAX_BYTES = 65_536
MAX_SIDE = 2_048
# Shown 48 pixels high: a wider one would not fit beside the agency's name on a telephone.
MAX_RATIO = 4
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start of frame, all but the tables among them (ITU-T T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_WEBP_ANIMATED = 0x02


class LogoRefused(Exception):
    """The picture cannot be shown; the message says what would do."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture that may be shown, with the media type its bytes say."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of the picture: its version."""
        return hashlib.sha256(self.content).digest()


def fetch(outbound: Outbound, uri: str) -> Logo | None:
    """Return the logo at `uri`, None when its server does not answer; it can be tried again. Raises LogoRefused."""
    try:
        answer = outbound.get(uri, accept="image/png, image/jpeg, image/webp", longest=4 * MAX_BYTES)
    except OutboundRefused:
        return None
    return judged(answer.body) if answer.status == 200 else None  # noqa: PLR2004 (RFC 9110, 15.3.1)


def judged(content: bytes) -> Logo:
    """Return `content` as a logo. Raises LogoRefused."""
    if len(content) > MAX_BYTES:
        raise LogoRefused(f"must have at most {MAX_BYTES} bytes")
    try:
        if content.startswith(_PNG):
            media_type, (width, height) = "image/png", _png(content)
        elif content.startswith(_JPEG):
            media_type, (width, height) = "image/jpeg", _jpeg(content)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            media_type, (width, height) = "image/webp", _webp(content)
        else:
            raise LogoRefused("must be a PNG, JPEG or WebP picture")
    except (struct.error, IndexError):
        raise LogoRefused("is a broken picture") from None
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise LogoRefused(f"must have at most {MAX_SIDE} pixels each way")
    if width > MAX_RATIO * height or height > MAX_RATIO * width:
        raise LogoRefused(f"must not be more than {MAX_RATIO} times as long as it is wide")
    return Logo(media_type, content)


def keep(client_id: UUID, logo: Logo | None) -> None:
    """Make `logo` the logo of the client with this row key, or none, in the caller's transaction."""
    db.session.execute(sa.delete(ClientLogo).where(ClientLogo.client_id == client_id))
    if logo is not None:
        db.session.add(
            ClientLogo(client_id=client_id, digest=logo.digest, media_type=logo.media_type, content=logo.content)
        )


def settle(client_id: str, logo: Logo | None) -> None:
    """Make `logo` the logo of the client called `client_id`, or none. Commits."""
    keep(db.session.scalars(sa.select(Client.id).where(Client.client_id == client_id)).one(), logo)
    db.session.commit()


def read(hot_path: HotPath, client_id: UUID, version: str) -> Logo | None:
    """Return the logo of a client if it is this `version` (the digest in hex), None otherwise."""
    row = hot_path.one(READ_LOGO, {"client": client_id})
    if row is None or bytes(row["digest"]).hex() != version:
        return None
    return Logo(row["media_type"], bytes(row["content"]))


def _png(content: bytes) -> tuple[int, int]:
    """Return width and height (PNG, 5.3 and 11.2.2); APNG's chunk says that it moves."""
    place, size = len(_PNG), None
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if size is None:
            if kind != b"IHDR":
                raise LogoRefused("is a broken picture")
            size = struct.unpack_from(">II", content, place + 8)
        if kind == b"acTL":
            raise LogoRefused("must not move")
        place += 12 + length
        if kind == b"IEND":
            break
    if size is None or kind != b"IEND" or place != len(content):
        raise LogoRefused("is a broken picture")
    return size[0], size[1]


def _jpeg(content: bytes) -> tuple[int, int]:
    """Return width and height of the first frame (ITU-T T.81, B.2.2)."""
    place = 2
    while True:
        if content[place] != 0xFF:  # noqa: PLR2004 (every marker begins with it)
            raise LogoRefused("is a broken picture")
        marker = content[place + 1]
        place += 2
        if marker in _JPEG_WITHOUT_LENGTH:
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 3)
            return width, height
        place += int(struct.unpack_from(">H", content, place)[0])


def _webp(content: bytes) -> tuple[int, int]:
    """Return width and height (RFC 9649, 2.4 to 2.7)."""
    if struct.unpack_from("<I", content, 4)[0] + 8 != len(content):
        raise LogoRefused("is a broken picture")
    kind, body = content[12:16], content[20:]
    if kind == b"VP8X":
        if body[0] & _WEBP_ANIMATED:
            raise LogoRefused("must not move")
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", body, 1)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise LogoRefused("is a broken picture")
