import type { CustomHTTPHeader, CustomResponseBody, Rule, Statement } from '@aws-sdk/client-wafv2';
import { bodyKey, ownedPrefix } from './rule-set.js';
import { any, network } from './statements.js';

/** Names and labels of the rules in the group that revocation keeps. */
export const blockedRuleNames = {
  addresses: `${ownedPrefix}blocked-addresses`,
  networks: `${ownedPrefix}blocked-networks`,
} as const;

/** The body a cut-off address gets. */
export const blockedBody: Readonly<Record<string, CustomResponseBody>> = {
  [bodyKey('address_blocked')]: {
    ContentType: 'APPLICATION_JSON',
    Content: JSON.stringify({
      error: 'address_blocked',
      message: 'This address is blocked.',
      id: '${awswaf:request_id:}',
    }),
  },
};

/**
 * The rules of the group: one over all address sets, one over blocked networks where there are any. WAF has no status
 * 451, so both answer 403.
 */
export function blockedGroupRules(
  setArns: readonly string[],
  asns: readonly number[],
  cors: false | { readonly origin: string } = { origin: '*' },
): Rule[] {
  const headers: CustomHTTPHeader[] = [
    { Name: 'cache-control', Value: 'no-store' },
    { Name: 'x-portcullis-reason', Value: 'address_blocked' },
    ...(cors
      ? [
          { Name: 'access-control-allow-origin', Value: cors.origin },
          { Name: 'access-control-expose-headers', Value: 'x-portcullis-reason, retry-after' },
        ]
      : []),
  ];
  const rule = (Name: string, Priority: number, labelName: string, statement: Statement): Rule => ({
    Name,
    Priority,
    Statement: statement,
    Action: {
      Block: {
        CustomResponse: {
          ResponseCode: 403,
          CustomResponseBodyKey: bodyKey('address_blocked'),
          ResponseHeaders: headers,
        },
      },
    },
    RuleLabels: [{ Name: labelName }],
    VisibilityConfig: { CloudWatchMetricsEnabled: true, MetricName: Name, SampledRequestsEnabled: false },
  });
  return [
    ...(setArns.length > 0
      ? [
          rule(
            blockedRuleNames.addresses,
            0,
            'deny:restreamer-address',
            any([...setArns].sort().map((ARN) => ({ IPSetReferenceStatement: { ARN } }))),
          ),
        ]
      : []),
    ...(asns.length > 0
      ? [rule(blockedRuleNames.networks, 1, 'deny:restreamer-network', network([...asns].sort((a, b) => a - b)))]
      : []),
  ];
}
