"""The street: the endpoints of OpenID Connect and OAuth, one module each.

Owns the protocol: checking an authorization request, issuing and spending codes, tokens, UserInfo, discovery,
logout, and the words of every error a portal sees. Authlib's server half has its door here. Leaves pages and the
session to `sso`, keys and JOSE to `keys`, clients to `agencies`, people to `citizens`.
"""
