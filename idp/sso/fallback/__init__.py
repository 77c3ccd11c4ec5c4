"""The second factor of somebody whose phone is not at hand: what they can do, and doing it.

Owns those pages of the step `code`. Leaves to `steps.second_factor` which ways there are and to `citizens` what each is
worth.
"""
