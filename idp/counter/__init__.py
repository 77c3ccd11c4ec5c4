"""The counter: where an officer and a citizen meet, each at an own page.

Owns the pages of both. What decides is `citizens.pairing`, `citizens.binding` and `citizens.mandates`, and
`sso.assisted` for the session of a person who is helped. The officer never sees a secret of the citizen: codes are
typed by the citizen, and passwords are chosen on the citizen's page.
"""
