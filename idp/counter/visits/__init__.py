"""The officer and the person in front of the desk: card, code, and what is allowed."""
