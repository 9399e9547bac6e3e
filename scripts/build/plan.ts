import { resolve } from 'node:path';
import type { Placement } from '@portcullis/tokens';
import { claimKey } from '@portcullis/tokens/core/labels';
import { TOKEN_HEADERS, type PathPlacement } from '@portcullis/tokens/core/placement';
import { defaultTokenName, pathHead } from '@portcullis/tokens/placement';
import type { FunctionBuild } from '../../functions/config.js';
import type { FunctionsConfig, OptionalClaim } from '../config/functions-config.js';
import type { Features } from './features.js';
import { profiles } from './profiles.js';

/** What the compiler takes, and what the rest of the project asks about it. */
export interface FunctionPlan {
  readonly build: FunctionBuild;
  readonly features: Features;
  /** The configured places of a token, in the SDK's words. */
  readonly placements: readonly Placement[];
}

/** The functions' words, and the one of the Lambda@Edge section that they have to know: where playback starts. */
export type PlannedConfig = FunctionsConfig & {
  readonly lambda?:
    | {
        readonly start?:
          { readonly path: string; readonly kid: string; readonly unknownKeys?: boolean | undefined } | undefined;
      }
    | undefined;
};

/** Answers that are not 401 unless the configuration says so. */
const defaultStatus = { ambiguous_path: 400, revoked: 403, blackout: 451, store_error: 503, internal_error: 503 };

/** The configured places of a token, in the SDK's words; the profile's where none are configured. */
export function placementsOf(config: Pick<FunctionsConfig, 'profile' | 'placements'>): Placement[] {
  const { path, pathParameter, query, cookie, header, authorization } =
    config.placements ?? profiles[config.profile].placements;
  const named = (kind: 'pathParameter' | 'query' | 'cookie', value: boolean | string | undefined): Placement[] =>
    value === undefined || value === false ? [] : [{ kind, name: value === true ? defaultTokenName : value }];
  const paths = path === undefined || path === false ? [] : Array.isArray(path) ? path : [path];
  return [
    ...paths.map((place): Placement => {
      if (place === 'first') return { kind: 'path', mode: 'first' };
      return 'prefix' in place
        ? { kind: 'path', mode: 'prefix', prefix: place.prefix as `/${string}` }
        : { kind: 'path', mode: 'marker', marker: place.marker as `/${string}` };
    }),
    ...named('pathParameter', pathParameter),
    ...named('query', query),
    ...named('cookie', cookie),
    ...(header ? [{ kind: 'header' } as const] : []),
    ...(authorization ? [{ kind: 'authorization' } as const] : []),
  ];
}

function pathPlacement(placement: Extract<Placement, { kind: 'path' }>): PathPlacement {
  const before = pathHead(placement);
  return { before, keep: placement.mode === 'prefix' ? before : '' };
}

/** Claims that a build for JWT alone can know by their names. */
const byName: ReadonlySet<OptionalClaim> = new Set<OptionalClaim>([
  'catu',
  'catu.regex',
  'catu.hash',
  'catm',
  'catnip',
  'catgeoiso3166',
]);

