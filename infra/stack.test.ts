import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, Aspects, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Distribution } from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { AwsSolutionsChecks } from 'cdk-nag';
import { buildSync } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { realTimeFields } from '../revoker/detection/fields.js';
import { environmentVariables, settings } from '../revoker/lambdas/environment.js';
import { functionNames, workflows } from '../revoker/workflows/index.js';
import { infrastructure } from './app.js';
import { PortcullisDistributionGuard, PortcullisStack, type PortcullisStackProps } from './index.js';

const store = 'arn:aws:cloudfront::111122223333:key-value-store/11111111-2222-3333-4444-555555555555';

const props: PortcullisStackProps = {
  prefix: 'portcullis',
  name: 'test',
  stores: [store],
  emails: ['operations@example.com'],
  gate: {
    distribution: 'E1ABCDEF2GHIJK',
    store: 'portcullis-test',
    headers: ['CloudFront-Viewer-Country'],
    behaviours: [{ pattern: '/live/*', functions: ['portcullis-test-viewer-request'], enforced: true }],
  },
  vending: { issuer: 'cms', placement: { kind: 'path', mode: 'prefix', prefix: '/live' }, hosts: ['cdn.example'] },
  streaming: { code: Code.fromInline('exports.handler = () => {};') },
  neverBlock: ['198.18.0.0/15'],
  detectionConfig: JSON.stringify({ allow: { networks: ['192.0.2.0/24'] } }),
  revokerConfig: JSON.stringify({
    stores: [{ arn: store }],
    targets: {
      webhooks: [{ name: 'drm', url: 'https://drm.example/revoked', secret: 'drm/webhook' }],
      ivs: [{ channelArn: 'arn:aws:ivs:us-east-1:111122223333:channel/abcdEFGH' }],
    },
  }),
  logs: { bucketArn: 'arn:aws:s3:::access-logs-bucket' },
  functionCode: () => Code.fromInline('exports.handler = () => {};'),
};

interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DeletionPolicy?: string;
}

let template: Template;
let stack: PortcullisStack;
let resources: Record<string, Resource>;

beforeAll(() => {
  const app = new App();
  stack = new PortcullisStack(app, 'Portcullis', props);
  Aspects.of(app).add(new AwsSolutionsChecks({ verbose: true }));
  template = Template.fromStack(stack);
  resources = (template.toJSON() as { Resources: Record<string, Resource> }).Resources;
});

const ofType = (type: string): [string, Resource][] =>
  Object.entries(resources).filter(([, item]) => item.Type === type);

