// What a portal needs beside a library: addresses, a session cookie, and JSON for the test to read.
//
// `node LIBRARY.mjs CONFIGURATION.json` serves every client of the configuration under /NAME/: sign-in, callback and
// the acts of the library's module. A refusal, by the library or by the provider, is answered as JSON with status 502.
import { randomUUID, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

// Debian 12 carries Node 18, which hides these two behind a flag.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey

export async function serve(open) {
  const { issuer, origin, clients } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
  const parties = {}
  for (const [name, registered] of Object.entries(clients)) {
    parties[name] = { open: once(() => open(issuer, registered)), sessions: new Map() }
  }
  createServer((request, response) => {
    answer(request, response, { issuer, parties, origin }).catch((error) => {
      send(response, 502, refusal(error))
    })
  }).listen(Number(new URL(origin).port), '127.0.0.1')
}

// Discovery at the first visit, as a portal would: the provider may be started after it.
function once(make) {
  let made
  return () => (made ??= make().catch((error) => { made = undefined; throw error }))
}

async function answer(request, response, { issuer, parties, origin }) {
  const url = new URL(request.url, origin)
  const [, name, act] = url.pathname.split('/')
  if (name === 'healthz') return send(response, 200, {})
  const { open, sessions } = parties[name]
  const party = await open()
  const cookie = `${name}-session`
  const id = request.headers.cookie?.match(new RegExp(`${cookie}=([^;]+)`))?.[1]
  const session = sessions.get(id) ?? {}
  const query = Object.fromEntries(url.searchParams)
  const body = request.method === 'POST' ? await text(request) : ''
  if (act === 'signin') {
    const { location, ...kept } = await party.begin(query)
    const fresh = randomUUID()
    // Not SameSite=Lax: an answer by form_post comes from another site. A portal on https adds Secure.
    sessions.set(fresh, { ...session, kept })
    return send(response, 303, {}, { location: location.href, 'set-cookie': `${cookie}=${fresh}; Path=/${name}; HttpOnly` })
  }
  if (act === 'callback') {
    const { kept } = session
    delete session.kept
    const arrived = body ? new Request(url, { method: 'POST', body, headers: request.headers }) : url
    session.tokens = await party.finish(arrived, kept)
    session.claims = session.tokens.claims
    return send(response, 303, {}, { location: `/${name}/me` })
  }
  if (act === 'me') return send(response, 200, shown(session))
  if (act === 'signout') {
    const { tokens } = session
    session.out = randomUUID()
    delete session.tokens
    const location = await party.signOut(tokens, session.out)
    return send(response, 303, {}, { location: location.href })
  }
  if (act === 'signed-out') return send(response, 200, { signed_out: true, state_is_mine: query.state === session.out })
  if (act === 'backchannel') {
    const { sid } = await logoutClaims(new URLSearchParams(body).get('logout_token'), issuer, party)
    for (const [id, { claims }] of sessions) if (claims?.sid === sid) sessions.delete(id)
    return send(response, 200, {})
  }
  const result = await party[act]({ ...session.tokens, pending: session.pending }, query)
  if (result?.tokens) {
    session.tokens = { ...session.tokens, ...result.tokens }
    session.claims ??= result.tokens.claims
    return send(response, 200, shown(session))
  }
  if (result?.pending) {
    // Another device of another person: a session of its own.
    const fresh = randomUUID()
    sessions.set(fresh, result)
    return send(response, 200, result.pending, { 'set-cookie': `${cookie}=${fresh}; Path=/${name}; HttpOnly` })
  }
  return send(response, 200, result ?? {})
}

// A logout token that is believed ends the sessions of its `sid` (Back-Channel Logout 1.0, 2.6).
async function logoutClaims(token, issuer, { jwks_uri, client_id }) {
  const keys = createRemoteJWKSet(new URL(jwks_uri))
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience: client_id,
    typ: 'logout+jwt',
    algorithms: ['ES256', 'RS256'],
    requiredClaims: ['iat', 'exp', 'jti', 'sid', 'events'],
    maxTokenAge: '2 minutes',
  })
  const event = 'http://schemas.openid.net/event/backchannel-logout'
  if (!payload.events[event] || 'nonce' in payload) throw new Error('not a logout token')
  return payload
}

// Tokens stay in the portal; the test sees what the library made of them.
function shown({ tokens, claims }) {
  if (!tokens) return { signed_in: false }
  const { token_type, expires_in, scope, refresh_token, access_token } = tokens
  const format = access_token.split('.').length === 3 ? 'jwt' : 'opaque'
  return { signed_in: true, claims, newest: tokens.claims, token_type, expires_in, scope, format, refreshable: refresh_token !== undefined }
}

function refusal(error) {
  const { name, code, error: word, error_description, status, cause } = error
  const challenges = Array.isArray(cause) ? cause.map(({ scheme, parameters }) => ({ scheme, ...parameters })) : undefined
  return { name, code, error: word, error_description, http_status: status, challenges, message: error.message, cause: challenges ? undefined : String(cause) }
}

function send(response, status, value, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
  response.end(JSON.stringify(value))
}

async function text(request) {
  let read = ''
  for await (const piece of request.setEncoding('utf8')) read += piece
  return read
}
