// An identity provider of other people's making (oidc-provider), which ours federates in the tests.
//
// `node foreign_provider.mjs CONFIGURATION.json` serves one client. Its people are in the configuration, by the name
// they type; its pages are one form for everything.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const { issuer, client, key, people } = JSON.parse(readFileSync(process.argv[2], 'utf8'))

const provider = new Provider(issuer, {
  clients: [client],
  jwks: { keys: [key] },
  cookies: { keys: ['the tests alone know it'] },
  acrValues: ['basic', 'seen'],
  scopes: ['openid', 'profile', 'cccd'],
  claims: { acr: null, amr: null, auth_time: null, sid: null, iss: null, openid: ['sub'],
    profile: ['HoVaTen', 'NgayThangNamSinh'], cccd: ['SoDinhDanh'] },
  findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: people[id].sub, ...people[id].claims }) },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    encryption: { enabled: true },
    jwtUserinfo: { enabled: true },
    backchannelLogout: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
  },
  clientAuthMethods: ['private_key_jwt', 'client_secret_basic'],
  // Its own way refuses loopback, where our keys are here.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
})

async function interaction(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(`<!doctype html><title>${prompt.name}</title><form method="post"><input name="login"></form>`)
    return
  }
  let body = ''
  for await (const piece of request) body += piece
  const accountId = new URLSearchParams(body).get('login')
  const result = prompt.name === 'login'
    ? { login: { accountId, acr: people[accountId].acr, amr: ['pwd'] } }
    : { consent: { grantId: await granted(prompt, params, session, grantId) } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: prompt.name !== 'login' })
}

async function granted({ details }, params, session, grantId) {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '))
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims)
  return grant.save()
}

const others = provider.callback()
createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) return others(request, response)
  interaction(request, response).catch((error) => {
    response.statusCode = 502
    response.end(String(error))
  })
}).listen(Number(new URL(issuer).port), '127.0.0.1')
