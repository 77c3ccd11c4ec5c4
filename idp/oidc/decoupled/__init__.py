"""Signing in on another device: the device flow (RFC 8628) and backchannel authentication (CIBA 1.0, poll).

Owns both requests from the asking to the polling, and the pages where a citizen types the code and says yes or no.
Leaves the sign-in itself to `sso` and the tokens to `oidc.issue`.
"""