/** What a configuration makes of the functions: only what it uses is compiled in. */
function featuresOf(config: PlannedConfig, placements: readonly Placement[]): Features {
  const profile = profiles[config.profile];
  const formats = config.formats ?? profile.formats;
  const claims = new Set(config.claims.use ?? profile.claims);
  const located = config.contentId !== undefined;
  const scopes = new Set(
    config.revocation.scopes ?? profile.scopes.filter((scope) => located || !scope.includes('content')),
  );
  const blackout = config.blackout ?? (profile.blackout && located);
  const byContent = scopes.has('content') || scopes.has('subject-content') || blackout;
  const cors = config.cors === undefined ? profile.cors : config.cors !== false;
  const placed = (kind: Placement['kind']): boolean => placements.some((placement) => placement.kind === kind);
  return {
    cat: formats.includes('cat'),
    jwt: formats.includes('jwt'),
    anyEngine: false,
    anyJson: profile.anyJson && formats.includes('jwt'),
    claimKeys:
      formats.includes('cat') ||
      [...claims].some((claim) => !byName.has(claim)) ||
      config.requiredClaims !== undefined ||
      Object.values(config.claims.onUnknown).includes('allow') ||
      config.lambda?.start !== undefined,
    fast: profile.fast,
    usualCat: profile.usualCat && formats.includes('cat'),
    // With both formats the bytes are wanted elsewhere.
    usualJwt: !formats.includes('cat'),
    fractions: profile.fractions && formats.includes('jwt'),
    escapes: profile.escapes,
    catuParts: profile.catuParts && claims.has('catu'),
    audience: true,
    catu: claims.has('catu'),
    catuRegex: claims.has('catu.regex'),
    catuHash: claims.has('catu.hash'),
    catm: claims.has('catm'),
    catnip: claims.has('catnip'),
    catgeoiso3166: claims.has('catgeoiso3166'),
    countryCodes: profile.countryCodes && claims.has('catgeoiso3166'),
    geohash: claims.has('geohash'),
    cath: claims.has('cath'),
    catalpn: claims.has('catalpn'),
    cattpk: claims.has('cattpk'),
    tlsKeyLookup: config.claims.tlsKeys && claims.has('cattpk'),
    catreplay: claims.has('catreplay'),
    catpor: claims.has('catpor'),
    catif: claims.has('catif'),
    catr: claims.has('catr'),
    mint: claims.has('catr') || claims.has('catif'),
    rare: claims.has('rare'),
    onUnknown: Object.values(config.claims.onUnknown).includes('allow'),
    path: placed('path'),
    manyPaths: placements.filter(({ kind }) => kind === 'path').length > 1,
    // One path segment is the only place that holds no more than one.
    manyTokens: placements.length > 1 || !placed('path'),
    pathParameter: placed('pathParameter'),
    query: placed('query'),
    cookie: placed('cookie'),
    header: placed('header'),
    authorization: placed('authorization'),
    revokeToken: scopes.has('token'),
    revokeSession: scopes.has('session'),
    revokeSubject: scopes.has('subject'),
    revokeSubjectContent: scopes.has('subject-content'),
    revokeContent: scopes.has('content'),
    overflow: config.revocation.overflow ?? (profile.overflow && scopes.size > 0),
    // Accounts are revoked up to a moment: without it, what they are given afterwards would be refused, too.
    cutOffs: config.revocation.cutOffs ?? (profile.cutOffs || scopes.has('subject') || scopes.has('subject-content')),
    blackout,
    contentId: located && (byContent || (config.embedOrigins ?? []).some((rule) => rule.content !== undefined)),
    cors,
    // A browser asks beforehand where a player adds headers: ours, or what the configuration names.
    preflight: cors && (Boolean(config.cors) || placed('header') || placed('authorization')),
    publicPaths: config.publicPaths !== undefined,
    keyScope: config.keyRecords.scope ?? profile.keyScope,
    modes: config.keyRecords.modes ?? profile.keyModes,
    modeRecord: config.modeRecord,
    allowClients: config.allowedClients !== undefined,
    embedOrigins: config.embedOrigins !== undefined,
    // What a CloudFront Function cannot do: Lambda@Edge and Node have these.
    publicKey: false,
    proof: false,
    encrypted: false,
    // What it leaves to Lambda@Edge.
    startPath: config.lambda?.start !== undefined,
  };
}

/**
 * Turns a validated configuration into what the compiler takes.
 *
 * @param folder The folder that hooks are named from.
 * @example
 * const plan = functionPlan(functionsConfigSchema.parse({ formats: ['jwt'], placements: { query: true } }));
 * await compileFunction('viewer-request', plan.build, plan.features);
 */
