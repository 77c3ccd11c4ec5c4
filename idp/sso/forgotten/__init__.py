"""A forgotten password, from the sign-in page of any agency and back to it.

    number -> code sent to a proven contact -> second factor, if the account has one -> new password -> sign in

Owns the order of these steps, kept on the server and bound to the interaction, and that nobody learns from them whether
a number has an account. Nobody is signed in by them. Leaves codes, factors and passwords to `citizens`.
"""
