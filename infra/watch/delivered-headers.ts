// Which of CloudFront's own headers the policies of a behaviour deliver. One that is not delivered is one that a viewer
// can type.
import type { CachePolicyConfig, OriginRequestPolicyConfig } from '@aws-sdk/client-cloudfront';

const lower = (name: string): string => name.toLowerCase();

/** The headers among the needed ones that neither policy delivers. */
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
export function listedHeaders(policy: OriginRequestPolicyConfig | undefined): readonly string[] {
  const headers = policy?.HeadersConfig;
  return headers?.HeaderBehavior === 'whitelist' || headers?.HeaderBehavior === 'allViewerAndWhitelistCloudFront'
    ? (headers.Headers?.Items ?? [])
    : [];
}
