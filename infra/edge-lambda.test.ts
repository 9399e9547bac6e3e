import { App, Aspects, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Distribution } from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { AwsSolutionsChecks } from 'cdk-nag';
import { beforeAll, describe, expect, it } from 'vitest';
import { START_HEADER } from '../edge/exchange/index.js';
import { PortcullisDistributionGuard, PortcullisEdgeLambda, PortcullisOneTimeTable } from './index.js';
import { startHeader } from './constructs/edge-lambda.js';

const names = { prefix: 'portcullis', name: 'test' };

function stackIn(region: string): Stack {
  const app = new App();
  const stack = new Stack(app, 'Site', { env: { region, account: '111122223333' } });
  const guard = new PortcullisDistributionGuard(stack, 'Guard', {
    ...names,
    viewerRequest: 'async function handler(event) { return event.request; }',
    viewerHeaders: ['CloudFront-Viewer-Country'],
  });
  new PortcullisOneTimeTable(stack, 'Once', { ...names, replicas: ['eu-central-1'] });
  const start = new PortcullisEdgeLambda(stack, 'Start', {
    ...names,
    part: 'start',
    code: Code.fromInline('exports.handler = async () => ({ status: "503" });'),
    secrets: [{ secret: 'portcullis/keys/edge', region: 'us-east-1' }],
    oneTime: { table: 'portcullis-test-once', regions: ['us-east-1', 'eu-central-1'] },
  });
  const origin = new HttpOrigin('origin.example');
  new Distribution(stack, 'Distribution', {
    defaultBehavior: { origin },
    additionalBehaviors: { '/start/*': { origin, ...guard.behaviour, ...start.startBehaviour } },
  });
  Aspects.of(app).add(new AwsSolutionsChecks({ verbose: true }));
  return stack;
}

describe('the Lambda of the start path', () => {
  let template: Template;
  let stack: Stack;
  beforeAll(() => {
    stack = stackIn('us-east-1');
    template = Template.fromStack(stack);
  });

  it('is what Lambda@Edge takes: Node.js, x86-64, a version, no environment', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'portcullis-test-edge-start',
      Runtime: Match.stringLikeRegexp('^nodejs'),
      Architectures: ['x86_64'],
      Environment: Match.absent(),
      VpcConfig: Match.absent(),
      Layers: Match.absent(),
      Timeout: 10,
    });
    template.resourceCountIs('AWS::Lambda::Version', 1);
  });

  it('may be replicated, log everywhere, read its secret, spend tokens, and nothing else', () => {
    template.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: ['lambda', 'edgelambda'].map((service) =>
          Match.objectLike({ Principal: { Service: `${service}.amazonaws.com` } }),
        ),
      },
    });
    const [policy] = Object.values(
      template.findResources('AWS::IAM::Policy', { Properties: { PolicyName: Match.stringLikeRegexp('^Start') } }),
    );
    const text = JSON.stringify(policy?.['Properties']);
    const actions = [...text.matchAll(/"(\w+:\w+)"/g)].map(([, action]) => action);
    expect(actions.sort()).toEqual([
      'dynamodb:UpdateItem',
      'logs:CreateLogGroup',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'secretsmanager:GetSecretValue',
    ]);
    expect(text).toContain(':secretsmanager:us-east-1:111122223333:secret:portcullis/keys/edge-??????');
    expect(text).toContain(':dynamodb:eu-central-1:111122223333:table/portcullis-test-once');
    expect(text).toContain(':logs:*:111122223333:log-group:/aws/lambda/us-east-1.portcullis-test-edge-start:*');
  });

  it('sits on origin-request behind the function, every start a request of its own', () => {
    expect(startHeader).toBe(START_HEADER);
    template.hasResourceProperties('AWS::CloudFront::CachePolicy', {
      CachePolicyConfig: {
        MinTTL: 0,
        DefaultTTL: 0,
        MaxTTL: 1,
        ParametersInCacheKeyAndForwardedToOrigin: Match.objectLike({
          HeadersConfig: { HeaderBehavior: 'whitelist', Headers: [START_HEADER] },
        }),
      },
    });
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: Match.objectLike({
        CacheBehaviors: [
          Match.objectLike({
            PathPattern: '/start/*',
            FunctionAssociations: [Match.objectLike({ EventType: 'viewer-request' })],
            LambdaFunctionAssociations: [
              { EventType: 'origin-request', LambdaFunctionARN: { Ref: Match.stringLikeRegexp('CurrentVersion') } },
            ],
            OriginRequestPolicyId: '33f36d7e-f396-46d9-90e0-52428a34d9dc',
            ViewerProtocolPolicy: 'https-only',
          }),
        ],
      }),
    });
  });

  it('keeps used tokens in every region, until they end', () => {
    template.hasResourceProperties('AWS::DynamoDB::GlobalTable', {
      TableName: 'portcullis-test-once',
      TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
      Replicas: Match.arrayWith([
        Match.objectLike({ Region: 'eu-central-1' }),
        Match.objectLike({ Region: 'us-east-1' }),
      ]),
    });
  });

  it('is clean for cdk-nag, the trial distribution aside', () => {
    const errors = Annotations.fromStack(stack)
      .findError('*', Match.stringLikeRegexp('AwsSolutions-.*'))
      .filter(({ id }) => !id.startsWith('/Site/Distribution'));
    expect(errors.map(({ id, entry }) => `${id} ${String(entry.data)}`)).toEqual([]);
  });

  it('is refused outside us-east-1', () => {
    const elsewhere = stackIn('ap-south-1');
    expect(Annotations.fromStack(elsewhere).findError('*', Match.stringLikeRegexp('us-east-1'))).not.toEqual([]);
  });
});
