"""Relying parties: agencies and the clients they register.

Owns the client document (what it may say, how it is applied), client secrets, the record every endpoint asks about a
client, and the single use of client assertions. Leaves how a client proves who it is to `oidc`, and what citizens
agreed to to `sso`.
"""
