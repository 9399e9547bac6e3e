import {
  CloudFrontClient,
  CopyDistributionCommand,
  CreateFunctionCommand,
  CreateKeyValueStoreCommand,
  CreateOriginRequestPolicyCommand,
  DescribeFunctionCommand,
  DescribeKeyValueStoreCommand,
  GetDistributionCommand,
  GetDistributionConfigCommand,
  GetFunctionCommand,
  ListDistributionsCommand,
  ListOriginRequestPoliciesCommand,
  PublishFunctionCommand,
  TestFunctionCommand,
  UpdateDistributionCommand,
  UpdateFunctionCommand,
} from '@aws-sdk/client-cloudfront';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { liveDistribution, vodDistribution } from '../deploy/distributions.js';
import { startCloudFrontDouble, type CloudFrontDouble } from './cloudfront.js';

const runtime = 'cloudfront-js-2.0' as const;
const bytes = (text: string): Uint8Array => Buffer.from(text);

let double: CloudFrontDouble;
let client: CloudFrontClient;

beforeEach(async () => {
  double = await startCloudFrontDouble({
    runFunction: async ({ code, event }) => ({ output: { code, event }, logs: ['ran'], utilization: 12 }),
  });
  client = new CloudFrontClient({
    endpoint: double.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
    maxAttempts: 1,
  });
});

afterEach(async () => {
  client.destroy();
  await double.close();
});

