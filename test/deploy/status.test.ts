import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { deploymentStatus, type DeploymentStatus } from '../../scripts/deploy/status.js';
import { startMetricsDouble, type MetricsDouble } from '../doubles/cloudfront-metrics.js';
import { managedPolicyIds, vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting;
let metrics: MetricsDouble;
let cloudWatch: CloudWatchClient;
let logs: CloudWatchLogsClient;

const name = 'portcullis-test-viewer-request';
const enforce = { behaviours: [{ pattern: '/vod/*', stage: 'enforce' as const }] };

beforeEach(async () => {
  setting = await startSetting({ distribution: vodDistribution() });
  metrics = await startMetricsDouble();
  const options = {
    endpoint: metrics.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
    maxAttempts: 1,
  };
  cloudWatch = new CloudWatchClient(options);
  logs = new CloudWatchLogsClient(options);
  await applyDeployment(setting.access, await setting.desired({}));
  await setting.addKey();
  await applyDeployment(setting.access, await setting.desired(enforce));
});

afterEach(async () => {
  cloudWatch.destroy();
  logs.destroy();
  await metrics.close();
  await setting.close();
});

async function status(): Promise<DeploymentStatus> {
  return deploymentStatus({ ...setting.access, cloudWatch, logs }, await setting.desired(enforce));
}

const settings = () => settingsOf(setting.double.state.distributions.get(setting.id)!.config, '/vod/*')!;
const alarms = (found: DeploymentStatus): string[] => found.alarms.map((alarm) => `${alarm.code} ${alarm.subject}`);

describe('the status of a deployment', () => {
  it('shows what runs where, the metrics, and the refusals by reason over all pages of the log', async () => {
    metrics.metrics.set(name, {
      FunctionInvocations: [30_000, 20_000],
      FunctionComputeUtilization: [21, 34, 18],
      FunctionThrottles: [0],
    });
    metrics.logs.set(`/aws/cloudfront/function/${name}`, [
      'abc START DistributionID: E1',
      ...Array.from({ length: 120 }, () => `abc {"id":"x","r":"expired","m":"enforce"}`),
      ...Array.from({ length: 30 }, () => `abc {"id":"x","r":"revoked","m":"enforce"}`),
      'abc {not json',
    ]);
    const found = await status();
    expect(found.behaviours).toEqual([
      { pattern: '/vod/*', wanted: 'enforce', viewerRequest: name, viewerResponse: null },
    ]);
    expect(found.functions[0]).toMatchObject({
      live: true,
      upToDate: true,
      metrics: { invocations: 50_000, executionErrors: 0, throttles: 0, computeUtilization: 34 },
      refusals: [
        { reason: 'expired', mode: 'enforce', count: 120 },
        { reason: 'revoked', mode: 'enforce', count: 30 },
      ],
    });
    expect(found.drift).toEqual([]);
    expect(found.alarms).toEqual([]);
  });

  it('says nothing about refusals where there is no log', async () => {
    expect((await status()).functions[0]?.refusals).toBeUndefined();
  });

  it.each([
    ['a detached function', 'function_detached /vod/*', () => void (settings().FunctionAssociations = { Quantity: 0 })],
    [
      'a detached header policy',
      'headers_detached /vod/*',
      () => void (settings().OriginRequestPolicyId = managedPolicyIds.allViewer),
    ],
    [
      'a lost KeyValueStore association',
      `store_association_lost ${name}`,
      () => {
        const item = setting.double.state.functions.get(name)!;
        item.live = { ...item.live!, config: { Comment: '', Runtime: 'cloudfront-js-2.0' } };
      },
    ],
    [
      'function errors',
      `function_errors ${name}`,
      () => void metrics.metrics.set(name, { FunctionInvocations: [10], FunctionExecutionErrors: [2] }),
    ],
    [
      'throttling',
      `function_throttled ${name}`,
      () => void metrics.metrics.set(name, { FunctionInvocations: [10], FunctionThrottles: [1] }),
    ],
    [
      'refusals fallen to zero',
      `refusals_at_zero ${name}`,
      () => {
        metrics.metrics.set(name, { FunctionInvocations: [50_000] });
        metrics.logs.set(`/aws/cloudfront/function/${name}`, ['abc START']);
      },
    ],
  ])('raises an alarm for %s', async (_, alarm, disarm) => {
    disarm();
    expect(alarms(await status())).toEqual([alarm]);
  });

  it('shows drift as the steps that a plan would take', async () => {
    settings().FunctionAssociations = { Quantity: 0 };
    expect((await status()).drift.map((step) => step.kind)).toEqual(['updateDistribution', 'waitForDistribution']);
  });
});
