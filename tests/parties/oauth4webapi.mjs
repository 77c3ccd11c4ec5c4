// A portal made with oauth4webapi 3. docs/connect-an-agency.md shows parts of it, word for word.
import { serve } from './portal.mjs'
import * as oauth from 'oauth4webapi'
import { compactDecrypt, importJWK } from 'jose'

const authentications = {
  client_secret_basic: ({ client_secret }) => oauth.ClientSecretBasic(client_secret),
  client_secret_post: ({ client_secret }) => oauth.ClientSecretPost(client_secret),
  private_key_jwt: (_, key) => oauth.PrivateKeyJwt(key),
}

serve(async (issuer, { method, jwk, redirect_uri, post_logout_redirect_uri, scope, metadata, uses = [], ...registered }) => {
  const key = jwk && { key: await importJWK(jwk), kid: jwk.kid }
  const http = { [oauth.allowInsecureRequests]: true } // the sandbox speaks http on loopback; leave this out elsewhere
  const as = await oauth.discoveryRequest(new URL(issuer), http)
    .then((response) => oauth.processDiscoveryResponse(new URL(issuer), response))
  const client = registered.register
    ? await oauth.dynamicClientRegistrationRequest(as, registered.register, http)
      .then((response) => oauth.processDynamicClientRegistrationResponse(response))
    : { client_id: registered.client_id, ...metadata }
  const { client_id } = client
  const clientAuth = authentications[client.token_endpoint_auth_method ?? method](client.client_secret ? client : registered, key)
  const DPoP = uses.includes('dpop') ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
  const options = { ...http, DPoP }
  const opening = registered.encryption_jwk && { [oauth.jweDecrypt]: await opener(registered.encryption_jwk) }

  // The library learns the provider's nonce from the refusal; the request is made once more with it (RFC 9449, 8).
  async function withNonce(act) {
    try {
      return await act()
    } catch (error) {
      if (DPoP && oauth.isDPoPNonceError(error)) return act()
      throw error
    }
  }

  return {
    client_id,
    jwks_uri: as.jwks_uri,

    async begin(query) {
      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const nonce = oauth.generateRandomNonce()
      let parameters = new URLSearchParams({
        client_id,
        redirect_uri,
        response_type: 'code',
        scope,
        state,
        nonce,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...(uses.includes('jarm') && { response_mode: 'jwt' }),
        ...query,
      })
      if (uses.includes('jar')) {
        parameters = new URLSearchParams({ client_id, request: await oauth.issueRequestObject(as, client, parameters, key) })
      }
      if (uses.includes('par')) {
        const { request_uri } = await withNonce(async () => oauth.processPushedAuthorizationResponse(as, client,
          await oauth.pushedAuthorizationRequest(as, client, clientAuth, parameters, options)))
        parameters = new URLSearchParams({ client_id, request_uri })
      }
      const location = new URL(as.authorization_endpoint)
      location.search = parameters
      return { location, verifier, state, nonce, maxAge: query.max_age && Number(query.max_age) }
    },

    async finish(arrived, { verifier, state, nonce, maxAge }) {
      const parameters = arrived instanceof Request ? new URLSearchParams(await arrived.text()) : arrived.searchParams
      const answer = uses.includes('jarm')
        ? await oauth.validateJwtAuthResponse(as, client, parameters, state, http)
        : oauth.validateAuthResponse(as, client, parameters, state)
      const tokens = await withNonce(async () => {
        const response = await oauth.authorizationCodeGrantRequest(
          as, client, clientAuth, answer, redirect_uri, verifier, options)
        const checks = { expectedNonce: nonce, maxAge, requireIdToken: true, ...opening }
        const processed = await oauth.processAuthorizationCodeResponse(as, client, response, checks)
        // The signature of the ID token: the library trusts TLS unless told to look (OIDC Core 3.1.3.7, 6).
        await oauth.validateApplicationLevelSignature(as, response, http)
        return processed
      })
      return { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) }
    },

    async signOut({ id_token }, state) {
      const location = new URL(as.end_session_endpoint)
      // An encrypted ID token was for the portal alone: as a hint goes the signed one inside (OIDC Core 3.1.2.1).
      const id_token_hint = opening ? await opening[oauth.jweDecrypt](id_token) : id_token
      location.search = new URLSearchParams({ client_id, id_token_hint, post_logout_redirect_uri, state })
      return location
    },

    userinfo: ({ access_token, claims }) => withNonce(async () => {
      const response = await oauth.userInfoRequest(as, client, access_token, options)
      const person = await oauth.processUserInfoResponse(as, client, claims.sub, response, opening)
      if (client.userinfo_signed_response_alg) await oauth.validateApplicationLevelSignature(as, response, http)
      return person
    }),

    async refresh({ refresh_token }) {
      const tokens = await withNonce(async () => oauth.processRefreshTokenResponse(as, client,
        await oauth.refreshTokenGrantRequest(as, client, clientAuth, refresh_token, options), opening))
      return { tokens: { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) } }
    },

    async introspect(tokens, { token = 'access_token' }) {
      const signed = client.introspection_signed_response_alg !== undefined
      const response = await oauth.introspectionRequest(
        as, client, clientAuth, tokens[token], { ...http, requestJwtResponse: signed })
      const known = await oauth.processIntrospectionResponse(as, client, response, opening)
      if (signed) await oauth.validateApplicationLevelSignature(as, response, http)
      return known
    },

    revoke: async (tokens, { token = 'access_token' }) => oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, clientAuth, tokens[token], http)),

    // What an agency's API does with the token (RFC 9068, 4), played by the same process.
    api: async ({ access_token }, { audience }) => oauth.validateJwtAccessToken(as,
      new Request(audience, { headers: { authorization: `Bearer ${access_token}` } }), audience, http),

    device: async () => ({
      pending: await oauth.processDeviceAuthorizationResponse(as, client,
        await oauth.deviceAuthorizationRequest(as, client, clientAuth, { scope }, http)),
    }),

    device_done: ({ pending }) => withNonce(async () => {
      const response = await oauth.deviceCodeGrantRequest(as, client, clientAuth, pending.device_code, options)
      const tokens = await oauth.processDeviceCodeResponse(as, client, response, opening)
      return { tokens: { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) } }
    }),

    backchannel_sign_in: async (_, { login_hint, binding_message }) => ({
      pending: await oauth.processBackchannelAuthenticationResponse(as, client,
        await oauth.backchannelAuthenticationRequest(
          as, client, clientAuth, { scope, login_hint, binding_message }, http)),
    }),

    backchannel_done: ({ pending }) => withNonce(async () => {
      const response = await oauth.backchannelAuthenticationGrantRequest(
        as, client, clientAuth, pending.auth_req_id, options)
      const tokens = await oauth.processBackchannelAuthenticationGrantResponse(as, client, response, opening)
      return { tokens: { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) } }
    }),
  }
})

async function opener(jwk) {
  const key = await importJWK(jwk, jwk.alg)
  return async (jwe) => {
    const { plaintext } = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: [jwk.alg],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    return new TextDecoder().decode(plaintext)
  }
}
