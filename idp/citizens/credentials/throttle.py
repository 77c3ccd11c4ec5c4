"""The throttle in front of passwords and one-time codes.

Owns the counting; every attempt is counted before it is judged, in one statement, so that a hundred parallel posts
get no more guesses than a hundred in a row. Limits from shared security.md, 7 (login.gov; NIST SP 800-63B, 5.2.2).

Who is slowed down:

- PAIR, one account from one address: 1, 2, 4, then 8 seconds from the fourth failure, ten minutes at every tenth,
  the rest of twelve hours at the fiftieth. Not the account alone: then anybody could lock anybody out with ten
  guesses, while the person at home keeps their own, empty, counter here.
- ADDRESS, one address over all accounts: 300 failures in five minutes, so that one machine cannot try one password
  on everybody. High enough for a mobile operator's shared address; successes do not count.
- SERIES, one citizen's one-time codes from anywhere: ten minutes at every tenth failure. Whoever gets this far has
  the password, so here the account itself is guarded.
- All guesses on one account since its last success are counted with the credential (100 disable it, NIST), which
  bounds an attacker with many addresses.

Numbers without an account are counted the same way. Keys are HMACs; neither number nor address is stored.
"""

import ipaddress
import math
import re
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import sqlalchemy as sa

from idp.citizens.models import CredentialThrottle
from idp.core.database import Instant, db
from idp.core.keyring import Keyring, Purpose

DISABLED_AT: Final = 100
"""Wrong guesses in a row, from anywhere and over any time, that disable a credential."""

_PAUSE: Final = timedelta(minutes=10)
_IPV6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit: failures are counted in a `window`; `limit` of them block the key until the window ends.

    `delays` maps a number of failures to the pause after it; the last one lasts for all higher numbers. `series`
    failures, and every multiple of it, pause ten minutes.
    """

    name: str
    window: timedelta
    limit: int
    delays: tuple[tuple[int, timedelta], ...] = ()
    series: int | None = None


PAIR: Final = Rule(
    "pair",
    window=timedelta(hours=12),
    limit=50,
    delays=tuple((4 + step, timedelta(seconds=2**step)) for step in range(4)),
    series=10,
)
ADDRESS: Final = Rule("address", window=timedelta(minutes=5), limit=300)
# Far above what disables the credential: a series of codes never runs into a window.
SERIES: Final = Rule("series", window=timedelta(days=30), limit=10_000, series=10)


def key(rule: Rule, *parts: str, keyring: Keyring) -> str:
    """Return the row key of `parts` under `rule`, 64 hex digits that lead nowhere without the keyring."""
    message = "\0".join(("throttle", rule.name, *parts)).encode("utf-8", "surrogatepass")
    # A key of its own: the index key of numbers may change at any time, and with it every counter would begin anew.
    return keyring.hmac(Purpose.THROTTLE, message).hex()


def network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 of an IPv6 one, since a household has a /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))


def count(rule: Rule, row_key: str, *, now: datetime) -> int | None:
    """Count one attempt as a failure; return seconds to wait when it must not be judged, None when it may.

    An attempt while blocked is not counted. The caller commits before judging, and calls `forgive` or `withdraw`
    in the transaction that writes a success.
    """
    if db.session.execute(_statement(rule), {"key": row_key, **moments(rule, now)}).first() is not None:
        return None
    row = CredentialThrottle
    until = db.session.execute(sa.select(row.blocked_until).where(row.key == row_key)).scalar_one_or_none()
    return seconds_until(until, now=now)


def seconds_until(until: datetime | None, *, now: datetime) -> int:
    """Return the seconds to wait for the moment at which a key is free again."""
    return 1 if until is None else max(1, math.ceil((until - now).total_seconds()))


def moments(rule: Rule, now: datetime, *, prefix: str = "") -> dict[str, datetime]:
    """Return the times that the statement of `counting` needs."""
    window_ends_at = now + rule.window
    times = {
        "pause": now + _PAUSE,
        "window_ends_at": window_ends_at,
        "expires_at": window_ends_at + _PAUSE,
        **{_delay(number): now + delay for number, delay in rule.delays},
    }
    return {"now": now, **{prefix + name: time for name, time in times.items()}}


@cache
def _statement(rule: Rule) -> sa.TextClause:
    # Text, because SQLAlchemy compiles an INSERT ... ON CONFLICT anew each time.
    sql = f"{counting(rule)} RETURNING failures"
    used = {name for name in re.findall(r":([a-z_]+)", sql) if name != "key"}
    return sa.text(sql).bindparams(*(sa.bindparam(name, type_=Instant()) for name in sorted(used)))


def _delay(number: int) -> str:
    return "delay_" + string.ascii_lowercase[number]


def counting(rule: Rule, *, prefix: str = "", condition: str = "true") -> str:
    """Return the statement that counts an attempt under `:key` by a rule, in the SQL both databases share.

    It touches no row while the key is blocked, or when `condition` does not hold. `prefix` begins the names of its
    parameters, but for `:now`.
    """
    row = "credential_throttle"
    is_over = f"{row}.window_ends_at <= :now"
    failures = f"(CASE WHEN {is_over} THEN 1 ELSE {row}.failures + 1 END)"
    ends_at = f"(CASE WHEN {is_over} THEN :{prefix}window_ends_at ELSE {row}.window_ends_at END)"
    pauses = [f"WHEN {failures} >= {rule.limit} THEN {ends_at}"]
    if rule.series is not None:
        pauses.append(f"WHEN {failures} % {rule.series} = 0 THEN :{prefix}pause")
    pauses += [f"WHEN {failures} >= {number} THEN :{prefix}{_delay(number)}" for number, _ in reversed(rule.delays)]
    return f"""
        INSERT INTO {row} (key, failures, window_ends_at, blocked_until, expires_at)
        SELECT :{prefix}key, 1, :{prefix}window_ends_at, NULL, :{prefix}expires_at WHERE {condition}
        ON CONFLICT (key) DO UPDATE SET
            failures = {failures},
            window_ends_at = {ends_at},
            blocked_until = CASE {" ".join(pauses)} END,
            expires_at = CASE WHEN {is_over} THEN :{prefix}expires_at ELSE {row}.expires_at END
        WHERE {row}.blocked_until IS NULL OR {row}.blocked_until <= :now
    """


def forgive(row_key: str) -> None:
    """Forget all failures of a key: the person proved to be who they are."""
    db.session.execute(sa.delete(CredentialThrottle).where(CredentialThrottle.key == row_key))


def withdraw(row_key: str) -> None:
    """Take back the one attempt that was counted before it turned out right, and nothing of what others did."""
    row = CredentialThrottle
    change = sa.update(row).where(row.key == row_key, row.failures > 0)
    db.session.execute(
        change.values(failures=row.failures - 1, blocked_until=None), execution_options={"synchronize_session": False}
    )
