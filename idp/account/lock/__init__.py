"""Locking the own account. Owns the page; leaves the lock itself to citizens, and taking it off to the counter."""
