"""The history: each sign-in, and which agency could receive what at it, in the words that were read.

Owns reading and showing it. Leaves writing to the acts themselves: disclosures to oidc, words and devices to sso.
"""
