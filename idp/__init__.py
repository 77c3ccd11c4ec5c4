"""LienKet: one login for every public service.

A federated OpenID Connect provider. A request walks from the street to the cellar and straight back; imports
point downwards only, and import-linter (setup.cfg) holds that:

    app, cli     the factory and the `idp` command
    ops          health, readiness and housekeeping
    sandbox      invented citizens; refuses to load in production
    oidc         the OpenID Connect and OAuth endpoints
    sso          one login: interaction, steps, session, consent
    citizens     who people are: number, register, credentials, level, claims
    agencies     relying parties: agency, client, secrets
    keys         signing keys, their life, and the signers
    audit        what happened, written in the transaction of the act
    core         settings, errors, clock, database, encryption, limits, web safety, languages
"""
