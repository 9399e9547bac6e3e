// Looks at a distribution every few minutes, and at once when somebody changes it: is the gate still closed? Every
// alarm is counted in CloudWatch and told to people once in a while, not every time.
import {
  CloudFrontClient,
  DescribeFunctionCommand,
  DescribeKeyValueStoreCommand,
  GetCachePolicyCommand,
  GetDistributionConfigCommand,
  GetOriginRequestPolicyCommand,
  type CachePolicyConfig,
  type DefaultCacheBehavior,
  type OriginRequestPolicyConfig,
} from '@aws-sdk/client-cloudfront';
import { configurationAlarms, type GateAlarm, type GateExpectation, type GateFacts } from './gate.js';

/** Reads what the alarms are decided from. */
export async function gateFacts(client: CloudFrontClient, expected: GateExpectation): Promise<GateFacts> {
  const { DistributionConfig: config } = await client.send(
    new GetDistributionConfigCommand({ Id: expected.distribution }),
  );
  if (!config) throw new Error(`${expected.distribution} has no configuration`);
  const guarded = [config.DefaultCacheBehavior as DefaultCacheBehavior, ...(config.CacheBehaviors?.Items ?? [])];
  const cachePolicies = new Map<string, CachePolicyConfig>();
  const originRequestPolicies = new Map<string, OriginRequestPolicyConfig>();
  for (const { CachePolicyId: cache, OriginRequestPolicyId: origin } of guarded) {
    if (cache && !cachePolicies.has(cache)) {
      const answer = await client.send(new GetCachePolicyCommand({ Id: cache }));
      if (answer.CachePolicy?.CachePolicyConfig) cachePolicies.set(cache, answer.CachePolicy.CachePolicyConfig);
    }
    if (origin && !originRequestPolicies.has(origin)) {
      const answer = await client.send(new GetOriginRequestPolicyCommand({ Id: origin }));
      const found = answer.OriginRequestPolicy?.OriginRequestPolicyConfig;
      if (found) originRequestPolicies.set(origin, found);
    }
  }
  const liveStores = new Map<string, readonly string[]>();
  for (const name of new Set(expected.behaviours.flatMap((behaviour) => behaviour.functions))) {
    const stores = await absentOr(
      client.send(new DescribeFunctionCommand({ Name: name, Stage: 'LIVE' })),
      'NoSuchFunctionExists',
    );
    const items = stores?.FunctionSummary?.FunctionConfig?.KeyValueStoreAssociations?.Items;
    if (stores)
      liveStores.set(
        name,
        (items ?? []).map((item) => item.KeyValueStoreARN ?? ''),
      );
  }
  const store = await absentOr(
    client.send(new DescribeKeyValueStoreCommand({ Name: expected.store })),
    'EntityNotFound',
  );
  return { config, storeArn: store?.KeyValueStore?.ARN, liveStores, cachePolicies, originRequestPolicies };
}

async function absentOr<Value>(read: Promise<Value>, absent: string): Promise<Value | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof Error && error.name === absent) return undefined;
    throw error;
  }
}

export interface WatchOptions {
  readonly client: CloudFrontClient;
  readonly expected: GateExpectation;
  readonly write: (line: string) => void;
  readonly now: () => number;
}

/** One look; returns the alarms, having written them as metrics and log lines. */
export async function watch(options: WatchOptions): Promise<readonly GateAlarm[]> {
  const alarms = configurationAlarms(options.expected, await gateFacts(options.client, options.expected));
  for (const alarm of alarms) options.write(JSON.stringify({ level: 'error', ...alarm }));
  options.write(
    JSON.stringify({
      _aws: {
        Timestamp: options.now(),
        CloudWatchMetrics: [
          {
            Namespace: 'Portcullis',
            Dimensions: [['distribution']],
            Metrics: [{ Name: 'gateAlarms', Unit: 'Count' }],
          },
        ],
      },
      distribution: options.expected.distribution,
      gateAlarms: alarms.length,
    }),
  );
  return alarms;
}

let client: CloudFrontClient | undefined;

export const handler = async (): Promise<{ alarms: readonly GateAlarm[] }> => {
  client ??= new CloudFrontClient({ region: 'us-east-1' });
  const expected = JSON.parse(process.env['GATE'] ?? '{}') as GateExpectation;
  return {
    alarms: await watch({
      client,
      expected,
      write: (line) => void process.stdout.write(`${line}\n`),
      now: Date.now,
    }),
  };
};
