// Three distributions as they are found in production: on-demand video on S3, live from MediaPackage with failover,
// and ads inserted by MediaTailor.
import type { CacheBehavior, DefaultCacheBehavior, DistributionConfig, Origin } from '@aws-sdk/client-cloudfront';

const methods = (items: readonly ('GET' | 'HEAD' | 'OPTIONS')[]): DefaultCacheBehavior['AllowedMethods'] => ({
  Quantity: items.length,
  Items: [...items],
  CachedMethods: { Quantity: 2, Items: ['GET', 'HEAD'] },
});

const managed = {
  cachingOptimized: '658327ea-f89d-4fab-a63d-7e88639e58f6',
  cachingDisabled: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
  mediaPackage: '08627262-05a9-4f76-9ded-b50ca2e3a84f',
  allViewer: '216adef6-5c7f-47e4-b989-5492eafa07d3',
  allViewerExceptHost: 'b689b0a8-53d0-40ab-baf2-68738e2966ac',
  corsS3: '88a5eaf4-2fd4-4709-b370-b4c650ea3fcf',
  mediaTailor: '775133bc-15f2-49f9-abea-afb2e0bf67d2',
} as const;

const base = {
  TrustedSigners: { Enabled: false, Quantity: 0 },
  TrustedKeyGroups: { Enabled: false, Quantity: 0 },
  SmoothStreaming: false,
  LambdaFunctionAssociations: { Quantity: 0 },
  FunctionAssociations: { Quantity: 0 },
  FieldLevelEncryptionId: '',
} satisfies Partial<DefaultCacheBehavior>;

function behaviour(
  settings: Partial<DefaultCacheBehavior> & Pick<DefaultCacheBehavior, 'TargetOriginId'>,
): DefaultCacheBehavior {
  return {
    ViewerProtocolPolicy: 'redirect-to-https',
    AllowedMethods: methods(['GET', 'HEAD', 'OPTIONS']),
    Compress: true,
    CachePolicyId: managed.cachingOptimized,
    ...base,
    ...settings,
  };
}

const path = (
  PathPattern: string,
  settings: Partial<DefaultCacheBehavior> & Pick<DefaultCacheBehavior, 'TargetOriginId'>,
): CacheBehavior => ({ PathPattern, ...behaviour(settings) });

function config(
  reference: string,
  comment: string,
  origins: Origin[],
  fallback: DefaultCacheBehavior,
  behaviours: CacheBehavior[],
  more: Partial<DistributionConfig> = {},
): DistributionConfig {
  return {
    CallerReference: reference,
    Aliases: { Quantity: 0 },
    DefaultRootObject: '',
    Origins: { Quantity: origins.length, Items: origins },
    OriginGroups: { Quantity: 0 },
    DefaultCacheBehavior: fallback,
    CacheBehaviors: behaviours.length === 0 ? { Quantity: 0 } : { Quantity: behaviours.length, Items: behaviours },
    CustomErrorResponses: { Quantity: 0 },
    Comment: comment,
    Logging: { Enabled: false, IncludeCookies: false, Bucket: '', Prefix: '' },
    PriceClass: 'PriceClass_100',
    Enabled: true,
    ViewerCertificate: { CloudFrontDefaultCertificate: true, MinimumProtocolVersion: 'TLSv1' },
    Restrictions: { GeoRestriction: { RestrictionType: 'none', Quantity: 0 } },
    WebACLId: '',
    HttpVersion: 'http2',
    IsIPV6Enabled: true,
    ContinuousDeploymentPolicyId: '',
    Staging: false,
    ...more,
  };
}

function s3Origin(id: string, bucket: string, accessControl: string, originPath = ''): Origin {
  return {
    Id: id,
    DomainName: `${bucket}.s3.eu-west-1.amazonaws.com`,
    OriginPath: originPath,
    CustomHeaders: { Quantity: 0 },
    S3OriginConfig: { OriginAccessIdentity: '' },
    ConnectionAttempts: 3,
    ConnectionTimeout: 10,
    OriginShield: { Enabled: false },
    OriginAccessControlId: accessControl,
  };
}

/** `secret` stands for the header an origin can check to know that CloudFront is asking. */
function customOrigin(id: string, domain: string, secret?: string, originPath = ''): Origin {
  return {
    Id: id,
    DomainName: domain,
    OriginPath: originPath,
    CustomHeaders:
      secret === undefined
        ? { Quantity: 0 }
        : { Quantity: 1, Items: [{ HeaderName: 'x-mediapackage-cdnidentifier', HeaderValue: secret }] },
    CustomOriginConfig: {
      HTTPPort: 80,
      HTTPSPort: 443,
      OriginProtocolPolicy: 'https-only',
      OriginSslProtocols: { Quantity: 1, Items: ['TLSv1.2'] },
      OriginReadTimeout: 30,
      OriginKeepaliveTimeout: 5,
    },
    ConnectionAttempts: 3,
    ConnectionTimeout: 10,
    OriginShield: { Enabled: false },
    OriginAccessControlId: '',
  };
}

/** A value that no output, manifest or journal may ever show. */
export const originSecret = 'origin-header-value-that-must-never-be-printed';

/** S3 with origin access control; films under `/vod/*`, a public web page everywhere else, from another bucket. */
export function vodDistribution(): DistributionConfig {
  return config(
    'vod-2024',
    'On-demand films',
    [s3Origin('films', 'films-bucket', 'E1OACFILMS00'), s3Origin('web', 'web-bucket', 'E1OACWEB0000')],
    behaviour({ TargetOriginId: 'web' }),
    [path('/vod/*', { TargetOriginId: 'films', OriginRequestPolicyId: managed.corsS3 })],
  );
}

/** MediaPackage in two regions behind an origin group; manifests and segments under `/live/*`. */
export function liveDistribution(): DistributionConfig {
  return config(
    'live-2025',
    'Live channels',
    [
      customOrigin('package-a', 'abc.mediapackage.eu-west-1.amazonaws.com', originSecret),
      customOrigin('package-b', 'def.mediapackage.eu-central-1.amazonaws.com', originSecret),
      s3Origin('slates', 'slates-bucket', 'E1OACSLATES0'),
    ],
    behaviour({ TargetOriginId: 'slates' }),
    [path('/live/*', { TargetOriginId: 'package', CachePolicyId: managed.mediaPackage })],
    {
      OriginGroups: {
        Quantity: 1,
        Items: [
          {
            Id: 'package',
            FailoverCriteria: { StatusCodes: { Quantity: 3, Items: [500, 502, 503] } },
            Members: { Quantity: 2, Items: [{ OriginId: 'package-a' }, { OriginId: 'package-b' }] },
          },
        ],
      },
    },
  );
}

/** MediaTailor for manifests (never cached), ad segments of the service itself, content segments from MediaPackage. */
export function adsDistribution(): DistributionConfig {
  return config(
    'ads-2025',
    'Live with ads',
    [
      customOrigin('tailor', 'xyz.mediatailor.eu-west-1.amazonaws.com'),
      customOrigin('ads', 'segments.mediatailor.eu-west-1.amazonaws.com'),
      customOrigin('package', 'abc.mediapackage.eu-west-1.amazonaws.com', originSecret),
    ],
    behaviour({ TargetOriginId: 'package', CachePolicyId: managed.mediaPackage }),
    [
      path('/tm/*', { TargetOriginId: 'ads' }),
      path('/v1/*', {
        TargetOriginId: 'tailor',
        CachePolicyId: managed.cachingDisabled,
        OriginRequestPolicyId: managed.mediaTailor,
      }),
    ],
  );
}

export { managed as managedPolicyIds };
