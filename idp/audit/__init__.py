"""The audit trail: what was done, by whom, to what, with which outcome.

Owns the catalogue of events and the one way to write them: in the same transaction as the act, or the act does not
happen. Leaves the deciding to the rooms above, and holds no personal data: a citizen is a row key, never a number
or a name.
"""
