"""Identity providers on the pages of a login: which are offered, leaving for one, coming back from it.

Leaves what a provider says and whom it names to `upstream`, and everything after the sign-in to the dispatcher.
"""
