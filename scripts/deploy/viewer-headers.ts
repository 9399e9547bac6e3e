// The headers about the viewer that CloudFront adds, which of them a policy delivers, and how to make it deliver more.
import type { OriginRequestPolicyConfig } from '@aws-sdk/client-cloudfront';
import { listedHeaders, missingHeaders } from '../../infra/watch/delivered-headers.js';

export { missingHeaders };

/** At most this many headers in one policy (CloudFront quotas, "Policies"). */
export const maximumPolicyHeaders = 10;

/** Which compiled-in feature reads which header. A viewer's own header of that name reaches the function unless a
 * policy lists it: each missing one is a hole, not only a refusal. */
const headersOfFeature: Readonly<Record<string, readonly string[]>> = {
  catgeoiso3166: ['CloudFront-Viewer-Country', 'CloudFront-Viewer-Country-Region'],
  catnip: ['CloudFront-Viewer-ASN'],
  geohash: ['CloudFront-Viewer-Latitude', 'CloudFront-Viewer-Longitude'],
  tlsKeyLookup: ['CloudFront-Viewer-Cert-SHA256'],
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
  const known = new Set(present.map((name) => name.toLowerCase()));
  const items = [...present, ...headers.filter((name) => !known.has(name.toLowerCase()))];
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
