"""The second half of an enrolment: password, second factor, recovery codes, and the account itself."""
