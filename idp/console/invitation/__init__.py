"""The page of an invitation to the staff."""
