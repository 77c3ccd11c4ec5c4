"""An incident at a provider: cutting it off from agencies or levels with a public reason, and ending that."""
