"""The citizen's say about identity providers: which may open the account, and which may not."""