describe('the stack of the regional parts', () => {
  it('is clean for cdk-nag', () => {
    const annotations = Annotations.fromStack(stack);
    const found = [
      ...annotations.findError('*', Match.stringLikeRegexp('AwsSolutions-.*')),
      ...annotations.findWarning('*', Match.stringLikeRegexp('AwsSolutions-.*')),
    ];
    expect(found.map((item) => `${item.id}: ${String(item.entry.data).split('\n')[0]}`)).toEqual([]);
  });

  it('explains every suppression', () => {
    const suppressions = Object.values(resources).flatMap((item) => {
      const metadata = (item as { Metadata?: { cdk_nag?: { rules_to_suppress?: { id: string; reason: string }[] } } })
        .Metadata;
      return metadata?.cdk_nag?.rules_to_suppress ?? [];
    });
    expect(suppressions.length).toBeGreaterThan(0);
    for (const { reason } of suppressions) expect(reason.length).toBeGreaterThan(30);
    expect(new Set(suppressions.map((item) => item.id))).toEqual(new Set(['AwsSolutions-IAM5', 'AwsSolutions-SQS3']));
  });

  it('encrypts everything at rest with its own rotated key', () => {
    template.hasResourceProperties('AWS::KMS::Key', { EnableKeyRotation: true });
    template.hasResourceProperties('AWS::DynamoDB::GlobalTable', {
      SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
      TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
      Replicas: [
        Match.objectLike({
          DeletionProtectionEnabled: true,
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        }),
      ],
    });
    template.hasResourceProperties('AWS::Kinesis::Stream', { StreamEncryption: { EncryptionType: 'KMS' } });
    template.hasResourceProperties('AWS::SNS::Topic', { KmsMasterKeyId: Match.anyValue() });
    for (const [name, group] of ofType('AWS::Logs::LogGroup')) {
      expect(group.Properties?.['KmsKeyId'], name).toBeDefined();
      expect(group.Properties?.['RetentionInDays'], name).toBe(90);
    }
    for (const [name, bucket] of ofType('AWS::S3::Bucket')) {
      expect(bucket.Properties?.['BucketEncryption'], name).toBeDefined();
      expect(bucket.Properties?.['PublicAccessBlockConfiguration'], name).toMatchObject({ BlockPublicAcls: true });
      expect(bucket.Properties?.['LifecycleConfiguration'], name).toBeDefined();
    }
  });

  it('keeps data when the stack goes, unless that is said otherwise', () => {
    for (const type of ['AWS::DynamoDB::GlobalTable', 'AWS::KMS::Key', 'AWS::Logs::LogGroup', 'AWS::S3::Bucket']) {
      for (const [name, item] of ofType(type)) expect(item.DeletionPolicy, name).toMatch(/^Retain/);
    }
    const trial = Template.fromStack(
      new PortcullisStack(new App(), 'Trial', { ...props, dataRemoval: RemovalPolicy.DESTROY }),
    );
    trial.allResources('AWS::DynamoDB::GlobalTable', { DeletionPolicy: 'Delete' });
  });

  it('tags what can be tagged with its environment', () => {
    for (const type of [
      'AWS::Lambda::Function',
      'AWS::Kinesis::Stream',
      'AWS::StepFunctions::StateMachine',
      'AWS::SNS::Topic',
    ]) {
      for (const [name, item] of ofType(type)) {
        expect(item.Properties?.['Tags'], name).toContainEqual({ Key: 'portcullis:environment', Value: 'test' });
      }
    }
  });

  it('gives nobody the right to do everything, and to nobody but KMS, X-Ray and log delivery a right on everything', () => {
    interface Statement {
      Action: string | string[];
      Resource: unknown;
      Effect: string;
    }
    for (const [name, policy] of ofType('AWS::IAM::Policy')) {
      const document = policy.Properties?.['PolicyDocument'] as { Statement: Statement[] };
      for (const statement of document.Statement) {
        const actions = [statement.Action].flat();
        for (const action of actions) expect(action, name).not.toMatch(/^\*$|:\*$/);
        if ([statement.Resource].flat().includes('*')) {
          for (const action of actions) expect(action, name).toMatch(/^(xray:|logs:|wafv2:List)/);
        }
      }
    }
    expect(JSON.stringify(resources)).not.toContain('"ManagedPolicyArns"');
  });

  it('lets each function touch only what it works on', () => {
    const actionsOf = (part: string): Set<string> => {
      const [, policy] = ofType('AWS::IAM::Policy').find(([id]) => id.includes(`Workflows${part}Role`)) ?? [];
      const document = policy?.Properties?.['PolicyDocument'] as { Statement: { Action: string | string[] }[] };
      return new Set(document.Statement.flatMap((statement) => statement.Action));
    };
    expect(actionsOf('Compare')).not.toContain('cloudfront-keyvaluestore:UpdateKeys');
    expect(actionsOf('Compare')).not.toContain('dynamodb:PutItem');
    expect(actionsOf('Project')).toContain('cloudfront-keyvaluestore:UpdateKeys');
    // Key records are part of a store: an interrupted publication is finished by whoever carries work on.
    expect(actionsOf('Project')).toContain('secretsmanager:GetSecretValue');
    expect(actionsOf('Project')).not.toContain('secretsmanager:PutSecretValue');
    expect(actionsOf('Record')).not.toContain('secretsmanager:GetSecretValue');
    expect(actionsOf('AskApproval')).toContain('states:SendTaskSuccess');
    expect(actionsOf('Block')).toContain('wafv2:UpdateIPSet');
    expect(actionsOf('Block')).not.toContain('cloudfront-keyvaluestore:UpdateKeys');
    expect(actionsOf('Report')).toContain('events:PutEvents');
    expect(actionsOf('RetireKey')).toContain('secretsmanager:DeleteSecret');
  });

  it('lets functions that know a run alone touch the parts of runs alone', () => {
    interface Statement {
      Action: string | string[];
      Condition?: unknown;
    }
    for (const part of ['PlanRun', 'ReadPage', 'Decide', 'AskApproval', 'AnswerApproval', 'SettleApproval', 'Report']) {
      const [, policy] = ofType('AWS::IAM::Policy').find(([id]) => id.includes(`Workflows${part}Role`)) ?? [];
      const { Statement } = policy?.Properties?.['PolicyDocument'] as { Statement: Statement[] };
      const database = Statement.filter(({ Action }) => [Action].flat().some((one) => one.startsWith('dynamodb:')));
      expect(database, part).toMatchObject([
        {
          Action: ['dynamodb:GetItem', 'dynamodb:PutItem'],
          Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['RUN#*'] } },
        },
      ]);
    }
    expect(JSON.stringify(resources)).not.toContain('states:SendTaskFailure');
  });

  it('raises an alarm for what failed, took too long or was given up', () => {
    const alarms = ofType('AWS::CloudWatch::Alarm').map(([, alarm]) => alarm.Properties ?? {});
    const counted = (metric: string): number => alarms.filter((alarm) => alarm['MetricName'] === metric).length;
    expect(counted('ExecutionsFailed')).toBe(Object.keys(workflows).length);
    expect(counted('ExecutionsTimedOut')).toBe(Object.keys(workflows).length);
    const [[queue] = ['']] = ofType('AWS::SQS::Queue').filter(([, item]) =>
      String(item.Properties?.['QueueName']).endsWith('failed-windows'),
    );
    expect(alarms.find((alarm) => alarm['MetricName'] === 'ApproximateNumberOfMessagesVisible')).toMatchObject({
      Dimensions: [{ Name: 'QueueName', Value: { 'Fn::GetAtt': [queue, 'QueueName'] } }],
      Threshold: 0,
    });
  });

  it.each(Object.keys(workflows))('deploys the definition of the workflow %s that the tests execute', (name) => {
    const file = fileURLToPath(new URL(`../revoker/workflows/${name}.asl.json`, import.meta.url));
    const [, machine] =
      ofType('AWS::StepFunctions::StateMachine').find(
        ([, item]) => item.Properties?.['StateMachineName'] === `portcullis-test-${name}`,
      ) ?? [];
    const definition = readFileSync(file, 'utf8');
    expect(machine?.Properties?.['DefinitionString']).toBe(definition);
    const used = [...definition.matchAll(/\$\{(\w+)\}/g)].map((match) => match[1]);
    const given = Object.keys(machine?.Properties?.['DefinitionSubstitutions'] as object);
    expect(new Set(given)).toEqual(new Set(used));
  });

  it('starts the workflows on their schedules, the rotation by hand alone', () => {
    const schedules = Object.fromEntries(
      ofType('AWS::Events::Rule')
        .filter(([, rule]) => rule.Properties?.['ScheduleExpression'] !== undefined)
        .map(([, rule]) => [rule.Properties?.['Name'] ?? 'watch', rule.Properties?.['ScheduleExpression']]),
    );
    expect(schedules).toEqual({
      'portcullis-test-detect': 'rate(5 minutes)',
      'portcullis-test-expire': 'rate(5 minutes)',
      'portcullis-test-reconcile': 'rate(6 hours)',
      watch: 'rate(5 minutes)',
    });
  });

  it.each([
    [60, 'rate(1 minute)'],
    [90, 'rate(1 minute)'],
    [600, 'rate(10 minutes)'],
    [7200, 'rate(2 hours)'],
  ])('starts detection in every window of %i seconds', (windowSeconds, expression) => {
    const detectionConfig = JSON.stringify({ windowSeconds });
    const other = Template.fromStack(new PortcullisStack(new App(), 'Windows', { ...props, detectionConfig }));
    other.hasResourceProperties('AWS::Events::Rule', {
      Name: 'portcullis-test-detect',
      ScheduleExpression: expression,
    });
  });

  it('tells detection the time that its schedule meant', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      Name: 'portcullis-test-detect',
      Targets: [
        Match.objectLike({
          InputTransformer: { InputPathsMap: { time: '$.time' }, InputTemplate: '{"time":<time>}' },
        }),
      ],
    });
  });

  it('wires the real-time log to the stream and the stream to its consumer in windows', () => {
    template.hasResourceProperties('AWS::CloudFront::RealtimeLogConfig', {
      SamplingRate: 100,
      Fields: realTimeFields,
      EndPoints: [{ StreamType: 'Kinesis', KinesisStreamConfig: Match.anyValue() }],
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      TumblingWindowInSeconds: 15,
      BisectBatchOnFunctionError: true,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      DestinationConfig: { OnFailure: Match.anyValue() },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'portcullis-test-stream',
      Environment: { Variables: Match.objectLike({ LOG_FIELDS: realTimeFields.join(',') }) },
    });
  });

  it("keeps the stream's sessions in a table of their own, which nothing else may touch", () => {
    const [[id, table] = ['', undefined]] = ofType('AWS::DynamoDB::GlobalTable').filter(([name]) =>
      name.includes('Aggregates'),
    );
    expect(table).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: {
        TableName: 'portcullis-test-aggregates',
        BillingMode: 'PAY_PER_REQUEST',
        TimeToLiveSpecification: { AttributeName: 'ttl', Enabled: true },
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
      },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'portcullis-test-stream',
      Environment: { Variables: Match.objectLike({ AGGREGATES_TABLE: { Ref: id } }) },
    });
    const users = ofType('AWS::IAM::Policy').filter(([, policy]) => JSON.stringify(policy).includes(`"${id}"`));
    expect(users.map(([name]) => name)).toEqual([expect.stringContaining('StreamingConsumerRole')]);
  });

  it('refuses, at synthesis, settings with which a function would fail', () => {
    const stackOf = (more: Partial<PortcullisStackProps>) => () =>
      new PortcullisStack(new App(), 'Wrong', { ...props, ...more });
    expect(stackOf({ streaming: { fields: ['timestamp', 'c-ip', 'cs-uri-stem'] } })).toThrow(/lack status/);
    expect(stackOf({ detectionConfig: '{"threshold":0}' })).toThrow(/detection.threshold/);
    expect(stackOf({ detectionConfig: '{"windowSeconds":30}' })).toThrow(/once a minute at most/);
    expect(stackOf({ revokerConfig: '{"stores":[{"arn":"x"}]}' })).toThrow(/revoker.stores.0.arn/);
    expect(stackOf({ approvalTime: Duration.hours(25) })).toThrow(/86400 s at most/);
    expect(() => infrastructure({ environments: [{ name: 'test', approvalSeconds: 90_000 }] })).toThrow(/86400/);
  });

  describe('the environment of its functions', () => {
    const variablesOf = (part: string): Record<string, unknown> => {
      const found = ofType('AWS::Lambda::Function').find(
        ([, item]) => item.Properties?.['FunctionName'] === `portcullis-test-${part}`,
      );
      return ((found?.[1].Properties?.['Environment'] as Record<string, unknown> | undefined)?.['Variables'] ??
        {}) as Record<string, unknown>;
    };
    /** Why a variable is not set. */
    const unset: Record<string, Record<string, string>> = {
      workflows: {
        WAF_ENDPOINT: 'loopback only',
        LOG_FIELDS: 'the stream alone reads a log',
        AGGREGATES_TABLE: 'the stream alone keeps sessions',
      },
      stream: {
        WAF_ENDPOINT: 'loopback only',
        EVENT_BUS: 'it tells its log',
        ATHENA_DATABASE: 'it asks no lake',
        ATHENA_TABLE: 'it asks no lake',
        WAF_PREFIX: 'it sees no addresses',
        WAF_ALLOW: 'it sees no addresses',
        LOG_DELAY_SECONDS: 'its logs are now',
        APPROVAL_SECONDS: 'nobody is asked',
      },
    };
    const needed = (kind: string): string[] =>
      environmentVariables.filter((name) => !(name in (unset[kind] as object))).sort();

    it.each(functionNames)('tells %s all that its settings have', (name) => {
      const part = name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
      expect(Object.keys(variablesOf(part)).sort()).toEqual(needed('workflows'));
    });

    it('tells the stream what it reads', () => {
      expect(Object.keys(variablesOf('stream')).sort()).toEqual(needed('stream'));
    });

    it('is one that the functions accept', () => {
      const texts = (part: string): Record<string, string> =>
        Object.fromEntries(
          Object.entries(variablesOf(part)).map(([name, value]) => [
            name,
            typeof value === 'string' ? value : 'portcullis-made',
          ]),
        );
      const { environment, revoker } = settings(texts('block'));
      expect(environment).toMatchObject({
        WAF_PREFIX: 'portcullis-test',
        WAF_ALLOW: '192.0.2.0/24,198.18.0.0/15',
        ATHENA_DATABASE: 'portcullis_test',
        ATHENA_TABLE: 'cloudfront_logs',
        LOG_DELAY_SECONDS: 900,
        APPROVAL_SECONDS: 14_400,
      });
      expect(revoker.stores).toHaveLength(1);
      expect(settings(texts('stream')).environment.LOG_FIELDS).toEqual(realTimeFields);
    });

    // What is read past the settings' schema: every `process.env` in the functions' own sources.
    it.each([
      ['stream', 'revoker/streaming/lambda.ts'],
      ['block', 'revoker/lambdas/handlers/block.ts'],
      ['vending', 'infra/vending/handler.ts'],
      ['watch', 'infra/watch/handler.ts'],
    ])('holds every variable that the sources of %s name', (part, entry) => {
      const root = fileURLToPath(new URL('../', import.meta.url));
      const { metafile } = buildSync({
        absWorkingDir: root,
        entryPoints: [entry],
        bundle: true,
        write: false,
        metafile: true,
        platform: 'node',
        format: 'esm',
        tsconfig: join(root, 'tsconfig.json'),
        external: ['@duckdb/node-api'],
        logLevel: 'error',
      });
      const own = Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules'));
      expect(own).toContain(entry);
      const named = own.flatMap((file) =>
        [...readFileSync(join(root, file), 'utf8').matchAll(/process\.env(?:\.|\[')(\w+)/g)].map((match) => match[1]),
      );
      // Lambda sets its own.
      const given = new Set([...Object.keys(variablesOf(part)), 'AWS_REGION']);
      expect(named.filter((name) => !given.has(name as string))).toEqual([]);
    });
  });

  it('lets what connects to the targets read their secrets, and end sessions of IVS', () => {
    const policyOf = (id: string): string =>
      JSON.stringify(ofType('AWS::IAM::Policy').find(([name]) => name.includes(id))?.[1].Properties);
    for (const id of ['WorkflowsProjectRole', 'StreamingConsumerRole']) {
      expect(policyOf(id), id).toContain('secret:drm/webhook-??????');
      expect(policyOf(id), id).toContain('ivs:StartViewerSessionRevocation');
    }
    expect(policyOf('WorkflowsRecordRole')).not.toContain('drm/webhook');
  });

  it('sets failed windows of the stream aside, in its own queue, after halving the batch', () => {
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      BisectBatchOnFunctionError: true,
      MaximumRetryAttempts: 5,
      MaximumRecordAgeInSeconds: 3600,
      ParallelizationFactor: 1,
      DestinationConfig: { OnFailure: { Destination: Match.anyValue() } },
    });
    template.hasResourceProperties('AWS::SQS::Queue', { QueueName: 'portcullis-test-failed-windows' });
  });

  it('lets in nobody to the vending API whom IAM has not authenticated, and logs no token', () => {
    template.allResourcesProperties('AWS::ApiGatewayV2::Route', { AuthorizationType: 'AWS_IAM' });
    const [, stage] = ofType('AWS::ApiGatewayV2::Stage')[0] ?? [];
    const settings = stage?.Properties?.['AccessLogSettings'] as { Format: string };
    expect(settings.Format).not.toMatch(/integration|body|authorizer/i);
    expect(stage?.Properties?.['DefaultRouteSettings']).toEqual({
      ThrottlingRateLimit: 500,
      ThrottlingBurstLimit: 1000,
    });
  });

  it('raises alarms for an open gate, function errors, throttles, no refusals and failed workflows', () => {
    const names = ofType('AWS::CloudWatch::Alarm').map(([, alarm]) => alarm.Properties?.['AlarmName']);
    expect(names).toEqual(
      expect.arrayContaining([
        'portcullis-test-GateOpen',
        'portcullis-test-viewer-request-errors',
        'portcullis-test-viewer-request-throttles',
        'portcullis-test-viewer-request-refuses-nobody',
        'portcullis-test-detectFailed',
      ]),
    );
    for (const [name, alarm] of ofType('AWS::CloudWatch::Alarm')) {
      expect(alarm.Properties?.['AlarmActions'], name).toHaveLength(1);
    }
    template.resourceCountIs('AWS::CloudWatch::Dashboard', 1);
  });

  it('holds no key, no secret and no address', () => {
    expect(ofType('AWS::SecretsManager::Secret')).toEqual([]);
    expect(ofType('AWS::WAFv2::IPSet')).toEqual([]);
  });

  it('puts out what the command line needs', () => {
    expect(Object.keys(template.findOutputs('*'))).toEqual(
      expect.arrayContaining(['LedgerTable', 'VendingUrl', 'RealtimeLogConfig', 'WorkflowDetect', 'WorkflowRotateKey']),
    );
  });
});

