"""The sandbox: invented citizens, and a national register that knows them, for demonstrations and tests.

Owns people who do not exist, with numbers that can belong to nobody. Only `idp demo`, `idp sandbox` and tests import
it; nothing that serves citizens does, and the numbers themselves are refused wherever the profile is production.
"""
