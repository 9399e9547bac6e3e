import type { FunctionsConfigInput, OptionalClaim, ProfileName, RevocationScope } from '../config/functions-config.js';

/** What a profile compiles in where the configuration says nothing. */
export interface Profile {
  readonly formats: readonly ('cat' | 'jwt')[];
  readonly placements: NonNullable<FunctionsConfigInput['placements']>;
  readonly claims: readonly OptionalClaim[];
  /** Scopes that need a content id are left out where none is configured. */
  readonly scopes: readonly RevocationScope[];
  readonly blackout: boolean;
  readonly cors: boolean;
  readonly keyModes: boolean;
  readonly keyScope: boolean;
  /** JSON that is not as compact as its writers make it: spaces, escapes, numbers spelled oddly. */
  readonly anyJson: boolean;
  /** Shorter ways through claims of the usual form, beside the long one. */
  readonly fast: boolean;
  /** A shorter way through the headers of a CAT of the usual form. */
  readonly usualCat: boolean;
  /** Numbers with a fraction in JSON, which engines do not all write alike. */
  readonly fractions: boolean;
  /** Escapes in paths; without it a path that has one is refused. */
  readonly escapes: boolean;
  /** Components of the URI other than the path in `catu`. */
  readonly catuParts: boolean;
  /** Whether country codes in tokens must be assigned ones; otherwise, two letters. */
  readonly countryCodes: boolean;
  /** Revocation buckets that go on in a second key; without it an overfull one is a fault of the store: 503. */
  readonly overflow: boolean;
  /** Revocations of what was issued before a moment, as subjects have them; without it they hold outright. */
  readonly cutOffs: boolean;
}

const everyPlacement = {
  path: 'first',
  pathParameter: true,
  query: true,
  cookie: true,
  header: true,
  authorization: true,
} as const;

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  full: {
    formats: ['cat', 'jwt'],
    placements: everyPlacement,
    claims: [
      'catu',
      'catu.regex',
      'catu.hash',
      'catm',
      'catnip',
      'catgeoiso3166',
      'geohash',
      'cath',
      'catalpn',
      'cattpk',
      'catreplay',
      'catpor',
      'catif',
      'catr',
      'rare',
    ],
    scopes: ['token', 'session', 'subject', 'subject-content', 'content'],
    blackout: true,
    cors: true,
    keyModes: true,
    keyScope: true,
    anyJson: true,
    fast: false,
    usualCat: false,
    fractions: true,
    escapes: true,
    catuParts: true,
    countryCodes: true,
    overflow: true,
    cutOffs: true,
  },
  default: {
    formats: ['cat', 'jwt'],
    placements: { path: 'first', query: true, cookie: true, header: true },
    claims: ['catu', 'catm', 'catnip', 'catgeoiso3166'],
    scopes: ['token', 'session'],
    blackout: false,
    cors: true,
    keyModes: true,
    keyScope: true,
    anyJson: false,
    fast: true,
    usualCat: true,
    fractions: true,
    escapes: true,
    catuParts: true,
    countryCodes: false,
    overflow: false,
    cutOffs: false,
  },
  'jwt-minimal': {
    formats: ['jwt'],
    placements: { path: 'first' },
    claims: ['catu'],
    scopes: ['session'],
    blackout: false,
    cors: true,
    keyModes: false,
    keyScope: false,
    anyJson: false,
    fast: false,
    usualCat: false,
    fractions: false,
    escapes: false,
    catuParts: false,
    countryCodes: false,
    overflow: false,
    cutOffs: false,
  },
  'cat-minimal': {
    formats: ['cat'],
    placements: { path: 'first', query: true, header: true },
    claims: ['catu'],
    scopes: ['session'],
    blackout: false,
    cors: true,
    keyModes: false,
    keyScope: false,
    anyJson: false,
    fast: true,
    usualCat: true,
    fractions: true,
    escapes: true,
    catuParts: true,
    countryCodes: false,
    overflow: false,
    cutOffs: false,
  },
};

/** The configuration that a profile is built with for tests, benchmarks and comparison: no issuer or audience, nothing public. */
export function neutralConfig(profile: ProfileName): FunctionsConfigInput {
  return profiles[profile].blackout ? { profile, contentId: '^/(?:live|vod)/([^/]+)' } : { profile };
}
