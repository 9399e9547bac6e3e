import type { ConfigOf } from './builds.js';
import { cat, jwt, PATH, type Expected } from '../verdicts/requests.js';
import type { CatParts, JwtParts } from '../engine/token-maker.js';

/** The claims of the standard's table and the two of our own: each must have accept, reject and malformed cases. */
export const claimNames = [
  'iss',
  'sub',
  'aud',
  'exp',
  'nbf',
  'iat',
  'cti',
  'cnf',
  'catreplay',
  'catpor',
  'catv',
  'catnip',
  'catu',
  'catm',
  'catalpn',
  'cath',
  'catgeoiso3166',
  'catgeocoord',
  'geohash',
  'catgeoalt',
  'cattpk',
  'catifdata',
  'catdpop',
  'catif',
  'catr',
  'session',
  'session end',
] as const;
export type ClaimName = (typeof claimNames)[number];

export type Kind = 'accept' | 'reject' | 'malformed';

export type Claims = Readonly<Record<string, unknown>>;

/** The same claims in either format; one left out where it cannot be said in it. */
export interface Forms {
  readonly cat?: Claims;
  readonly jwt?: Claims;
}

/** The same words for both formats. */
export const same = (claims: Claims): Forms => ({ cat: claims, jwt: claims });
export const forms = (catClaims: Claims, jwtClaims: Claims): Forms => ({ cat: catClaims, jwt: jwtClaims });
export const onlyCat = (claims: Claims): Forms => ({ cat: claims });
export const onlyJwt = (claims: Claims): Forms => ({ jwt: claims });
export const map = (...pairs: (readonly [unknown, unknown])[]): Map<unknown, unknown> => new Map(pairs);

/** A request as it differs from the usual one: GET, by the default viewer, the token first in the path. */
export interface Asked {
  /** Path behind the token. */
  readonly path?: string;
  /** Query, without `?`. */
  readonly query?: string;
  readonly method?: string;
  readonly host?: string;
  readonly headers?: readonly (readonly [string, string])[];
  /** What CloudFront knows of the viewer: see `x-sim-viewer`. */
  readonly viewer?: string;
  /** Seconds after `NOW`. */
  readonly later?: number;
  /** What the dice show. */
  readonly random?: number;
  /** Which build of the function decides. */
  readonly build?: keyof typeof ConfigOf;
  /** Where the token stands. */
  readonly place?: 'path' | 'query' | 'cookie' | 'header' | 'authorization';
  readonly kid?: string;
  readonly catParts?: Partial<CatParts>;
  readonly jwtParts?: Partial<JwtParts>;
  /** Why Node's `verifyRequest` has no say in it. */
  readonly notInNode?: string;
  /** Node's vm reads JSON more kindly than njs, and nothing is served from it. */
  readonly notInVm?: true;
}

/** What the function answers beside the reason. */
export interface ExpectedAnswer {
  readonly status: number;
  /** A text to equal, `undefined` for a header that must not be there, or a check that gives what is wrong. */
  readonly headers?: Readonly<Record<string, string | undefined | ((value: string) => void)>>;
}

/** How an admitted request is renewed. */
export interface ExpectedRenewal {
  readonly by: 'cookie' | 'header' | 'redirect';
  readonly name?: string;
  readonly parameters?: string;
  readonly status?: number;
  /** Claims of the renewed token, by JWT name; `undefined` for one that must not be there. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The key that it is signed with, if not the token's own. */
  readonly kid?: string;
}

export interface ConformanceCase {
  /** Begins with the standard and its section. */
  readonly name: string;
  readonly claim?: ClaimName;
  readonly kind: Kind;
  /** Path and query as sent. */
  readonly target: string;
  readonly asked: Asked;
  readonly headers: readonly (readonly [string, string])[];
  readonly expected: Expected;
  readonly forwarded?: string;
  readonly answer?: ExpectedAnswer;
  readonly renewal?: ExpectedRenewal | 'none';
  /** Members of the log line. */
  readonly log?: Readonly<Record<string, unknown>>;
}

export interface Outcome {
  readonly forwarded?: string;
  readonly answer?: ExpectedAnswer;
  readonly renewal?: ExpectedRenewal | 'none';
  readonly log?: Readonly<Record<string, unknown>>;
  /** Where the verdict does not tell which kind of case it is: a renewal that must not be. */
  readonly kind?: Kind;
}

/** One line of a table: what it shows, the claims, what comes of it, and how the request differs. */
export type Row = readonly [what: string, forms: Forms, expected: Expected, asked?: Asked, outcome?: Outcome];

function kindOf(expected: Expected, outcome: Outcome): Kind {
  if (outcome.kind) return outcome.kind;
  if (expected === 'admitted') return outcome.renewal === 'none' ? 'reject' : 'accept';
  return expected === 'invalid_claim' || expected === 'malformed_token' ? 'malformed' : 'reject';
}

/** Where a token is put: target and headers. */
export function placed(
  token: string,
  asked: Asked,
): { readonly target: string; readonly headers: readonly (readonly [string, string])[] } {
  // The lenient build looks for tokens elsewhere, but for the header.
  const { path = PATH, query, place = asked.build === 'lenient' ? 'header' : 'path', headers = [] } = asked;
  const queries = [query, place === 'query' ? `CAT=${token}` : undefined].filter((part) => part !== undefined);
  const target = `${place === 'path' ? `/${token}` : ''}${path}${queries.length > 0 ? `?${queries.join('&')}` : ''}`;
  const own: Record<string, readonly [string, string]> = {
    cookie: ['Cookie', `CAT=${token}`],
    header: ['CTA-Common-Access-Token', token],
    authorization: ['Authorization', `Bearer ${token}`],
  };
  return { target, headers: own[place] ? [...headers, own[place]] : headers };
}

/** The cases of a table, each with a CAT and with a JWT where both can say it. */
export function table(section: string, claim: ClaimName | undefined, rows: readonly Row[]): ConformanceCase[] {
  const standard = /^\d/.test(section) ? `CTA-5007-B ${section}` : section;
  return rows.flatMap(([what, { cat: catClaims, jwt: jwtClaims }, expected, asked = {}, outcome = {}]) => {
    const kid = asked.kid === undefined ? {} : { kid: asked.kid };
    const made: (readonly [string, string])[] = [];
    if (catClaims) made.push(['CAT', cat(catClaims, { ...kid, ...asked.catParts })]);
    if (jwtClaims) made.push(['JWT', jwt(jwtClaims, { ...kid, ...asked.jwtParts })]);
    return made.map(([format, token]): ConformanceCase => {
      const { kind: _, ...rest } = outcome;
      return {
        name: `${standard}${claim ? ` ${claim}` : ''}: ${what} (${format})`,
        ...(claim ? { claim } : {}),
        kind: kindOf(expected, outcome),
        ...placed(token, asked),
        asked,
        expected,
        ...rest,
      };
    });
  });
}

/** A request as it is sent, for what no claim decides. */
export function request(
  section: string,
  what: string,
  target: string,
  expected: Expected,
  asked: Asked = {},
  outcome: Outcome = {},
): ConformanceCase {
  const standard = /^\d/.test(section) ? `CTA-5007-B ${section}` : section;
  return {
    name: `${standard}: ${what}`,
    kind: kindOf(expected, outcome),
    target,
    headers: asked.headers ?? [],
    asked,
    expected,
    ...outcome,
  };
}