describe('the guard of a distribution that is defined in CDK', () => {
  const guarded = (more: Partial<ConstructorParameters<typeof PortcullisDistributionGuard>[2]> = {}) => {
    const app = new App();
    const site = new Stack(app, 'Site', { env: { region: 'us-east-1' } });
    const guard = new PortcullisDistributionGuard(site, 'Guard', {
      prefix: 'portcullis',
      name: 'test',
      viewerRequest: "import cf from 'cloudfront';\nasync function handler(event) { return event.request; }\n",
      viewerHeaders: ['CloudFront-Viewer-Country', 'CloudFront-Viewer-ASN'],
      originHeaders: ['Origin'],
      ...more,
    });
    const origin = new HttpOrigin('origin.example');
    new Distribution(site, 'Distribution', {
      defaultBehavior: { origin },
      additionalBehaviors: { '/live/*': { origin, ...guard.behaviour } },
    });
    return Template.fromStack(site);
  };

  it('associates the store with the function and the function with the behaviour, and delivers the headers', () => {
    const site = guarded();
    site.hasResourceProperties('AWS::CloudFront::Function', {
      AutoPublish: true,
      FunctionConfig: {
        Runtime: 'cloudfront-js-2.0',
        KeyValueStoreAssociations: [{ KeyValueStoreARN: Match.anyValue() }],
      },
    });
    site.hasResourceProperties('AWS::CloudFront::OriginRequestPolicy', {
      OriginRequestPolicyConfig: {
        HeadersConfig: {
          HeaderBehavior: 'whitelist',
          Headers: ['Origin', 'CloudFront-Viewer-Country', 'CloudFront-Viewer-ASN'],
        },
      },
    });
    site.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        CacheBehaviors: [
          Match.objectLike({
            PathPattern: '/live/*',
            ViewerProtocolPolicy: 'https-only',
            AllowedMethods: ['GET', 'HEAD', 'OPTIONS'],
            FunctionAssociations: [Match.objectLike({ EventType: 'viewer-request' })],
            OriginRequestPolicyId: Match.anyValue(),
          }),
        ],
      },
    });
  });

  it.each([
    ['too large', { viewerRequest: `function handler(e){return e.request}//${'x'.repeat(10_240)}` }, /10,?240/],
    ['not compiled', { viewerRequest: 'export function handler(e) { return e.request; }' }, /not compiled/],
    ['with too many headers', { originHeaders: Array.from({ length: 9 }, (_, i) => `x-${i}`) }, /a policy holds 10/],
  ])('refuses a function %s at synthesis', (_, more, message) => {
    expect(() => guarded(more)).toThrow(message);
  });
});

