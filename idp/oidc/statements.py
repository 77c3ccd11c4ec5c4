"""The statements of the hot path that issue, spend, read and revoke codes and tokens.

Every one-time thing is spent by the first part of a Change, before anything else is judged; the parts after it run
only when that touched a row. docs/architecture.md counts what a login needs.
"""

from idp.audit.models import INSERT_EVENT
from idp.core.database import Change, Query

_OF_SESSION = "FROM sso_session s WHERE s.id = :session_id AND "

_INSERT_CODE = (
    """
    INSERT INTO authorization_code (digest, client_id, citizen_id, session_id, sub, redirect_uri, code_challenge,
        nonce, scope, claims, id_token_claims, acr, amr, token_lifetime, resource, confirmation, auth_time, expires_at,
        actor_id)
    SELECT :digest, :client_id, s.citizen_id, s.id, :sub, :redirect_uri, :code_challenge, CAST(:nonce AS text),
        :scope, :claims, :id_token_claims, :acr, s.amr, :token_lifetime, :resource, :confirmation, s.authenticated_at,
        {after_lifetime}, s.actor_id
    """
    + _OF_SESSION
)

_DISCLOSE = (
    "INSERT INTO disclosure (id, at, citizen_id, client_id, session_id, basis, claims, acr) "
    "SELECT :disclosure_id, {now}, s.citizen_id, :client_id, s.id, :basis, :disclosed, :acr "
    + _OF_SESSION
    + "{if_first}"
)

_EVENT = (
    INSERT_EVENT
    + "SELECT :event_id, {now}, :event_name, s.citizen_id, :client_id, s.id, 'done', CAST(:reference AS text) "
    + _OF_SESSION
    + "{if_first}"
)

# The session must still be open when the code is written: a sign-out in another tab wins. Not awaited: nothing leaves
# before the code is spent, whose commit is awaited and comes after this one. A code that a crash took, with its line of
# the ledger and its event, is one that nobody can redeem.
ISSUE_CODE = Change(first=_INSERT_CODE + "s.ended_at IS NULL", then=(_DISCLOSE, _EVENT), is_awaited=False)

# The same, and the session's idle life moves on (only once it is noticeably used up).
ISSUE_CODE_AND_TOUCH = Change(
    first=ISSUE_CODE.first,
    then=(
        *ISSUE_CODE.then,
        "UPDATE sso_session SET idle_expires_at = {after_idle} WHERE id = :session_id AND {if_first}",
    ),
    is_awaited=False,
)

# The same at the end of pages: only one of two resumed tabs or clicks writes the code. `:replaced` is the code that a
# first finish wrote and that was spent unused because the browser never received it; empty for the first finish.
ISSUE_CODE_AFTER_PAGES = Change(
    first="""
    UPDATE interaction SET finished_at = {now}, code_digest = :digest
    WHERE id = :interaction_id AND (finished_at IS NULL OR code_digest = :replaced)
        AND EXISTS (SELECT 1 FROM sso_session s WHERE s.id = :session_id AND s.ended_at IS NULL)
    """,
    then=(_INSERT_CODE + "{if_first}", _DISCLOSE, _EVENT),
)

# The same two for a pushed request: its row is the gate, so that of however many browsers and tabs that came with one
# request_uri, one gets a code (FAPI 2.0 Security Profile, 5.3.2.2, note 3).
_SESSION_IS_OPEN = "EXISTS (SELECT 1 FROM sso_session s WHERE s.id = :session_id AND s.ended_at IS NULL)"
ISSUE_PUSHED_CODE = Change(
    first=f"""
    UPDATE pushed_request SET used_at = {{now}}, code_digest = :digest
    WHERE digest = :pushed AND used_at IS NULL AND {_SESSION_IS_OPEN}
    """,  # noqa: S608 (constants of this module alone)
    then=(
        _INSERT_CODE + "{if_first}",
        _DISCLOSE,
        _EVENT,
        "UPDATE sso_session SET idle_expires_at = {after_idle} WHERE id = :session_id AND {if_first} AND :touches",
    ),
)
ISSUE_PUSHED_CODE_AFTER_PAGES = Change(
    first=f"""
    UPDATE pushed_request SET used_at = {{now}}, code_digest = :digest
    WHERE digest = :pushed AND (used_at IS NULL OR code_digest = :replaced) AND {_SESSION_IS_OPEN}
        AND EXISTS (
            SELECT 1 FROM interaction i
            WHERE i.id = :interaction_id AND (i.finished_at IS NULL OR i.code_digest = :replaced)
        )
    """,  # noqa: S608
    then=(
        "UPDATE interaction SET finished_at = {now}, code_digest = :digest WHERE id = :interaction_id AND {if_first}",
        _INSERT_CODE + "{if_first}",
        _DISCLOSE,
        _EVENT,
    ),
)

