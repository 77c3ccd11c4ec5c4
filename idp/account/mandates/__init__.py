"""Help at counters: whom the citizen lets help, what officers did, and the end of a mandate."""
