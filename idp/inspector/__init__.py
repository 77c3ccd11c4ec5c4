"""The request inspector: each call of a client to an endpoint of the protocol, why it was refused, and how to mend it.

Owns what is kept of a request (`entry`), that nothing secret is (`redaction`), the queue that fills at the edge and is
written beside serving (`waiting`), the explanations (`explanations`) and reading (`find`). Leaves the rules themselves
to `oidc`, the reference to `core.web`, and who may read which client's requests to whoever calls `find`.
Decision 0011.
"""

from idp.inspector.reading import Page, find

__all__ = ["Page", "find"]
