"""Saying "that was not me": from a line of the own history, or from the link of a notice without signing in.

Owns the pages and what follows at once: sessions and access end, agencies are told, a reference is given. Leaves the
record to sso, the link to notify, the lock to citizens.
"""
