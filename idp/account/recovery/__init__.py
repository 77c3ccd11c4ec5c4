"""The recovery codes of a citizen: how many are left, and the sheet of new ones.

Owns the pages. Leaves the codes to `citizens.credentials.recovery`, and using one to the pages that sign in.
"""
