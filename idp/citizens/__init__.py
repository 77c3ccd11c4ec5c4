"""Citizens: who people are.

Owns the number and its history, what the national register says, credentials and their throttle, how much of an
identity is proven, the pairwise subject, and the values of claims. Leaves to agencies who may ask, to sso what was
agreed and how long a session lasts, to oidc what is sent. Numbers, names and every value about a person are sealed
at rest; a number is found by its keyed index only.
"""
