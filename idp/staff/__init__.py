"""Staff: who runs the provider, in which role, and how somebody becomes one of them.

Owns the members, the invitations and the table of rights. Leaves to the console how a member signs in and what a page
looks like, and to each room what an act does. Officers at counters are others (`citizens.officers`).
"""