# Takes back a code that was written but never redeemed.
WITHDRAW_CODE = Change(
    first="""
    UPDATE authorization_code SET used_at = {now} WHERE digest = :digest AND used_at IS NULL AND expires_at > {now}
    """
)

# Spends the code whatever else the request says, so that no second try is possible; the token is written only when
# the bindings hold. `bound` tells which. `:resource` is what the request asks for now: nothing, the resource that was
# agreed, or `:own`, our UserInfo (RFC 8707, 2.2).
_SPENT = (
    "client_id",
    "citizen_id",
    "session_id",
    "sub",
    "redirect_uri",
    "code_challenge",
    "nonce",
    "scope",
    "claims",
    "id_token_claims",
    "acr",
    "amr",
    "auth_time",
    "token_lifetime",
    "resource",
    "confirmation",
    "actor_id",
    """
    redirect_uri = :redirect_uri AND code_challenge = :challenge AND confirmation IN ('', :confirmation)
        AND (:resource IN ('', :own) OR resource = :resource) AS bound
    """,
)
_INSERT_ACCESS = """
        INSERT INTO access_token (digest, code_digest, client_id, citizen_id, session_id, grant_id, sub, scope, claims,
            resource, confirmation, acr, auth_time, issued_at, expires_at, actor_id)
"""
_TARGET = "CASE WHEN :resource = :own THEN '' ELSE {first.resource} END"
# While a resource server is away nothing is spent for it, so that code or refresh token are good when it is back. Asked
# only of those that name one.
_IS_SERVED = """
    (resource = '' OR :resource = :own OR EXISTS (
        SELECT 1 FROM resource_identifier r JOIN client c ON c.id = r.client_id JOIN agency a ON a.id = c.agency_id
        WHERE r.identifier = resource AND c.state = 'active' AND a.state = 'active'
    ))
"""
_SPENT_EVENT = (
    INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
    "{first.session_id}, CASE WHEN {first.bound} THEN 'done' ELSE 'refused' END, CAST(:reference AS text) "
    "{from_first}"
)
_SPEND = f"""
    UPDATE authorization_code SET used_at = {{now}}
    WHERE digest = :code_digest AND client_id = :client_id AND used_at IS NULL AND expires_at > {{now}}
        AND EXISTS (
            SELECT 1 FROM sso_session s JOIN citizen z ON z.id = s.citizen_id
            WHERE s.id = session_id AND s.ended_at IS NULL AND z.state = 'active'
        )
        AND {_IS_SERVED} AND {{if_open}}
"""  # noqa: S608 (constants of this module alone)
SPEND_CODE = Change(
    first=_SPEND,
    returning=_SPENT,
    then=(
        _INSERT_ACCESS
        + """
        SELECT :token_digest, :code_digest, {first.client_id}, {first.citizen_id}, {first.session_id}, NULL,
            {first.sub}, {first.scope}, {first.claims}, """
        + _TARGET
        + """, :confirmation, {first.acr}, {first.auth_time}, {now}, {after_first_token_lifetime},
            {first.actor_id}
        {from_first} WHERE {first.bound}
        """,
        _SPENT_EVENT,
    ),
)

