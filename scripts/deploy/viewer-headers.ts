// The headers about the viewer that CloudFront adds, which of them a policy delivers, and how to make it deliver more.
import type { CachePolicyConfig, OriginRequestPolicyConfig } from '@aws-sdk/client-cloudfront';

/** At most this many headers in one policy (CloudFront quotas, "Policies"). */
export const maximumPolicyHeaders = 10;

/** Which compiled-in feature reads which header. A viewer's own header of that name reaches the function unless a
 * policy lists it: each missing one is a hole, not only a refusal. */
const headersOfFeature: Readonly<Record<string, readonly string[]>> = {
  catgeoiso3166: ['CloudFront-Viewer-Country', 'CloudFront-Viewer-Country-Region'],
  catnip: ['CloudFront-Viewer-ASN'],
  geohash: ['CloudFront-Viewer-Latitude', 'CloudFront-Viewer-Longitude'],
  catgeocoord: ['CloudFront-Viewer-Latitude', 'CloudFront-Viewer-Longitude'],
  catalpn: ['CloudFront-Viewer-Http-Version', 'CloudFront-Viewer-TLS'],
  blackout: [
    'CloudFront-Viewer-Country',
    'CloudFront-Viewer-Country-Region',
    'CloudFront-Viewer-Metro-Code',
    'CloudFront-Viewer-Postal-Code',
  ],
};

/** The headers that functions compiled with these features read, in a fixed order. */
export function neededHeaders(features: readonly string[]): string[] {
  return [...new Set(features.flatMap((feature) => headersOfFeature[feature] ?? []))].sort();
}

const lower = (name: string): string => name.toLowerCase();

/** The CloudFront headers among the needed ones that neither policy delivers. */
export function missingHeaders(
  needed: readonly string[],
  cachePolicy: CachePolicyConfig | undefined,
  originRequestPolicy: OriginRequestPolicyConfig | undefined,
): string[] {
  const inCacheKey = cachePolicy?.ParametersInCacheKeyAndForwardedToOrigin?.HeadersConfig;
  const delivered = new Set([
    ...(inCacheKey?.HeaderBehavior === 'whitelist' ? (inCacheKey.Headers?.Items ?? []) : []).map(lower),
    ...listedHeaders(originRequestPolicy).map(lower),
  ]);
  return needed.filter((name) => !delivered.has(lower(name)));
}

/** `allViewer` and `allExcept` pass on what the viewer sent and add none of CloudFront's own. */
function listedHeaders(policy: OriginRequestPolicyConfig | undefined): readonly string[] {
  const headers = policy?.HeadersConfig;
  return headers?.HeaderBehavior === 'whitelist' || headers?.HeaderBehavior === 'allViewerAndWhitelistCloudFront'
    ? (headers.Headers?.Items ?? [])
    : [];
}

export type ExtendedPolicy =
  | { readonly possible: true; readonly config: Omit<OriginRequestPolicyConfig, 'Name'> }
  | { readonly possible: false; readonly reason: string };

/**
 * The same origin request policy with further CloudFront headers. Nothing else that the origin gets changes.
 *
 * Where the behaviour has no policy, the new one sends the listed headers and nothing more.
 */
export function extendPolicy(
  policy: OriginRequestPolicyConfig | undefined,
  headers: readonly string[],
): ExtendedPolicy {
  const behaviour = policy?.HeadersConfig?.HeaderBehavior ?? 'none';
  if (behaviour === 'allExcept') {
    return {
      possible: false,
      reason:
        'its policy sends all viewer headers except some, a form to which CloudFront headers cannot be added; attach one that lists headers, or "all viewer headers and CloudFront headers"',
    };
  }
  const present = listedHeaders(policy);
  const known = new Set(present.map(lower));
  const items = [...present, ...headers.filter((name) => !known.has(lower(name)))];
  if (items.length > maximumPolicyHeaders) {
    return {
      possible: false,
      reason: `its policy lists ${present.length} headers and ${items.length - present.length} more are needed; a policy holds ${maximumPolicyHeaders}`,
    };
  }
  const wide = behaviour === 'allViewer' || behaviour === 'allViewerAndWhitelistCloudFront';
  return {
    possible: true,
    config: {
      Comment: 'Delivers what the Portcullis viewer functions read about the viewer',
      HeadersConfig: {
        HeaderBehavior: wide ? 'allViewerAndWhitelistCloudFront' : 'whitelist',
        Headers: { Quantity: items.length, Items: items },
      },
      CookiesConfig: policy?.CookiesConfig ?? { CookieBehavior: 'none' },
      QueryStringsConfig: policy?.QueryStringsConfig ?? { QueryStringBehavior: 'none' },
    },
  };
}
