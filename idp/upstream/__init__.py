"""Identity providers that we federate: one door, many keys.

Owns the record of each provider, leaving for it and coming back with every check of the answer, and the reconciling of
the person it names with the one citizen we know. Leaves to sso which providers a page offers and the session that
opens, to citizens who a person is, and to agencies who asks: a provider never learns which agency that was.
"""
