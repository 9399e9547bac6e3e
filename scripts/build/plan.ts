import { resolve } from 'node:path';
import type { Placement } from '@portcullis/tokens';
import { claimKey } from '@portcullis/tokens/core/labels';
import { TOKEN_HEADERS, type PathPlacement } from '@portcullis/tokens/core/placement';
import { defaultTokenName, pathHead } from '@portcullis/tokens/placement';
import type { FunctionBuild } from '../../functions/config.js';
import type { FunctionsConfig, OptionalClaim, RevocationScope } from '../config/functions-config.js';
import { featureNames, type FeatureName, type Features } from './features.js';
import { profiles } from './profiles.js';

/** What the compiler takes, and what the rest of the project asks about it. */
export interface FunctionPlan {
  readonly build: FunctionBuild;
  readonly features: Features;
  /** The configured places of a token, in the SDK's words. */
  readonly placements: readonly Placement[];
}

const claimFeatures: Readonly<Record<OptionalClaim, FeatureName>> = {
  catu: 'catu',
  'catu.regex': 'catuRegex',
  'catu.hash': 'catuHash',
  catm: 'catm',
  catnip: 'catnip',
  catgeoiso3166: 'catgeoiso3166',
  geohash: 'geohash',
  cath: 'cath',
  catalpn: 'catalpn',
  cattpk: 'cattpk',
  catreplay: 'catreplay',
  catpor: 'catpor',
  catif: 'catif',
  catr: 'catr',
  rare: 'rare',
};

const scopeFeatures: Readonly<Record<RevocationScope, FeatureName>> = {
  token: 'revokeToken',
  session: 'revokeSession',
  subject: 'revokeSubject',
  'subject-content': 'revokeSubjectContent',
  content: 'revokeContent',
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

/** What a configuration makes of the functions: only what it uses is compiled in. */
function featuresOf(config: FunctionsConfig, placements: readonly Placement[]): Features {
  const profile = profiles[config.profile];
  const on = new Set<FeatureName>(['audience']);
  const add = (feature: FeatureName, wanted: unknown): void => {
    if (wanted) on.add(feature);
  };
  (config.formats ?? profile.formats).forEach((format) => on.add(format));
  placements.forEach(({ kind }) => on.add(kind));
  (config.claims.use ?? profile.claims).forEach((claim) => on.add(claimFeatures[claim]));
  const located = config.contentId !== undefined;
  (config.revocation.scopes ?? profile.scopes.filter((scope) => located || !scope.includes('content'))).forEach(
    (scope) => on.add(scopeFeatures[scope]),
  );
  add('blackout', config.blackout ?? (profile.blackout && located));
  add('cors', config.cors === undefined ? profile.cors : config.cors !== false);
  add('publicPaths', config.publicPaths);
  add('keyScope', config.keyRecords.scope ?? profile.keyScope);
  add('modes', config.keyRecords.modes ?? profile.keyModes);
  add('modeRecord', config.modeRecord);
  add('allowClients', config.allowedClients);
  add('embedOrigins', config.embedOrigins);
  add('tlsKeyLookup', config.claims.tlsKeys && on.has('cattpk'));
  add('onUnknown', Object.values(config.claims.onUnknown).includes('allow'));
  add('mint', on.has('catr') || on.has('catif'));
  add('anyJson', profile.anyJson && on.has('jwt'));
  add(
    'contentId',
    located &&
      (on.has('blackout') ||
        on.has('revokeContent') ||
        on.has('revokeSubjectContent') ||
        config.embedOrigins?.some((rule) => rule.content !== undefined)),
  );
  return Object.fromEntries(featureNames.map((name) => [name, on.has(name)])) as Features;
}

/**
 * Turns a validated configuration into what the compiler takes.
 *
 * @param folder The folder that hooks are named from.
 * @example
 * const plan = functionPlan(functionsConfigSchema.parse({ formats: ['jwt'], placements: { query: true } }));
 * await compileFunction('viewer-request', plan.build, plan.features);
 */
export function functionPlan(config: FunctionsConfig, folder = '.'): FunctionPlan {
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
        path: paths.length > 0 ? paths : undefined,
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
      },
      settings: {
        status: Object.fromEntries(status),
        reasonHeader: answers.reasonHeader,
        corsOrigins: shared.origins === '*' ? undefined : shared.origins,
        corsCredentials: shared.credentials,
        preflight: {
          'access-control-allow-methods': { value: 'GET,HEAD,OPTIONS' },
          'access-control-allow-headers': { value: allowed.join(',') },
          'access-control-max-age': { value: String(shared.maxAge) },
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
