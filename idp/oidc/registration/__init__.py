"""Dynamic client registration (RFC 7591; OpenID Connect Dynamic Client Registration 1.0) and its management (RFC 7592).

Owns the endpoint `/register`: who may register, what plain OpenID Connect metadata means as a client document, the
answers; and the clients' logos. Leaves the rules of a document and the acts to `agencies`.
"""
