import type { VerifyRequestOptions } from '@portcullis/tokens';
import { profiles } from '../../scripts/build/profiles.js';
import type { FunctionsConfigInput } from '../../scripts/config/functions-config.js';

const contentId = '^/echo/([^/]+)';
const everything: FunctionsConfigInput = {
  profile: 'full',
  contentId,
  issuer: 'edge',
  audiences: ['ours', 'ours too'],
  claims: { tlsKeys: true },
  publicPaths: ['/public'],
  modeRecord: true,
  allowedClients: [{ prefix: 'OldPlayer/', paths: ['/old'], until: 2_000_000_000 }],
  embedOrigins: [{ issuer: 'embedded', origins: ['https://www.example.com'] }],
};

/** The functions that the cases run in: every feature on, and what the deployer's switches make of it. */
export const ConfigOf = {
  everything,
  /** The standard's own bounds moved as the configuration allows, other places, tokens renewed with a key of the edge's own. */
  lenient: {
    ...everything,
    renewal: { kid: 'edge' },
    placements: {
      path: [{ prefix: '/echo' }, { marker: '/~t' }],
      pathParameter: 'auth',
      query: 'auth',
      cookie: 'auth',
      header: true,
      authorization: true,
    },
    claims: {
      exactNetworks: true,
      onUnknown: { catnip: 'allow', catgeoiso3166: 'allow', geohash: 'allow', catalpn: 'allow' },
    },
  },
  strict: { ...everything, claims: { replay: 'refuse' }, requiredClaims: ['exp', 'catu'] },
  /** Claims that only Lambda@Edge can decide, or nobody, left out and ignored, as the standard lets a recipient. */
  ignoring: {
    ...everything,
    claims: { use: profiles.full.claims.filter((claim) => claim !== 'rare'), uncompiled: 'ignore' },
  },
  leftOut: { profile: 'cat-minimal' },
} as const satisfies Record<string, FunctionsConfigInput>;

export type BuildName = keyof typeof ConfigOf;

/** The same policy for `verifyRequest` in Node; undefined where a build leaves out what Node always has. */
export const nodePolicy: Readonly<Record<BuildName, Omit<VerifyRequestOptions, 'keys'> | undefined>> = {
  everything: { audiences: ['ours', 'ours too'], contentId: new RegExp(contentId) },
  lenient: {
    audiences: ['ours', 'ours too'],
    contentId: new RegExp(contentId),
    exactAddresses: true,
    placements: [
      { kind: 'path', mode: 'prefix', prefix: '/echo' },
      { kind: 'path', mode: 'marker', marker: '/~t' },
      { kind: 'pathParameter', name: 'auth' },
      { kind: 'query', name: 'auth' },
      { kind: 'cookie', name: 'auth' },
      { kind: 'header' },
      { kind: 'authorization' },
    ],
    allowUnknown: ['catnip', 'catgeoiso3166', 'geohash', 'catalpn'],
  },
  strict: {
    audiences: ['ours', 'ours too'],
    contentId: new RegExp(contentId),
    refuseReplay: true,
    requiredClaims: ['exp', 'catu'],
  },
  ignoring: undefined,
  leftOut: undefined,
};