describe('the app', () => {
  it('is synthesised without a network, with the Lambdas that are tested elsewhere bundled in', () => {
    const outdir = mkdtempSync(join(tmpdir(), 'portcullis-synth-'));
    try {
      const description = {
        environments: [
          {
            name: 'test',
            stores: [store],
            gate: props.gate,
            vending: { issuer: 'cms', hosts: ['cdn.example'], placement: { kind: 'query' } },
            streaming: {},
            detection: { placements: [{ kind: 'query' }] },
            revoker: { lifetimes: { session: '12h' } },
            approvalSeconds: 3600,
            trial: true,
          },
        ],
      };
      const assembly = infrastructure(description, new App({ outdir })).synth();
      const synthesised = assembly.getStackByName('portcullis-test');
      const functions = Object.values(
        (synthesised.template as { Resources: Record<string, Resource> }).Resources,
      ).filter((item) => item.Type === 'AWS::Lambda::Function');
      expect(functions.length).toBe(functionNames.length + 3);
      const assets = readdirSync(outdir, { recursive: true, encoding: 'utf8' }).filter((file) =>
        file.endsWith('index.mjs'),
      );
      expect(assets.length).toBe(functions.length);
      for (const file of assets) expect(readFileSync(join(outdir, file), 'utf8')).toMatch(/handler/);
      const stream = functions.find((item) => item.Properties?.['FunctionName'] === 'portcullis-test-stream');
      expect((stream?.Properties?.['Environment'] as { Variables: object }).Variables).toMatchObject({
        REVOKER_CONFIG: JSON.stringify({ stores: [{ arn: store }], lifetimes: { session: '12h' } }),
        DETECTION_CONFIG: JSON.stringify({ placements: [{ kind: 'query' }] }),
      });
    } finally {
      rmSync(outdir, { recursive: true, force: true });
    }
  });
});
