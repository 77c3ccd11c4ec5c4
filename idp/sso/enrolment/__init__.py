"""The pages on which people make an account, while an agency waits for them to sign in.

    /signin/HANDLE/enrol          leads to the step that is next
    /signin/HANDLE/enrol/STEP     one task each

They exist only while the dispatcher asks for a sign-in, and end as one: with a session, back at the dispatcher. Which
step is next, and everything about people, is decided in `citizens.applicants`.
"""
