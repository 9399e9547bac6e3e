import type { Placement } from '@portcullis/tokens';
import { CATGEOISO3166 } from '@portcullis/tokens/core/labels';
import type { StartSettings } from '../../edge/handlers/start.js';
import type { PortcullisConfig } from '../config/schema.js';
import type { Features } from './features.js';
import { functionPlan } from './plan.js';

/** Claims that every build decides on. */
const always = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'catv', 'sid', 'sxp'];
const optional = [
  'catu',
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
] as const;

/** Claims that the compiled viewer function decides on, by JWT name. */
export function understoodClaims(features: Features): string[] {
  return [...always, ...optional.filter((name) => features[name]), ...(features.rare ? ['catifdata'] : [])];
}

/** What the configuration makes of the start handler; undefined where it has no start path. */
export function startSettings(config: PortcullisConfig): StartSettings | undefined {
  const { lambda } = config;
  if (!lambda?.start) return undefined;
  const { start } = lambda;
  const { build, features, placements } = functionPlan(config);
  const { exchange } = start;
  const cookie = placements.find((placement) => placement.kind === 'cookie');
  const { cookie: attributes, by, status, ...policy } = exchange;
  return {
    config: {
      validator: {
        eventType: 'origin-request',
        policy: {
          ...build.policy,
          // The function has decided what hangs on the store and the page, and no path is public here.
          mode: 'enforce',
          publicPaths: undefined,
          allowedClients: undefined,
          embedOrigins: undefined,
          contentId: undefined,
          blackoutMode: 'off',
          modeRecord: undefined,
          ignoreUncompiled: undefined,
          startPath: undefined,
          // One use is what the exchange itself looks after.
          refuseReplay: undefined,
        },
        settings: { ...build.settings, cors: features.cors },
        keys: lambda.keys,
        hosts: lambda.hosts,
        proof: lambda.proof,
      },
      path: start.path,
      kids: [start.kid, ...start.olderKids],
      policy: {
        ...policy,
        unplaced: build.policy.allowUnknown?.includes(CATGEOISO3166) ? 'allow' : 'refuse',
        understood: understoodClaims(features),
      },
      delivery: {
        by,
        status,
        paths: placements.filter(
          (placement): placement is Extract<Placement, { kind: 'path' }> => placement.kind === 'path',
        ),
        cookie: cookie && withoutUndefined({ ...cookie, ...attributes }),
      },
    },
    secrets: {
      prefix: config.revoker?.secretPrefix ?? 'portcullis',
      region: start.secretsRegion,
      endpoint: start.secretsEndpoint,
    },
    oneTime: start.oneTime,
  };
}

/** For types that tell an absent member from an undefined one. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as never;
}
