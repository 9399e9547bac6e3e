// The demo's configuration, which `npm start` runs, and an example to begin with: every setting is described in
// docs/configuration.md. Nothing secret stands here: keys lie in the KeyValueStore and in Secrets Manager, and go by
// their kid.
import { defineConfig } from './scripts/config/index.js';

export default defineConfig({
  // What is compiled in where nothing else is said: default, full, jwt-minimal or cat-minimal. Fewer claims, formats and
  // placements make a smaller and faster function.
  profile: 'default',

  // `iss` of tokens that the edge renews; the vending service of the demo signs under the same name.
  issuer: 'demo',

  // Common Access Tokens (CTA-5007-B) and JSON Web Tokens.
  formats: ['cat', 'jwt'],

  // Where viewers carry the token. CloudFront chooses the behaviour on the path as sent: behind a prefix
  // (/live/<token>/ch1/…) the pattern /live/* still fits; first in the path (/<token>/live/ch1/…) needs the default
  // behaviour. Segments inherit a path token from the playlist's URL.
  placements: {
    path: ['first', { prefix: '/live' }, { prefix: '/vod' }],
    query: true,
    cookie: true,
    header: true,
  },

  // The content id: blackouts and revocations of a content go by it.
  contentId: '^/(?:live|vod)/([^/]+)',
  blackout: true,

  claims: {
    // Claims that tokens here carry. A token with another claim of the standard's is refused: what the edge does not
    // understand, it must not wave through.
    // With renewal at the edge (catr) viewer-response checks tokens, too, and has no room for all this;
    // test/local-edge/renewal.config.ts is a policy that has it.
    use: ['catu', 'catm', 'catnip', 'catgeoiso3166'],
  },

  revocation: {
    // One store read per request and scope.
    scopes: ['token', 'session', 'subject'],
  },

  // Players on other sites may read answers; name them, with credentials: true, to use cookies.
  cors: { origins: '*', maxAge: 600 },

  // A refusal answers. `log` lets everything pass and writes what it would have refused: how a roll-out begins.
  mode: 'enforce',

  answers: {
    // 401 but for: path that can be read in two ways 400, revoked 403, blackout 451, our own faults 503.
    status: {},
    reasonHeader: true,
    retryAfter: 1,
  },

  log: { sample: 0 },
});
