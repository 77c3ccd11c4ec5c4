"""The citizen's own language: for our pages where nothing else was chosen, and for what we write to them."""
