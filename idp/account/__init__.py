"""The citizen's own space: what the provider knows about the person who is signed in, and what they decide about it.

Owns the pages under /account, who may see them, and what they say. Leaves sessions, consents and their records to sso,
tokens to oidc, the person's data to citizens: an act here calls theirs. Nothing here serves a program.
"""
