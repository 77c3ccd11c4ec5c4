"""Samples for agencies that connect to LienKet.

Owns the relying-party side: a small library for agency developers (`agency_login`), two sample portals built on it
(`portals`) and the registration document of each portal (`registrations`). Imports nothing from `idp`: an agency has
only the protocol, and so do we here. This is the one place, with the tests, where python-jose is used.
"""
