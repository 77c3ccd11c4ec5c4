"""Notices: telling citizens by mail what happened to their account.

Owns the outbox of notices, their words, and the carrying of mail. A notice is owed in the transaction of the act and
sent later by a runner, so that no mail server holds up a sign-in. Leaves to citizens how a person is reached (the port
`Contacts`), and to the room of each act what is worth a notice.
"""