describe('the double of the CloudFront API', () => {
  it('gives a distribution back as it was put, through the SDK and byte for byte', async () => {
    double.addDistribution('E1VOD', vodDistribution());
    const before = double.distributionXml('E1VOD');
    const read = await client.send(new GetDistributionConfigCommand({ Id: 'E1VOD' }));
    expect(read.DistributionConfig).toEqual(vodDistribution());
    await client.send(
      new UpdateDistributionCommand({ Id: 'E1VOD', IfMatch: read.ETag, DistributionConfig: read.DistributionConfig }),
    );
    expect(double.distributionXml('E1VOD')).toBe(before);
  });

  it('lists distributions page by page', async () => {
    double.addDistribution('E1VOD', vodDistribution());
    double.addDistribution('E2LIVE', liveDistribution());
    const first = await client.send(new ListDistributionsCommand({ MaxItems: 1 }));
    expect(first.DistributionList?.Items?.map((item) => item.Id)).toEqual(['E1VOD']);
    const second = await client.send(
      new ListDistributionsCommand({ MaxItems: 1, Marker: first.DistributionList?.NextMarker }),
    );
    expect(second.DistributionList?.Items?.map((item) => item.Id)).toEqual(['E2LIVE']);
  });

  it('refuses a stale or a missing If-Match', async () => {
    double.addDistribution('E1VOD', vodDistribution());
    const update = { Id: 'E1VOD', DistributionConfig: vodDistribution() };
    await expect(client.send(new UpdateDistributionCommand({ ...update, IfMatch: 'EOLD' }))).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    await expect(client.send(new UpdateDistributionCommand(update))).rejects.toMatchObject({
      name: 'InvalidIfMatchVersion',
    });
  });

  it('is InProgress for a while after an update, then Deployed', async () => {
    const { etag } = double.addDistribution('E1VOD', vodDistribution());
    await client.send(
      new UpdateDistributionCommand({ Id: 'E1VOD', IfMatch: etag, DistributionConfig: vodDistribution() }),
    );
    const states: (string | undefined)[] = [];
    for (let i = 0; i < 3; i += 1) {
      states.push((await client.send(new GetDistributionCommand({ Id: 'E1VOD' }))).Distribution?.Status);
    }
    expect(states).toEqual(['InProgress', 'InProgress', 'Deployed']);
  });

  it('takes a function through DEVELOPMENT and TestFunction to LIVE', async () => {
    const created = await client.send(
      new CreateFunctionCommand({
        Name: 'gate',
        FunctionConfig: { Comment: 'c', Runtime: runtime },
        FunctionCode: bytes('one'),
      }),
    );
    const tested = await client.send(
      new TestFunctionCommand({ Name: 'gate', IfMatch: created.ETag, EventObject: bytes('{"request":1}') }),
    );
    expect(tested.TestResult?.ComputeUtilization).toBe('12');
    expect(JSON.parse(tested.TestResult?.FunctionOutput ?? '')).toEqual({ code: 'one', event: { request: 1 } });
    expect(tested.TestResult?.FunctionExecutionLogs).toEqual(['ran']);
    await expect(client.send(new DescribeFunctionCommand({ Name: 'gate', Stage: 'LIVE' }))).rejects.toMatchObject({
      name: 'NoSuchFunctionExists',
    });
    await client.send(new PublishFunctionCommand({ Name: 'gate', IfMatch: created.ETag }));
    const live = await client.send(new GetFunctionCommand({ Name: 'gate', Stage: 'LIVE' }));
    expect(Buffer.from(live.FunctionCode ?? []).toString()).toBe('one');
  });

  it('removes the KeyValueStore association when UpdateFunction does not repeat it, and refuses a store not READY', async () => {
    const store = await client.send(new CreateKeyValueStoreCommand({ Name: 'store' }));
    const associated = {
      Comment: '',
      Runtime: runtime,
      KeyValueStoreAssociations: { Quantity: 1, Items: [{ KeyValueStoreARN: store.KeyValueStore?.ARN }] },
    };
    const create = new CreateFunctionCommand({ Name: 'gate', FunctionConfig: associated, FunctionCode: bytes('x') });
    await expect(client.send(create)).rejects.toMatchObject({ name: 'InvalidArgument' });
    let status: string | undefined;
    while (status !== 'READY') {
      status = (await client.send(new DescribeKeyValueStoreCommand({ Name: 'store' }))).KeyValueStore?.Status;
    }
    const created = await client.send(create);
    await client.send(
      new UpdateFunctionCommand({
        Name: 'gate',
        IfMatch: created.ETag,
        FunctionConfig: { Comment: '', Runtime: runtime },
        FunctionCode: bytes('x'),
      }),
    );
    const after = await client.send(new DescribeFunctionCommand({ Name: 'gate' }));
    expect(after.FunctionSummary?.FunctionConfig?.KeyValueStoreAssociations?.Quantity ?? 0).toBe(0);
  });

  it.each([
    ['a function over 10,240 bytes', 'FunctionSizeLimitExceeded', 413, 'x'.repeat(10_241)],
    ['an empty function', 'InvalidArgument', 400, ''],
  ])('refuses %s', async (_, name, status, code) => {
    await expect(
      client.send(
        new CreateFunctionCommand({
          Name: 'big',
          FunctionConfig: { Comment: '', Runtime: runtime },
          FunctionCode: bytes(code),
        }),
      ),
    ).rejects.toMatchObject({ name, $metadata: { httpStatusCode: status } });
  });

  it('refuses a function that is not published on a behaviour, and 451 among the error responses', async () => {
    const { etag } = double.addDistribution('E1VOD', vodDistribution());
    const config = vodDistribution();
    const created = await client.send(
      new CreateFunctionCommand({
        Name: 'gate',
        FunctionConfig: { Comment: '', Runtime: runtime },
        FunctionCode: bytes('x'),
      }),
    );
    const unpublished = structuredClone(config);
    unpublished.DefaultCacheBehavior!.FunctionAssociations = {
      Quantity: 1,
      Items: [{ EventType: 'viewer-request', FunctionARN: created.FunctionSummary?.FunctionMetadata?.FunctionARN }],
    };
    await expect(
      client.send(new UpdateDistributionCommand({ Id: 'E1VOD', IfMatch: etag, DistributionConfig: unpublished })),
    ).rejects.toMatchObject({ name: 'InvalidFunctionAssociation' });
    config.CustomErrorResponses = { Quantity: 1, Items: [{ ErrorCode: 451 }] };
    await expect(
      client.send(new UpdateDistributionCommand({ Id: 'E1VOD', IfMatch: etag, DistributionConfig: config })),
    ).rejects.toMatchObject({ name: 'InvalidErrorCode' });
  });

  it('knows the managed policies and refuses an eleventh header', async () => {
    const managed = await client.send(new ListOriginRequestPoliciesCommand({ Type: 'managed' }));
    const names = managed.OriginRequestPolicyList?.Items?.map(
      (item) => item.OriginRequestPolicy?.OriginRequestPolicyConfig?.Name,
    );
    expect(names).toContain('Managed-AllViewer');
    await expect(
      client.send(
        new CreateOriginRequestPolicyCommand({
          OriginRequestPolicyConfig: {
            Name: 'many',
            HeadersConfig: {
              HeaderBehavior: 'whitelist',
              Headers: { Quantity: 11, Items: Array.from({ length: 11 }, (_, i) => `x-${i}`) },
            },
            CookiesConfig: { CookieBehavior: 'none' },
            QueryStringsConfig: { QueryStringBehavior: 'none' },
          },
        }),
      ),
    ).rejects.toMatchObject({ name: 'TooManyHeadersInOriginRequestPolicy' });
  });

  it('copies a distribution for continuous deployment', async () => {
    const { etag } = double.addDistribution('E1VOD', vodDistribution());
    const copy = await client.send(
      new CopyDistributionCommand({
        PrimaryDistributionId: 'E1VOD',
        IfMatch: etag,
        CallerReference: 'c',
        Staging: true,
      }),
    );
    expect(copy.Distribution?.DistributionConfig?.Staging).toBe(true);
  });

  it.each([
    ['before', false],
    ['after', true],
  ] as const)('loses the connection %s a call takes effect', async (when, published) => {
    const created = await client.send(
      new CreateFunctionCommand({
        Name: 'gate',
        FunctionConfig: { Comment: '', Runtime: runtime },
        FunctionCode: bytes('x'),
      }),
    );
    double.faults = ({ operation }) => (operation === 'PublishFunction' ? { kind: 'drop', when } : undefined);
    await expect(client.send(new PublishFunctionCommand({ Name: 'gate', IfMatch: created.ETag }))).rejects.toThrow();
    expect(double.state.functions.get('gate')?.live !== undefined).toBe(published);
  });

  it('throttles in a way that the SDK retries', async () => {
    double.addDistribution('E1VOD', vodDistribution());
    let left = 1;
    double.faults = () => (left-- > 0 ? { kind: 'throttle' } : undefined);
    const patient = new CloudFrontClient({
      endpoint: double.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
    });
    await expect(patient.send(new GetDistributionCommand({ Id: 'E1VOD' }))).resolves.toBeDefined();
    patient.destroy();
  });
});
