"""The pages of a citizen's passkeys: list, add, name, remove.

Owns the pages alone. What a passkey is and when one may go is in `citizens.credentials`; who may come here, signed in
a moment ago and with all factors the account has, in `account.views`.
"""
