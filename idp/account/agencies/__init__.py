"""The agencies a citizen is connected to: what each may receive, since when, and taking a consent back.

Owns showing that and the withdrawal. Leaves asking again at the next sign-in to sso, which finds nothing agreed.
"""
