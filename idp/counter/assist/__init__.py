"""Helping a citizen sign in at a service."""
