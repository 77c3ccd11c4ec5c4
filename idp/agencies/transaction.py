"""One act, one transaction: tried again once when another process was faster."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from idp.core.database import db

T = TypeVar("T")


def in_one_transaction(act: Callable[[], T], *, keeps: bool = True) -> T:
    """Return what `act` returns, with all it did committed, or nothing done when it raises; tried twice at most."""
    for is_last_try in (False, True):
        try:
            result = act()
            if keeps:
                db.session.commit()
            else:
                db.session.rollback()
            return result
        except IntegrityError:
            # Another process made the same agency or client first; the second look finds it.
            db.session.rollback()
            if is_last_try:
                raise
        except BaseException:
            db.session.rollback()
            raise
    raise AssertionError("unreachable")
