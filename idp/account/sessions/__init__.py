"""The devices a citizen is signed in on, and signing out of them.

Owns choosing which sessions end. Leaves ending one, and telling the agencies it reached, to sso and oidc.
"""
