"""All the ways in which a citizen can sign in, on one page, each with its state and the page that changes it."""
