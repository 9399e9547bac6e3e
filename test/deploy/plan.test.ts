import type { DistributionConfig } from '@aws-sdk/client-cloudfront';
import type { Placement } from '@portcullis/tokens';
import { afterEach, describe, expect, it } from 'vitest';
import { settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import type { DeploymentConfigInput } from '../../scripts/deploy/config.js';
import type { Finding } from '../../scripts/deploy/findings.js';
import { observe } from '../../scripts/deploy/observe.js';
import { makePlan, type Plan } from '../../scripts/deploy/plan.js';
import { renderPlan } from '../../scripts/deploy/render.js';
import { adsDistribution, liveDistribution, managedPolicyIds, vodDistribution } from './distributions.js';
import { queryPlacement, startSetting, type Setting } from './setting.js';

let setting: Setting | undefined;

afterEach(async () => {
  await setting?.close();
  setting = undefined;
});

interface Case {
  readonly distribution: DistributionConfig;
  readonly config: Partial<DeploymentConfigInput>;
  readonly placement?: Placement;
  readonly headers?: readonly string[];
  readonly prepare?: (setting: Setting) => void;
}

async function planOf({ distribution, config, placement = queryPlacement, headers, prepare }: Case): Promise<Plan> {
  setting = await startSetting({ distribution, placement, ...(headers ? { headers } : {}) });
  prepare?.(setting);
  const desired = await setting.desired(config);
  return makePlan(desired, await observe(setting.access, desired));
}

const codes = (findings: readonly Finding[]): string[] =>
  findings.map((finding) => `${finding.severity} ${finding.code}${finding.behaviour ? ` ${finding.behaviour}` : ''}`);

/** The plan as it is printed; size and hash of the fixture's code do not matter here. */
const printed = (plan: Plan): string => renderPlan(plan).replace(/\d+ bytes, [0-9a-f]{12}/g, '… bytes, <hash>');

const prefix = (path: `/${string}`): Placement => ({ kind: 'path', mode: 'prefix', prefix: path });

describe('the plan for on-demand video on S3', () => {
  it('attaches, adds headers to the policy in use, and has nothing to warn of but the missing key', async () => {
    const plan = await planOf({
      distribution: vodDistribution(),
      config: { behaviours: [{ pattern: '/vod/*', stage: 'log' }] },
      placement: prefix('/vod'),
    });
    expect(codes(plan.findings)).toEqual([
      'info no_access_logs',
      'warning no_key_in_store',
      'warning headers_missing /vod/*',
    ]);
    expect(plan.proofs).toEqual([
      {
        placement: 'path (prefix /vod)',
        content: '/vod/*',
        signedPath: '/vod/TOKEN/ch1/segment-42.m4s',
        selected: '/vod/*',
        guarded: true,
      },
    ]);
    expect(printed(plan)).toMatchSnapshot();
  });

  it('finds that a token in the first segment selects another behaviour', async () => {
    const plan = await planOf({
      distribution: vodDistribution(),
      config: { behaviours: [{ pattern: '/vod/*', stage: 'log' }] },
      placement: { kind: 'path', mode: 'first' },
    });
    expect(codes(plan.findings)).toContain('error placement_not_guarded default');
  });

  it("finds that a marker serves an unguarded behaviour's objects", async () => {
    const distribution = vodDistribution();
    distribution.CacheBehaviors!.Items!.unshift({
      ...structuredClone(distribution.CacheBehaviors!.Items![0]!),
      PathPattern: '/~t/*',
    });
    distribution.CacheBehaviors!.Quantity = 2;
    const marker = { kind: 'path', mode: 'marker' } as const;
    const open = await planOf({
      distribution,
      config: { behaviours: [{ pattern: '/~t/*', stage: 'log', content: ['/vod/*'] }] },
      placement: marker,
    });
    expect(codes(open.findings)).toContain('warning bypass_behaviour /vod/*');
    await setting!.close();
    const closed = await planOf({
      distribution,
      config: {
        behaviours: [
          { pattern: '/~t/*', stage: 'log', content: ['/vod/*'] },
          { pattern: '/vod/*', stage: 'log' },
        ],
      },
      placement: marker,
    });
    expect(codes(closed.findings).filter((code) => code.includes('bypass'))).toEqual([]);
  });
});

describe('the plan for live from MediaPackage', () => {
  it('sees through the origin group, and makes a policy where there is none', async () => {
    const plan = await planOf({
      distribution: liveDistribution(),
      config: { behaviours: [{ pattern: '/live/*', stage: 'log' }] },
      placement: prefix('/live'),
    });
    expect(codes(plan.findings)).toEqual([
      'info no_access_logs',
      'warning no_key_in_store',
      'warning headers_missing /live/*',
    ]);
    expect(printed(plan)).toMatchSnapshot();
  });

  it('reports each member of the group that anybody can read', async () => {
    const distribution = liveDistribution();
    for (const origin of distribution.Origins!.Items!) origin.CustomHeaders = { Quantity: 0 };
    const plan = await planOf({ distribution, config: { behaviours: [{ pattern: '/live/*', stage: 'log' }] } });
    const exposed = plan.findings.filter((finding) => finding.code === 'origin_exposed');
    expect(exposed.map((finding) => /package-[ab]/.exec(finding.message)?.[0])).toEqual(['package-a', 'package-b']);
  });
});

describe('the plan for ads from MediaTailor', () => {
  it('reports the exposed service, and the open behaviour beside the guarded one', async () => {
    const plan = await planOf({
      distribution: adsDistribution(),
      config: {
        behaviours: [
          { pattern: '/v1/*', stage: 'log' },
          { pattern: 'default', stage: 'log' },
        ],
      },
      placement: prefix('/v1'),
    });
    expect(codes(plan.findings)).toEqual([
      'info no_access_logs',
      'warning no_key_in_store',
      'warning headers_missing /v1/*',
      'warning headers_missing default',
      'warning no_placement_reaches default',
      'warning origin_exposed /v1/*',
    ]);
    expect(printed(plan)).toMatchSnapshot();
  });
});

const vod = { behaviours: [{ pattern: '/vod/*', stage: 'log' as const }] };

function changed(
  change: (settings: NonNullable<ReturnType<typeof settingsOf>>, config: DistributionConfig) => void,
): DistributionConfig {
  const config = vodDistribution();
  change(settingsOf(config, '/vod/*')!, config);
  return config;
}

const cachePolicy = (parameters: object) => (current: Setting) =>
  current.double.addCachePolicy('leaky', {
    Name: 'leaky',
    MinTTL: 0,
    ParametersInCacheKeyAndForwardedToOrigin: {
      EnableAcceptEncodingGzip: true,
      HeadersConfig: { HeaderBehavior: 'none' },
      CookiesConfig: { CookieBehavior: 'none' },
      QueryStringsConfig: { QueryStringBehavior: 'none' },
      ...parameters,
    },
  });

/** Puts the policy on after it exists: the double refuses one it does not know. */
const withLeak = (parameters: object) => (current: Setting) => {
  cachePolicy(parameters)(current);
  settingsOf(current.double.state.distributions.get(current.id)!.config, '/vod/*')!.CachePolicyId = 'leaky';
};

const cookiePlacement: Placement = { kind: 'cookie', name: 'CAT' };
const headerPlacement: Placement = { kind: 'header' };
const list = (...Items: string[]) => ({ Quantity: Items.length, Items });

const findingsTable: readonly (readonly [string, string, Case])[] = [
  [
    'a token parameter listed in the cache key',
    'error cache_key_token /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      prepare: withLeak({ QueryStringsConfig: { QueryStringBehavior: 'whitelist', QueryStrings: list('CAT') } }),
    },
  ],
  [
    'every parameter in the cache key',
    'warning cache_key_token /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      prepare: withLeak({ QueryStringsConfig: { QueryStringBehavior: 'all' } }),
    },
  ],
  [
    'the token header in the cache key',
    'error cache_key_token /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      placement: headerPlacement,
      prepare: withLeak({
        HeadersConfig: { HeaderBehavior: 'whitelist', Headers: list('cta-common-access-token') },
      }),
    },
  ],
  [
    'the token cookie in the cache key',
    'error cache_key_cookie /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      placement: cookiePlacement,
      prepare: withLeak({ CookiesConfig: { CookieBehavior: 'whitelist', Cookies: list('CAT') } }),
    },
  ],
  [
    'every cookie in the cache key',
    'warning cache_key_cookie /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      placement: cookiePlacement,
      prepare: withLeak({ CookiesConfig: { CookieBehavior: 'all' } }),
    },
  ],
  [
    'geo headers in the cache key',
    'error cache_key_geo /vod/*',
    {
      distribution: vodDistribution(),
      config: vod,
      prepare: withLeak({
        HeadersConfig: { HeaderBehavior: 'whitelist', Headers: list('CloudFront-Viewer-Metro-Code') },
      }),
    },
  ],
  [
    'a policy to which no CloudFront header can be added',
    'error headers_undeliverable /vod/*',
    {
      distribution: changed((settings) => {
        settings.OriginRequestPolicyId = managedPolicyIds.allViewerExceptHost;
      }),
      config: vod,
    },
  ],
  [
    'a policy that passes on all the viewer sends, forged headers included',
    'warning headers_missing /vod/*',
    {
      distribution: changed((settings) => {
        settings.OriginRequestPolicyId = managedPolicyIds.allViewer;
      }),
      config: vod,
    },
  ],
  [
    'legacy cache settings',
    'error legacy_cache_settings /vod/*',
    {
      distribution: changed((settings) => {
        delete settings.CachePolicyId;
        delete settings.OriginRequestPolicyId;
        settings.ForwardedValues = { QueryString: true, Cookies: { Forward: 'none' } };
      }),
      config: vod,
    },
  ],
  [
    'trusted key groups',
    'error trusted_signers /vod/*',
    {
      distribution: changed((settings) => {
        settings.TrustedKeyGroups = { Enabled: true, Quantity: 1, Items: ['group'] };
      }),
      config: vod,
    },
  ],
  [
    'plain HTTP',
    'warning http_allowed /vod/*',
    {
      distribution: changed((settings) => {
        settings.ViewerProtocolPolicy = 'allow-all';
      }),
      config: vod,
    },
  ],
  [
    'no OPTIONS',
    'error options_not_allowed /vod/*',
    {
      distribution: changed((settings) => {
        settings.AllowedMethods = { Quantity: 2, Items: ['GET', 'HEAD'] };
      }),
      config: vod,
    },
  ],
  [
    'a Lambda@Edge function on a viewer event',
    'error lambda_on_viewer_event /vod/*',
    {
      distribution: changed((settings) => {
        settings.LambdaFunctionAssociations = {
          Quantity: 1,
          Items: [
            {
              EventType: 'viewer-request',
              LambdaFunctionARN: 'arn:aws:lambda:us-east-1:111122223333:function:old-auth:7',
            },
          ],
        };
      }),
      config: vod,
    },
  ],
  [
    'a bucket without origin access control',
    'warning origin_exposed /vod/*',
    {
      distribution: changed((_, config) => {
        config.Origins!.Items![0]!.OriginAccessControlId = '';
      }),
      config: vod,
    },
  ],
  [
    'an unguarded behaviour before it that matches the same paths',
    'warning bypass_behaviour *.mp4',
    {
      distribution: changed((settings, config) => {
        config.CacheBehaviors = {
          Quantity: 2,
          Items: [{ ...structuredClone(settings), PathPattern: '*.mp4' }, config.CacheBehaviors!.Items![0]!],
        };
      }),
      config: vod,
    },
  ],
  [
    'an unguarded behaviour that reaches the same objects through another origin path',
    'warning bypass_behaviour /films/*',
    {
      distribution: changed((settings, config) => {
        const [films] = config.Origins!.Items!;
        config.Origins!.Items!.push({ ...structuredClone(films!), Id: 'films-again', OriginPath: '/vod' });
        config.Origins!.Quantity = 3;
        config.CacheBehaviors!.Items!.push({
          ...structuredClone(settings),
          PathPattern: '/films/*',
          TargetOriginId: 'films-again',
        });
        config.CacheBehaviors!.Quantity = 2;
        // The bucket's folder vod holds a folder films, which /films/* serves.
        config.CacheBehaviors!.Items![0]!.PathPattern = '/vod/*';
      }),
      config: vod,
    },
  ],
  [
    'another distribution that reads from the same origin',
    'warning bypass_distribution',
    {
      distribution: vodDistribution(),
      config: vod,
      prepare: (current) =>
        void current.double.addDistribution('E2OTHER', { ...vodDistribution(), CallerReference: 'x' }),
    },
  ],
  [
    'a behaviour that does not exist',
    'error behaviour_missing /films/*',
    { distribution: vodDistribution(), config: { behaviours: [{ pattern: '/films/*', stage: 'log' }] } },
  ],
  [
    'a staging distribution',
    'error staging_distribution',
    { distribution: { ...vodDistribution(), Staging: true }, config: vod },
  ],
  [
    'a canary on HTTP/3',
    'error canary_http3',
    {
      distribution: { ...vodDistribution(), HttpVersion: 'http2and3' },
      config: { ...vod, canary: { weight: 0.05 } },
    },
  ],
];

describe('the plan reports', () => {
  it.each(findingsTable)('%s', async (_, code, input) => {
    expect(codes((await planOf(input)).findings)).toContain(code);
  });

  it('nothing of an unguarded behaviour that is open on purpose', async () => {
    const distribution = changed((settings, config) => {
      config.CacheBehaviors = {
        Quantity: 2,
        Items: [{ ...structuredClone(settings), PathPattern: '*.jpg' }, config.CacheBehaviors!.Items![0]!],
      };
    });
    const plan = await planOf({ distribution, config: { ...vod, open: ['*.jpg'] } });
    expect(codes(plan.findings).filter((code) => code.includes('bypass'))).toEqual([]);
  });

  it('what the configuration accepts with its reason, and does not stop for it', async () => {
    const distribution = changed((settings) => {
      settings.TrustedKeyGroups = { Enabled: true, Quantity: 1, Items: ['group'] };
    });
    const plan = await planOf({
      distribution,
      config: { ...vod, accept: [{ finding: 'trusted_signers', because: 'players send both during the move' }] },
    });
    expect(plan.findings.find((finding) => finding.code === 'trusted_signers')?.accepted).toBe(
      'players send both during the move',
    );
  });
});