export function functionPlan(config: PlannedConfig, folder = '.'): FunctionPlan {
  const placements = placementsOf(config);
  const features = featuresOf(config, placements);
  const nameOf = (wanted: Placement['kind']): string | undefined => {
    const found = placements.find(({ kind }) => kind === wanted);
    return found && 'name' in found ? found.name : undefined;
  };
  const paths = placements.filter((placement) => placement.kind === 'path').map(pathPlacement);
  const { cors, claims, answers, hooks } = config;
  const shared = cors || { origins: '*' as const, credentials: false, headers: undefined, maxAge: 600 };
  const status = Object.entries({ ...defaultStatus, ...answers.status }).filter(
    ([reason, code]) => code !== 401 && (reason !== 'blackout' || features.blackout),
  );
  const exposed = [...(answers.reasonHeader ? ['x-portcullis-reason'] : []), ...(features.header ? TOKEN_HEADERS : [])];
  const tokenHeaders = [
    ...(features.header ? TOKEN_HEADERS : []),
    ...(features.authorization ? ['authorization', 'dpop'] : []),
  ];
  // A star stands for every header but Authorization, and for itself alone where credentials are sent (Fetch 3.2.5).
  const allowed =
    shared.headers ??
    (shared.credentials ? ['range', ...tokenHeaders] : ['*', ...(features.authorization ? ['authorization'] : [])]);
  const unknown = Object.entries(claims.onUnknown).filter(([, choice]) => choice === 'allow');
  return {
    placements,
    features,
    build: {
      policy: {
        path: features.manyPaths ? paths : undefined,
        pathBefore: features.manyPaths ? undefined : paths[0]?.before,
        pathKeep: features.manyPaths ? undefined : paths[0]?.keep,
        pathParameter: nameOf('pathParameter'),
        query: nameOf('query'),
        cookie: nameOf('cookie'),
        header: features.header || undefined,
        authorization: features.authorization || undefined,
        mode: config.mode,
        blackoutMode: features.blackout ? config.blackoutMode : undefined,
        modeRecord: config.modeRecord || undefined,
        audiences: config.audiences,
        requiredClaims: config.requiredClaims?.map((name) => claimKey(name) as number),
        exactNetworks: claims.exactNetworks || undefined,
        allowUnknown: unknown.length > 0 ? unknown.map(([name]) => claimKey(name) as number) : undefined,
        ignoreUncompiled: claims.uncompiled === 'ignore' || undefined,
        refuseReplay: claims.replay === 'refuse' || undefined,
        publicPaths: config.publicPaths?.map((path) => path.replace(/(.)\/$/, '$1')),
        contentId: features.contentId ? new RegExp(config.contentId as string) : undefined,
        allowedClients: config.allowedClients,
        embedOrigins: config.embedOrigins,
        issuer: config.issuer,
        renewalKid: config.renewal.kid,
        startPath: config.lambda?.start?.path,
        startKid: config.lambda?.start?.kid,
        startUnknown: config.lambda?.start?.unknownKeys || undefined,
      },
      settings: {
        status: Object.fromEntries(status),
        reasonHeader: answers.reasonHeader,
        // A star says the same in fewer bytes, where no credentials are sent (Fetch 3.2.5).
        exposed: shared.credentials ? exposed.join(',') : '*',
        corsOrigins: shared.origins === '*' ? undefined : shared.origins,
        corsCredentials: shared.credentials,
        preflight: {
          'access-control-allow-methods': { value: shared.credentials ? 'GET,HEAD,OPTIONS' : '*' },
          'access-control-allow-headers': { value: allowed.join(',') },
          ...(config.cors && { 'access-control-max-age': { value: String(shared.maxAge) } }),
        },
        sample: config.log.sample,
        retryAfter: String(answers.retryAfter),
      },
      hooks: {
        before: hooks.before === undefined ? undefined : resolve(folder, hooks.before),
        after: hooks.after === undefined ? undefined : resolve(folder, hooks.after),
      } as FunctionBuild['hooks'] & object,
    },
  };
}
