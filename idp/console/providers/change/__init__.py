"""Describing a provider anew, or a new one: typed, looked at, confirmed."""
