"""The console: the pages of the staff that runs the provider.

Owns who gets in, the pages and their forms. What may be done by whom is `staff.rights`; what an act does is the room's
that owns it (`upstream` for identity providers, `staff` for members). Nothing here is about a single citizen.
"""