# The same where tokens are to outlive the session: the grant they live by is written beside them.
SPEND_CODE_FOR_OFFLINE = Change(
    first=_SPEND,
    returning=(*_SPENT, "' ' || scope || ' ' LIKE '% offline_access %' AS offline"),
    then=(
        _INSERT_ACCESS
        + """
        SELECT :token_digest, :code_digest, {first.client_id}, {first.citizen_id}, {first.session_id},
            CASE WHEN {first.offline} THEN :grant_id END,
            {first.sub}, {first.scope}, {first.claims}, """
        + _TARGET
        + """, :confirmation, {first.acr}, {first.auth_time}, {now}, {after_first_token_lifetime},
            {first.actor_id}
        {from_first} WHERE {first.bound}
        """,
        """
        INSERT INTO offline_grant (id, code_digest, client_id, citizen_id, session_id, sub, scope, claims,
            id_token_claims, resource, acr, amr, auth_time, token_lifetime, confirmation, generation, created_at,
            idle_expires_at, expires_at)
        SELECT :grant_id, :code_digest, {first.client_id}, {first.citizen_id}, {first.session_id}, {first.sub},
            {first.scope}, {first.claims}, {first.id_token_claims}, {first.resource}, {first.acr}, {first.amr},
            {first.auth_time}, {first.token_lifetime}, :confirmation, 0, {now}, {after_refresh_idle},
            {after_refresh_absolute}
        {from_first} WHERE {first.bound} AND {first.offline}
        """,
        _SPENT_EVENT,
    ),
)

# Uses the refresh token of the generation that works now. `:step` is 1 where tokens rotate, else 0; a generation
# that is not the present one touches no row, so that of two requests with one token one wins.
_REFRESHED = (
    "id",
    "code_digest",
    "client_id",
    "citizen_id",
    "session_id",
    "sub",
    "scope",
    "id_token_claims",
    "acr",
    "amr",
    "auth_time",
    "token_lifetime",
    "resource",
    "generation",
    "claims",
)
_GRANT_IS_ALIVE = f"""
    id = :grant_id AND client_id = :client_id AND revoked_at IS NULL
        AND expires_at > {{now}} AND idle_expires_at > {{now}}
        AND (:resource IN ('', :own) OR resource = :resource) AND {_IS_SERVED}
        AND EXISTS (SELECT 1 FROM citizen z WHERE z.id = citizen_id AND z.state = 'active') AND {{if_open}}
"""  # noqa: S608
_REFRESHED_PARTS = (
    _INSERT_ACCESS
    + """
    SELECT :token_digest, {first.code_digest}, {first.client_id}, {first.citizen_id}, {first.session_id}, {first.id},
        {first.sub}, CASE WHEN :scope = '' THEN {first.scope} ELSE :scope END,
        CASE WHEN :scope = '' THEN {first.claims} ELSE :claims END, """
    + _TARGET
    + """, :confirmation, {first.acr}, {first.auth_time}, {now}, {after_first_token_lifetime},
        NULL
    {from_first}
    """,
    INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
    "{first.session_id}, 'done', CAST(:reference AS text) {from_first}",
)
REFRESH = Change(
    first="""
    UPDATE offline_grant SET generation = generation + :step, refreshed_at = {now}, confirmation = :confirmation,
        idle_expires_at = {after_refresh_idle}
    WHERE generation = :generation AND """  # noqa: S608 (constants of this module alone)
    + _GRANT_IS_ALIVE,
    returning=_REFRESHED,
    then=_REFRESHED_PARTS,
)
# The same request again, because its answer was lost: the key must be the same, and the next token still unused.
REFRESH_AGAIN = Change(
    first="""
    UPDATE offline_grant SET refreshed_at = refreshed_at
    WHERE generation = :generation + 1 AND confirmation = :confirmation AND """  # noqa: S608
    + _GRANT_IS_ALIVE,
    returning=_REFRESHED,
    then=_REFRESHED_PARTS,
)
READ_CODE_RESOURCE = Query(
    "SELECT resource FROM authorization_code WHERE digest = :digest AND client_id = :client_id AND used_at IS NULL"
)
READ_GRANT = Query(
    """
    SELECT g.scope, g.claims, g.resource, g.generation, g.confirmation, g.refreshed_at, {now} AS now, g.client_id,
        g.citizen_id, g.sub, g.acr, g.created_at, g.expires_at, g.session_id
    FROM offline_grant g JOIN citizen z ON z.id = g.citizen_id
    WHERE g.id = :grant_id AND g.client_id = :client_id AND g.revoked_at IS NULL AND g.expires_at > {now}
        AND g.idle_expires_at > {now} AND z.state = 'active'
    """
)
READ_GRANT_OWNER = Query(
    "SELECT client_id FROM offline_grant WHERE id = :grant_id AND revoked_at IS NULL AND expires_at > {now}"
)
REVOKE_GRANT = Change(
    first="UPDATE offline_grant SET revoked_at = {now} WHERE id = :grant_id AND client_id = :client_id "
    "AND revoked_at IS NULL",
    returning=("client_id", "citizen_id", "session_id"),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, 'revoked', CAST(:reference AS text) {from_first}",
    ),
)
# The same for a replayed refresh token, whatever else stands against its grant.
REVOKE_OUTGROWN = Change(
    first=REVOKE_GRANT.first + " AND generation > :generation", returning=REVOKE_GRANT.returning, then=REVOKE_GRANT.then
)
REVOKE_TOKEN = Change(
    first="UPDATE access_token SET revoked_at = {now} WHERE digest = :digest AND client_id = :client_id "
    "AND revoked_at IS NULL",
    returning=("client_id", "citizen_id", "session_id"),
    then=(
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, 'revoked', CAST(:reference AS text) {from_first}",
    ),
)

