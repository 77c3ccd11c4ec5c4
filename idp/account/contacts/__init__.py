"""The page on which a citizen sees and changes how they are reached.

Owns pages and words. Leaves proof and change to `citizens`.
"""
