"""Our signing keys, and the one door to JOSE.

Owns making, publishing, using and retiring keys, signing of claims, and verifying of compact JWS (ours, and those of
clients under their registered keys). Leaves what the claims mean to the rooms above.
"""
