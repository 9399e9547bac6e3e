// What the double of the CloudFront API holds: distributions, functions, stores, policies, each with its ETag.
import type {
  CachePolicyConfig,
  ContinuousDeploymentPolicyConfig,
  DistributionConfig,
  FunctionConfig,
  OriginRequestPolicyConfig,
  ResponseHeadersPolicyConfig,
} from '@aws-sdk/client-cloudfront';

/** An error that the API documents, answered with its own code and status. */
export class ApiError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = code;
    this.code = code;
  }
}

export interface StoredDistribution {
  readonly id: string;
  readonly arn: string;
  readonly domainName: string;
  config: DistributionConfig;
  etag: string;
  /** Reads left until the state is `Deployed`. */
  pending: number;
  modified: Date;
  tags: Map<string, string>;
}

export interface FunctionStageRecord {
  readonly config: FunctionConfig;
  readonly code: Uint8Array;
  readonly etag: string;
  readonly modified: Date;
}

export interface StoredFunction {
  readonly name: string;
  readonly arn: string;
  readonly created: Date;
  development: FunctionStageRecord;
  live: FunctionStageRecord | undefined;
}

export interface StoredKeyValueStore {
  readonly name: string;
  readonly id: string;
  readonly arn: string;
  comment: string;
  etag: string;
  pending: number;
  modified: Date;
}

export interface StoredPolicy<Config> {
  readonly id: string;
  readonly managed: boolean;
  config: Config;
  etag: string;
  modified: Date;
}

/** Every change of what serves viewers, in order: what the safety tests read. */
export interface HistoryEntry {
  readonly operation: string;
  readonly distributions: ReadonlyMap<string, DistributionConfig>;
  /** By function name; code as text, with its associated stores. */
  readonly live: ReadonlyMap<string, { readonly code: string; readonly stores: readonly string[] }>;
  /** Header policies by id, to tell what reached a function then. */
  readonly originRequestPolicies: ReadonlyMap<string, OriginRequestPolicyConfig>;
}

export interface State {
  readonly distributions: Map<string, StoredDistribution>;
  readonly functions: Map<string, StoredFunction>;
  readonly stores: Map<string, StoredKeyValueStore>;
  readonly cachePolicies: Map<string, StoredPolicy<CachePolicyConfig>>;
  readonly originRequestPolicies: Map<string, StoredPolicy<OriginRequestPolicyConfig>>;
  readonly responseHeadersPolicies: Map<string, StoredPolicy<ResponseHeadersPolicyConfig>>;
  readonly continuousDeploymentPolicies: Map<string, StoredPolicy<ContinuousDeploymentPolicyConfig>>;
  readonly history: HistoryEntry[];
}

export const account = '111122223333';

const geoHeaders = [
  'CloudFront-Viewer-Address',
  'CloudFront-Viewer-ASN',
  'CloudFront-Viewer-City',
  'CloudFront-Viewer-Country',
  'CloudFront-Viewer-Country-Name',
  'CloudFront-Viewer-Country-Region',
  'CloudFront-Viewer-Country-Region-Name',
  'CloudFront-Viewer-Http-Version',
  'CloudFront-Viewer-Latitude',
  'CloudFront-Viewer-Longitude',
  'CloudFront-Viewer-Metro-Code',
  'CloudFront-Viewer-Postal-Code',
  'CloudFront-Viewer-Time-Zone',
];

const none = { QueryStringBehavior: 'none' } as const;
const all = { QueryStringBehavior: 'all' } as const;

