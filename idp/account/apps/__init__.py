"""The authenticator apps of a citizen: adding, naming and removing them.

Owns the pages. Leaves what an app is, and what may not be removed, to `citizens.credentials`.
"""
