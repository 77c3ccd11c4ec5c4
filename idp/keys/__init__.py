"""Our signing keys, and the one door to JOSE and to certificates.

Owns making, publishing, using and retiring keys, signing of claims, verifying of compact JWS (ours, and those of
clients under their registered keys), the form and signature of DPoP proofs, encrypting to clients' keys, opening what
providers encrypt to ours, and reading TLS certificates of clients. Leaves what the claims mean to the rooms above.
"""
