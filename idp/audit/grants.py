"""Who may do what with the trail on PostgreSQL: three roles, of which the one that serves can only add events.

The tables belong to whoever runs `idp db upgrade`. The application reads and inserts events; the sealer writes leaves,
nodes and checkpoints, and deletes events whose time is over. Neither changes an event.
"""

from idp.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditNode, AuditSealer

_EVENTS = (AuditEvent.__tablename__,)
_SEALED = (AuditLeaf.__tablename__, AuditNode.__tablename__)
_CHECKPOINTS = (AuditCheckpoint.__tablename__,)
_SEALERS = (AuditSealer.__tablename__,)
_ALL = ", ".join((*_EVENTS, *_SEALED, *_CHECKPOINTS, *_SEALERS))


def script(application: str, sealer: str, *, schema: str = "public") -> str:
    """Return the SQL that gives the two roles their rights; to be run by the owner of the tables, at each upgrade."""
    app, seals, place = (_quoted(name) for name in (application, sealer, schema))

    def grant(rights: str, tables: tuple[str, ...], role: str) -> str:
        return f"GRANT {rights} ON {', '.join(tables)} TO {role};"

    lines = [
        "BEGIN;",
        f"SET LOCAL search_path = {place};",
        f"GRANT USAGE ON SCHEMA {place} TO {app}, {seals};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {place} TO {app};",
        f"REVOKE ALL ON {_ALL} FROM PUBLIC, {app}, {seals};",
        grant("SELECT, INSERT", _EVENTS, app),
        grant("SELECT", (*_SEALED, *_CHECKPOINTS, *_SEALERS), app),
        grant("SELECT, INSERT, DELETE", _EVENTS, seals),
        grant("SELECT, INSERT", _SEALED, seals),
        grant("SELECT, INSERT, DELETE", _CHECKPOINTS, seals),
        grant("SELECT, UPDATE", _SEALERS, seals),
        "COMMIT;",
    ]
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
