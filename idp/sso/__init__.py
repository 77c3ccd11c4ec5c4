"""One login: the interaction engine, its steps, the session and the consent.

Owns the checked authorization request from the moment it is stored until the citizen comes back from the last
page, the session that answers the next portal without a page, and what the citizen agreed to. A step never calls
another: each returns to `dispatch`, which decides again from stored state. Leaves the protocol's words and bytes to
`oidc`, who a citizen is to `citizens`, and who asks to `agencies`.

    /authorize --checked--> dispatch --nothing needed--> finish (oidc)
                               |
                               +--needed--> interaction.open --> /signin/HANDLE/STEP --> dispatch --> ...
"""
