"""The sandbox: invented citizens for demonstrations and tests.

Owns people who do not exist, with numbers that can belong to nobody. Only `idp demo` and tests import it; nothing that
serves requests does, and the numbers themselves are refused wherever the profile is production.
"""
