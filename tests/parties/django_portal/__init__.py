"""A portal made with Django and mozilla-django-oidc. docs/connect-an-agency.md shows parts of it, word for word."""
