"""The citizen's rights and their clocks. Owns the page; leaves the requests to citizens, the answers to people."""