# A second use: everything the first one gave stops working (RFC 6749, 4.1.2; ASVS 10.4.2).
REVOKE_REPLAYED = Change(
    first="""
    UPDATE authorization_code SET expires_at = expires_at
    WHERE digest = :code_digest AND client_id = :client_id AND used_at IS NOT NULL
    """,
    returning=("client_id", "citizen_id", "session_id"),
    then=(
        """
        UPDATE access_token SET revoked_at = {now}
        WHERE code_digest = :code_digest AND revoked_at IS NULL AND {if_first}
        """,
        """
        UPDATE offline_grant SET revoked_at = {now}
        WHERE code_digest = :code_digest AND revoked_at IS NULL AND {if_first}
        """,
        INSERT_EVENT + "SELECT :event_id, {now}, :event_name, {first.citizen_id}, {first.client_id}, "
        "{first.session_id}, 'revoked', CAST(:reference AS text) {from_first}",
    ),
)

# A token stops with its session, or, when it lives by an offline grant, with that.
READ_TOKEN = Query(
    """
    SELECT t.sub, t.scope, t.claims, t.client_id, t.citizen_id, t.session_id, t.acr, t.auth_time, t.resource,
        t.confirmation, t.issued_at, t.expires_at, t.actor_id, z.profile, z.data_key
    FROM access_token t
    JOIN citizen z ON z.id = t.citizen_id
    LEFT JOIN sso_session s ON s.id = t.session_id
    LEFT JOIN offline_grant g ON g.id = t.grant_id
    WHERE t.digest = :digest AND t.revoked_at IS NULL AND t.expires_at > {now} AND z.state = 'active'
        AND CASE WHEN t.grant_id IS NULL THEN s.id IS NOT NULL AND s.ended_at IS NULL
            ELSE g.id IS NOT NULL AND g.revoked_at IS NULL END
    """
)
INSERT_PUSHED = Change(
    first="""
    INSERT INTO pushed_request (digest, client_id, request, created_at, expires_at)
    SELECT :digest, :client_id, :request, {now}, {after_lifetime} WHERE {if_open}
    """
)
# Good for several visits until it was spent, so that a reload of the first page leads on (RFC 9126, 7.3).
READ_PUSHED = Query(
    """
    SELECT client_id, request FROM pushed_request
    WHERE digest = :digest AND client_id = :client_id AND used_at IS NULL AND expires_at > {now}
    """
)

# Of however many processes that are sent one DPoP proof, one accepts it. The row stays for as long as the times alone
# would let the proof pass.
SPEND_PROOF = Change(
    first="""
    INSERT INTO dpop_proof (digest, expires_at) VALUES (:digest, {after_window}) ON CONFLICT DO NOTHING
    """
)

# Nearly always there: the first token a resource server reads writes it.
READ_SUBJECT = Query("SELECT sub FROM pairwise_subject WHERE citizen_id = :citizen_id AND sector = :sector")
# An error was the answer: whoever has the name of the request must not get another one (RFC 9126, 7.3).
SPEND_PUSHED = Change(first="UPDATE pushed_request SET used_at = {now} WHERE digest = :digest AND used_at IS NULL")

READ_PROFILE = Query("SELECT profile, data_key FROM citizen WHERE id = :citizen_id AND state = 'active'")
# Only for a client that asks for verified claims.
READ_VERIFICATION = Query(
    "SELECT proofing, registry_status, registry_checked_at FROM citizen WHERE id = :citizen_id AND state = 'active'"
)
