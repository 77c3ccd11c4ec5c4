r"""Applicants: people on their way to an account (NIST SP 800-63A's word), who are nobody to us until its end.

Owns the draft of an enrolment and which step is next, what the register's answer means for an applicant, the wait for
a silent register, and the making of the account in one transaction. Leaves pages to `sso.enrolment`, the proof of a
contact to `citizens.contact_proofs`, passwords and factors to `citizens.credentials`.

    draft ----ask----> matched --contact proven--> password -> second factor -> codes -> account
                 \---> silent  --contact proven--> waiting --the register answers--> a word by mail, and anew
                  \--> refused (one neutral text, whatever the reason)
"""
