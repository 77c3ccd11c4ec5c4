"""Mandates, made and ended at the counter."""
