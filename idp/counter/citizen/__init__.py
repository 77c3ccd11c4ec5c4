"""The citizen's own page at a counter: the code to show, and what an officer has allowed."""
