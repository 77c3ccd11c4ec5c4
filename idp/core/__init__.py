"""The foundations: settings, errors, clock, identifiers, database, keyring, limits, web safety, languages.

Owns everything that knows nothing of citizens, agencies or OpenID Connect. Leaves every decision about them to
the rooms above. Only `web` knows Flask's request; the rest takes and returns plain values.
"""
