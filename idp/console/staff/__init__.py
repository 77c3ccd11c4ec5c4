"""Who runs the provider: the list, inviting and ending, for owners."""
