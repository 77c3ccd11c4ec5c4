// A portal made with openid-client 6. docs/connect-an-agency.md shows parts of it, word for word.
import { serve } from './portal.mjs'
import * as client from 'openid-client'
import { compactDecrypt, importJWK } from 'jose'

const authentications = {
  client_secret_basic: ({ client_secret }) => client.ClientSecretBasic(client_secret),
  client_secret_post: ({ client_secret }) => client.ClientSecretPost(client_secret),
  private_key_jwt: (_, key) => client.PrivateKeyJwt(key),
}

async function configure(issuer, { client_id, register }, metadata, authentication) {
  const options = {
    execute: [
      client.enableNonRepudiationChecks, // verify signatures too, where the library would trust TLS alone
      client.allowInsecureRequests, // the sandbox speaks http on loopback; leave this out elsewhere
    ],
  }
  if (register) return client.dynamicClientRegistration(new URL(issuer), register, undefined, options)
  return client.discovery(new URL(issuer), client_id, metadata, authentication, options)
}

serve(async (issuer, { method, jwk, redirect_uri, post_logout_redirect_uri, scope, metadata, uses = [], ...registered }) => {
  const key = jwk && { key: await importJWK(jwk), kid: jwk.kid }
  const config = await configure(issuer, registered, metadata, authentications[method]?.(registered, key))
  const { client_id } = config.clientMetadata()
  if (uses.includes('jarm')) client.useJwtResponseMode(config)
  const sealed = uses.includes('encryption') && (await decryptionKey(registered))
  if (sealed) client.enableDecryptingResponses(config, ['A256GCM'], sealed)
  const DPoP = uses.includes('dpop') ? client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) : undefined

  return {
    client_id,
    jwks_uri: config.serverMetadata().jwks_uri,

    async begin(query) {
      const verifier = client.randomPKCECodeVerifier()
      const state = client.randomState()
      const nonce = client.randomNonce()
      const parameters = {
        redirect_uri,
        scope,
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...query,
      }
      const kept = { verifier, state, nonce, maxAge: query.max_age && Number(query.max_age) }
      if (uses.includes('jar') && uses.includes('par')) {
        const { searchParams } = await client.buildAuthorizationUrlWithJAR(config, parameters, key)
        return { ...kept, location: await client.buildAuthorizationUrlWithPAR(config, searchParams, { DPoP }) }
      }
      if (uses.includes('jar')) {
        return { ...kept, location: await client.buildAuthorizationUrlWithJAR(config, parameters, key) }
      }
      if (uses.includes('par')) {
        return { ...kept, location: await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP }) }
      }
      return { ...kept, location: client.buildAuthorizationUrl(config, parameters) }
    },

    async finish(arrived, { verifier, state, nonce, maxAge }) {
      const tokens = await client.authorizationCodeGrant(
        config,
        arrived,
        { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge, idTokenExpected: true },
        undefined,
        { DPoP },
      )
      return { ...tokens, claims: tokens.claims() }
    },

    async signOut({ id_token }, state) {
      // An encrypted ID token was for the portal alone: as a hint goes the signed one inside (OIDC Core 3.1.2.1).
      const id_token_hint = sealed ? await opened(id_token, sealed.key) : id_token
      return client.buildEndSessionUrl(config, { id_token_hint, post_logout_redirect_uri, state })
    },

    userinfo: ({ access_token, claims }) => client.fetchUserInfo(config, access_token, claims.sub, { DPoP }),

    async refresh({ refresh_token }) {
      const tokens = await client.refreshTokenGrant(config, refresh_token, undefined, { DPoP })
      return { tokens: { ...tokens, claims: tokens.claims() } }
    },

    introspect: (tokens, { token = 'access_token' }) => client.tokenIntrospection(config, tokens[token]),

    revoke: (tokens, { token = 'access_token' }) => client.tokenRevocation(config, tokens[token]),

    // A device without a keyboard shows the code, and asks until somebody has answered on another one.
    device: async () => ({ pending: await client.initiateDeviceAuthorization(config, { scope }) }),

    async device_done({ pending }) {
      const tokens = await client.pollDeviceAuthorizationGrant(config, soon(pending), undefined, { DPoP })
      return { tokens: { ...tokens, claims: tokens.claims() } }
    },

    // A counter or a call centre asks the citizen in front of it, who answers at the provider.
    backchannel_sign_in: async (_, { login_hint, binding_message }) => ({
      pending: await client.initiateBackchannelAuthentication(config, { scope, login_hint, binding_message }),
    }),

    async backchannel_done({ pending }) {
      const tokens = await client.pollBackchannelAuthenticationGrant(config, soon(pending), undefined, { DPoP })
      return { tokens: { ...tokens, claims: tokens.claims() } }
    },
  }
})

async function opened(token, key) {
  const { plaintext } = await compactDecrypt(token, key)
  return new TextDecoder().decode(plaintext)
}

async function decryptionKey({ encryption_jwk: jwk }) {
  return { key: await importJWK(jwk, jwk.alg), alg: jwk.alg, kid: jwk.kid }
}

// The library waits before it asks; here the citizen has answered already.
function soon(pending) {
  return { ...pending, interval: 0.1 }
}
