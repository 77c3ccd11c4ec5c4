"""Everything the provider holds about one person, for that person: as a file, and as a page to read.

Owns collecting it, section by section, without ever holding all of it. Secrets are no data about a person and never
leave: of a credential there is its kind and its dates.
"""
