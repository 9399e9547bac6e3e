import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { smokeTest } from '../../scripts/deploy/smoke.js';
import { vmRunner } from '../doubles/cloudfront-engine.js';
import { startEdgeDouble, type EdgeDouble } from '../doubles/cloudfront-edge.js';
import { managedPolicyIds, vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting;
let edge: EdgeDouble;

beforeEach(async () => {
  setting = await startSetting({ distribution: vodDistribution() });
  edge = await startEdgeDouble({ double: setting.double, distribution: setting.id, runFunction: vmRunner() });
  await applyDeployment(setting.access, await setting.desired({}));
  await setting.addKey();
});

afterEach(async () => {
  await edge.close();
  await setting.close();
});

const storeArn = (): string => setting.double.state.stores.get('portcullis-test')!.arn;
const input = (stage: 'log' | 'enforce') => ({ url: edge.url, path: '/vod/film/a.m3u8', stage, storeArn: storeArn() });
const enforce = { behaviours: [{ pattern: '/vod/*', stage: 'enforce' as const }] };

describe('the smoke test of the live URL', () => {
  it('finds that everything passes in stage log, and every verdict right in stage enforce', async () => {
    const logged = await smokeTest(setting.access, input('log'));
    expect(new Set(logged.map((check) => check.outcome))).toEqual(new Set(['200']));
    await applyDeployment(setting.access, await setting.desired(enforce));
    const enforced = await smokeTest(setting.access, input('enforce'));
    expect(Object.fromEntries(enforced.map((check) => [check.name, check.outcome]))).toMatchObject({
      'live: valid': '200',
      'live: tampered': '401 bad_signature',
      'live: expired': '401 expired',
      'live: missing': '401 missing_token',
      'live: revoked': '403 revoked',
      'live: forged country': '401 country_mismatch',
      'live: forged network': '401 network_mismatch',
      'live: valid, forged headers': '200',
    });
    expect([...setting.double.pairs(storeArn()).keys()]).toEqual(['k:main']);
  });

  it('finds a detached header policy by the forged headers that are then believed', async () => {
    await applyDeployment(setting.access, await setting.desired(enforce));
    settingsOf(setting.double.state.distributions.get(setting.id)!.config, '/vod/*')!.OriginRequestPolicyId =
      managedPolicyIds.corsS3;
    await expect(smokeTest(setting.access, input('enforce'))).rejects.toMatchObject({
      code: 'smoke_test_failed',
      details: expect.arrayContaining(['live: forged country: 200', 'live: forged network: 200']) as unknown,
    });
  });

  it('finds a behaviour that lost its function', async () => {
    await applyDeployment(setting.access, await setting.desired(enforce));
    settingsOf(setting.double.state.distributions.get(setting.id)!.config, '/vod/*')!.FunctionAssociations = {
      Quantity: 0,
    };
    await expect(smokeTest(setting.access, input('enforce'))).rejects.toMatchObject({
      details: expect.arrayContaining(['live: missing: 200', 'live: tampered: 200']) as unknown,
    });
  });
});
