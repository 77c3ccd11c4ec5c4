"""The page on which a citizen sets or changes their password."""
