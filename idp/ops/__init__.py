"""Running the provider: what keeps it well without anybody signing in.

Owns housekeeping of expired rows. Leaves what expires, and when, to the `models` of each room (`EXPIRING`).
"""
