// One deployment against the double, with everything that a test may want to look at or put in another way.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFrontClient, type DistributionConfig } from '@aws-sdk/client-cloudfront';
import type { Placement } from '@portcullis/tokens';
import { createKvsClient } from '../../revoker/kvs-client.js';
import type { DeployAccess } from '../../scripts/deploy/apply.js';
import { deploymentConfigSchema, type DeploymentConfigInput } from '../../scripts/deploy/config.js';
import { keyValues } from '../../scripts/deploy/key-values.js';
import { folderRecord } from '../../scripts/deploy/record.js';
import { desiredState, type DesiredState, type PolicyFacts } from '../../scripts/deploy/state.js';
import { testContentPath, testSuite } from '../../scripts/deploy/test-cases.js';
import { vmRunner } from '../doubles/cloudfront-engine.js';
import { startCloudFrontDouble, type CloudFrontDouble, type FunctionRunner } from '../doubles/cloudfront.js';
import { fixtureGate, fixtureResponse, type FixtureGate } from './fixture-gate.js';

export interface SettingOptions {
  readonly distribution: DistributionConfig;
  readonly id?: string;
  readonly placement?: Placement;
  readonly headers?: readonly string[];
  readonly runFunction?: FunctionRunner;
  /** Answers on the first read, for tests that count calls. */
  readonly impatient?: boolean;
  /** The test requests by name; absent: all. */
  readonly requests?: readonly string[];
}

export interface Setting {
  readonly double: CloudFrontDouble;
  readonly client: CloudFrontClient;
  readonly access: DeployAccess;
  readonly folder: string;
  readonly id: string;
  /** The desired state of a configuration, with the fixture's code. */
  desired(
    config: Partial<DeploymentConfigInput>,
    gate?: Partial<FixtureGate>,
    facts?: Partial<PolicyFacts>,
  ): Promise<DesiredState>;
  /** Puts a signing key into the store, as `keys add` does. */
  addKey(): Promise<void>;
  close(): Promise<void>;
}

export const queryPlacement: Placement = { kind: 'query', name: 'CAT' };

export async function startSetting(options: SettingOptions): Promise<Setting> {
  const id = options.id ?? 'E1TEST';
  const quick = options.impatient ? 0 : 1;
  const double = await startCloudFrontDouble({
    runFunction: options.runFunction ?? vmRunner(),
    readsUntilDeployed: quick,
    readsUntilReady: quick,
  });
  double.addDistribution(id, options.distribution);
  const client = new CloudFrontClient({
    endpoint: double.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'loopback', secretAccessKey: 'loopback' },
    maxAttempts: 1,
  });
  const data = createKvsClient({ endpoint: double.endpoint, maxAttempts: 1 });
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-deploy-'));
  const placement = options.placement ?? queryPlacement;
  const headers = options.headers ?? ['CloudFront-Viewer-ASN', 'CloudFront-Viewer-Country'];
  const wait = (): Promise<void> => Promise.resolve();
  const access: DeployAccess = {
    cloudFront: client,
    keyValues: (arn) => keyValues(data, arn, wait),
    record: folderRecord(folder),
    wait,
    now: () => new Date(),
    note: () => undefined,
    computeCeiling: 80,
    testPath: testContentPath(['/vod/*']),
    testSuite: async (key, contentPath) => {
      const suite = await testSuite({
        key,
        contentPath,
        placement,
        format: 'jwt',
        issuer: 'cms',
        headers,
        now: () => Date.now(),
      });
      const { requests: wanted } = options;
      return wanted ? { ...suite, requests: suite.requests.filter(({ name }) => wanted.includes(name)) } : suite;
    },
  };
  return {
    double,
    client,
    access,
    folder,
    id,
    desired: (config, gate = {}, facts = {}) =>
      desiredState(
        deploymentConfigSchema.parse({
          name: 'test',
          distribution: id,
          behaviours: [{ pattern: '/vod/*', stage: 'log' }],
          record: { folder },
          ...config,
        }),
        { placements: [placement], headers, cors: true, renewal: false, keyRecords: ['k:main'], ...facts },
        (stage) =>
          Promise.resolve({
            viewerRequest: fixtureGate({ mode: stage, ...gate }),
            viewerResponse: fixtureResponse,
          }),
      ),
    async addKey() {
      const record = JSON.stringify({ alg: 'HS256', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw' });
      for (const store of double.state.stores.values()) {
        await access.keyValues(store.arn).update(() => Promise.resolve({ puts: [['k:main', record]], deletes: [] }));
      }
    },
    async close() {
      client.destroy();
      data.destroy();
      await double.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
