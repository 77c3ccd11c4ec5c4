"""An identity provider for trying federation: whoever sits before it says who signs in, and what goes wrong.

Owns an OpenID Connect provider for one client (discovery, authorization, tokens, UserInfo, sign-out), whose sign-in
page offers prepared people, takes any other as typed, and has a list of faults. It keeps everything in memory and
shares no code with what federates it (`upstream`), so that neither hides a mistake of the other. Leaves listening to
`idp sandbox provider` and `idp demo`; it answers on loopback only and knows nobody who exists.
"""
