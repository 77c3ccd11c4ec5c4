"""Closing the own account. Owns the page and the job of the day; leaves wish and erasure to citizens."""