/** AWS's managed policies that the realistic distributions use, as the developer guide lists them. */
function managedPolicies(
  modified: Date,
): Pick<State, 'cachePolicies' | 'originRequestPolicies' | 'responseHeadersPolicies'> {
  const entry = <Config>(id: string, config: Config): [string, StoredPolicy<Config>] => [
    id,
    { id, managed: true, config, etag: 'E23ZP02F085DFQ', modified },
  ];
  const cache = (
    id: string,
    name: string,
    ttl: [number, number, number],
    parameters: CachePolicyConfig['ParametersInCacheKeyAndForwardedToOrigin'],
  ): [string, StoredPolicy<CachePolicyConfig>] =>
    entry(id, {
      Comment: '',
      Name: name,
      MinTTL: ttl[0],
      DefaultTTL: ttl[1],
      MaxTTL: ttl[2],
      ParametersInCacheKeyAndForwardedToOrigin: parameters,
    });
  const bare = {
    EnableAcceptEncodingGzip: false,
    EnableAcceptEncodingBrotli: false,
    HeadersConfig: { HeaderBehavior: 'none' as const },
    CookiesConfig: { CookieBehavior: 'none' as const },
    QueryStringsConfig: none,
  };
  return {
    cachePolicies: new Map([
      cache('658327ea-f89d-4fab-a63d-7e88639e58f6', 'Managed-CachingOptimized', [1, 86400, 31536000], {
        ...bare,
        EnableAcceptEncodingGzip: true,
        EnableAcceptEncodingBrotli: true,
      }),
      cache('4135ea2d-6df8-44a3-9df3-4b5a84be39ad', 'Managed-CachingDisabled', [0, 0, 0], bare),
      cache('08627262-05a9-4f76-9ded-b50ca2e3a84f', 'Managed-Elemental-MediaPackage', [0, 86400, 31536000], {
        ...bare,
        EnableAcceptEncodingGzip: true,
        HeadersConfig: { HeaderBehavior: 'whitelist', Headers: { Quantity: 1, Items: ['origin'] } },
        QueryStringsConfig: {
          QueryStringBehavior: 'whitelist',
          QueryStrings: { Quantity: 4, Items: ['aws.manifestfilter', 'start', 'end', 'm'] },
        },
      }),
    ]),
    originRequestPolicies: new Map([
      entry('216adef6-5c7f-47e4-b989-5492eafa07d3', {
        Comment: '',
        Name: 'Managed-AllViewer',
        HeadersConfig: { HeaderBehavior: 'allViewer' as const },
        CookiesConfig: { CookieBehavior: 'all' as const },
        QueryStringsConfig: all,
      } as OriginRequestPolicyConfig),
      entry('b689b0a8-53d0-40ab-baf2-68738e2966ac', {
        Comment: '',
        Name: 'Managed-AllViewerExceptHostHeader',
        HeadersConfig: { HeaderBehavior: 'allExcept' as const, Headers: { Quantity: 1, Items: ['host'] } },
        CookiesConfig: { CookieBehavior: 'all' as const },
        QueryStringsConfig: all,
      } as OriginRequestPolicyConfig),
      entry('33f36d7e-f396-46d9-90e0-52428a34d9dc', {
        Comment: '',
        Name: 'Managed-AllViewerAndCloudFrontHeaders-2022-06',
        HeadersConfig: {
          HeaderBehavior: 'allViewerAndWhitelistCloudFront' as const,
          Headers: { Quantity: geoHeaders.length, Items: geoHeaders },
        },
        CookiesConfig: { CookieBehavior: 'all' as const },
        QueryStringsConfig: all,
      } as OriginRequestPolicyConfig),
      entry('88a5eaf4-2fd4-4709-b370-b4c650ea3fcf', {
        Comment: '',
        Name: 'Managed-CORS-S3Origin',
        HeadersConfig: {
          HeaderBehavior: 'whitelist' as const,
          Headers: {
            Quantity: 3,
            Items: ['origin', 'access-control-request-headers', 'access-control-request-method'],
          },
        },
        CookiesConfig: { CookieBehavior: 'none' as const },
        QueryStringsConfig: none,
      } as OriginRequestPolicyConfig),
      entry('775133bc-15f2-49f9-abea-afb2e0bf67d2', {
        Comment: '',
        Name: 'Managed-Elemental-MediaTailor-PersonalizedManifests',
        HeadersConfig: {
          HeaderBehavior: 'whitelist' as const,
          Headers: {
            Quantity: 5,
            Items: [
              'origin',
              'access-control-request-headers',
              'access-control-request-method',
              'user-agent',
              'x-forwarded-for',
            ],
          },
        },
        CookiesConfig: { CookieBehavior: 'none' as const },
        QueryStringsConfig: all,
      } as OriginRequestPolicyConfig),
    ]),
    responseHeadersPolicies: new Map([
      entry('5cc3b908-e619-4b99-88e5-2cf7f45965bd', {
        Name: 'Managed-CORS-With-Preflight',
        Comment: '',
      } as ResponseHeadersPolicyConfig),
    ]),
  };
}

export function newState(now: Date): State {
  return {
    distributions: new Map(),
    functions: new Map(),
    stores: new Map(),
    continuousDeploymentPolicies: new Map(),
    history: [],
    ...managedPolicies(now),
  };
}
