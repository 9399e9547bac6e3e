import { WAFV2Client } from '@aws-sdk/client-wafv2';

/** CLOUDFRONT things of WAF live in one region (API:CreateWebACL). */
export const cloudFrontRegion = 'us-east-1';

/**
 * A client for the web ACLs of distributions. The region is fixed; an endpoint is given only for a loopback service,
 * which takes any credentials.
 *
 * @example createWafClient()
 */
export function createWafClient(options: { readonly endpoint?: string } = {}): WAFV2Client {
  return new WAFV2Client({
    region: cloudFrontRegion,
    // Repeats are this folder's own (retry.ts): they know which errors a wait can cure, and read afresh where needed.
    maxAttempts: 1,
    ...(options.endpoint
      ? { endpoint: options.endpoint, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } }
      : {}),
  });
}
