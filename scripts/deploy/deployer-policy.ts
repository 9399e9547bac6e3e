// The least that the person or pipeline that deploys must be allowed, as an IAM policy.
import type { DeploymentConfig } from './config.js';

interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: string | readonly string[];
}

export interface IamPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

/**
 * The policy of the deployer of one environment.
 *
 * @param account twelve digits
 * @param store the KeyValueStore's ARN, once it exists
 */
export function deployerPolicy(config: DeploymentConfig, account: string, store?: string): IamPolicy {
  const cloudFront = (resource: string): string => `arn:aws:cloudfront::${account}:${resource}`;
  const table = config.record.table;
  const functions = cloudFront(`function/${config.prefix}-${config.name}-*`);
  const allow = (Sid: string, Action: readonly string[], Resource: string | readonly string[]): Statement => ({
    Sid,
    Effect: 'Allow',
    Action,
    Resource,
  });
  return {
    Version: '2012-10-17',
    Statement: [
      allow(
        'Distribution',
        ['cloudfront:GetDistribution', 'cloudfront:GetDistributionConfig', 'cloudfront:UpdateDistribution'],
        cloudFront(`distribution/${config.distribution}`),
      ),
      allow(
        'Functions',
        [
          'cloudfront:CreateFunction',
          'cloudfront:UpdateFunction',
          'cloudfront:DescribeFunction',
          'cloudfront:GetFunction',
          'cloudfront:TestFunction',
          'cloudfront:PublishFunction',
          'cloudfront:DeleteFunction',
        ],
        functions,
      ),
      allow(
        'Policies',
        [
          'cloudfront:GetCachePolicy',
          'cloudfront:GetOriginRequestPolicy',
          'cloudfront:CreateOriginRequestPolicy',
          'cloudfront:DeleteOriginRequestPolicy',
        ],
        [cloudFront('cache-policy/*'), cloudFront('origin-request-policy/*')],
      ),
      // These accept no resource.
      allow('Lists', ['cloudfront:ListDistributions', 'cloudfront:ListOriginRequestPolicies'], '*'),
      allow(
        'Store',
        [
          'cloudfront:CreateKeyValueStore',
          'cloudfront:DescribeKeyValueStore',
          'cloudfront:DeleteKeyValueStore',
          'cloudfront-keyvaluestore:DescribeKeyValueStore',
          'cloudfront-keyvaluestore:GetKey',
          'cloudfront-keyvaluestore:ListKeys',
          'cloudfront-keyvaluestore:UpdateKeys',
        ],
        store ?? cloudFront('key-value-store/*'),
      ),
      ...(config.canary === undefined
        ? []
        : [
            allow(
              'Canary',
              [
                'cloudfront:CopyDistribution',
                'cloudfront:CreateDistribution',
                'cloudfront:DeleteDistribution',
                'cloudfront:UpdateDistribution',
                'cloudfront:GetDistribution',
                'cloudfront:GetDistributionConfig',
                'cloudfront:CreateContinuousDeploymentPolicy',
                'cloudfront:GetContinuousDeploymentPolicy',
                'cloudfront:DeleteContinuousDeploymentPolicy',
                'cloudfront:ListContinuousDeploymentPolicies',
              ],
              '*',
            ),
          ]),
      ...(config.behaviours.some((behaviour) => behaviour.originRequestLambda !== undefined)
        ? [
            allow(
              'Lambda',
              ['lambda:GetFunction', 'lambda:EnableReplication*'],
              [...new Set(config.behaviours.flatMap((behaviour) => behaviour.originRequestLambda ?? []))],
            ),
          ]
        : []),
      ...(config.webAcl === undefined ? [] : [allow('WebAcl', ['wafv2:GetWebACL'], config.webAcl)]),
      ...(table === undefined
        ? []
        : [
            allow(
              'Record',
              ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query'],
              `arn:aws:dynamodb:us-east-1:${account}:table/${table}`,
            ),
          ]),
      allow('Metrics', ['cloudwatch:GetMetricData'], '*'),
      allow(
        'Logs',
        ['logs:FilterLogEvents'],
        `arn:aws:logs:us-east-1:${account}:log-group:/aws/cloudfront/function/${config.prefix}-${config.name}-*`,
      ),
    ],
  };
}
