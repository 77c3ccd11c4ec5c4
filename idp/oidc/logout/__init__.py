"""Logout: the citizen asks for it, and every portal the session reached is told.

Owns the request that a portal or a citizen makes (RP-Initiated Logout 1.0), the telling of the others by their servers
(Back-Channel Logout 1.0) and through the browser (Front-Channel Logout 1.0), and the page that says who has confirmed.
Leaves ending a session, and the duty to tell that is written with it, to `sso`.
"""
