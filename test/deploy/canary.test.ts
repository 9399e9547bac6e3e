import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { functionOn, settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { endCanary, startCanary } from '../../scripts/deploy/canary.js';
import { smokeTest } from '../../scripts/deploy/smoke.js';
import { vmRunner } from '../doubles/cloudfront-engine.js';
import { startEdgeDouble, type EdgeDouble } from '../doubles/cloudfront-edge.js';
import { vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting;
let edge: EdgeDouble;

beforeEach(async () => {
  setting = await startSetting({ distribution: vodDistribution() });
});

afterEach(async () => {
  await edge.close();
  await setting.close();
});

const header = { header: 'aws-cf-cd-portcullis', value: 'try' };
const xml = (): string => setting.double.distributionXml(setting.id);
const startEdge = async (viewerResponseSees: 'original' | 'modified'): Promise<void> => {
  edge = await startEdgeDouble({
    double: setting.double,
    distribution: setting.id,
    runFunction: vmRunner(),
    viewerResponseSees,
  });
};

describe('a canary on a staging distribution', () => {
  it('enforces for requests with the header alone, and leaves nothing behind', async () => {
    await startEdge('original');
    await applyDeployment(setting.access, await setting.desired({}));
    await setting.addKey();
    const before = xml();
    const functions = [...setting.double.state.functions.keys()];
    const desired = await setting.desired({ behaviours: [{ pattern: '/vod/*', stage: 'enforce' }], canary: header });
    const canary = await startCanary(setting.access, desired);
    expect(canary.header).toEqual([header.header, header.value]);

    const path = '/vod/film/a.m3u8';
    const plain = await fetch(edge.url + path);
    const chosen = await fetch(edge.url + path, { headers: { [header.header]: header.value } });
    expect([plain.status, chosen.status]).toEqual([200, 401]);
    const storeArn = setting.double.state.stores.get('portcullis-test')!.arn;
    const checks = await smokeTest(setting.access, {
      url: edge.url,
      path,
      stage: 'enforce',
      storeArn,
      headers: { [header.header]: header.value },
    });
    expect(checks.every((check) => check.passed)).toBe(true);
    const primary = setting.double.state.distributions.get(setting.id)!.config;
    expect(functionOn(settingsOf(primary, '/vod/*')!, 'viewer-request')).toMatch(/-log$/);

    await endCanary(setting.access, desired);
    expect(xml()).toBe(before);
    expect([...setting.double.state.distributions.keys()]).toEqual([setting.id]);
    expect([...setting.double.state.functions.keys()]).toEqual(functions);
    expect(setting.double.state.continuousDeploymentPolicies.size).toBe(0);
  });

  it.each(['original', 'modified'] as const)('finds out that viewer-response is given the %s request', async (sees) => {
    await startEdge(sees);
    const desired = await setting.desired({ canary: header });
    const canary = await startCanary(setting.access, desired, { probe: { url: edge.url, path: '/vod/film/a.m3u8' } });
    expect(canary.viewerResponseSees).toBe(sees);
    expect((await setting.access.record.list('test-canary')).pop()).toMatchObject({ viewerResponseSees: sees });
    expect([...setting.double.state.functions.keys()].filter((name) => name.includes('probe'))).toEqual([]);
    await endCanary(setting.access, desired);
  });

  it('is refused on HTTP/3 before anything is made', async () => {
    await startEdge('original');
    setting.double.state.distributions.get(setting.id)!.config.HttpVersion = 'http2and3';
    await expect(
      startCanary(setting.access, await setting.desired({ canary: { weight: 0.05 } })),
    ).rejects.toMatchObject({
      code: 'plan_refused',
    });
    expect(setting.double.calls).not.toContain('CopyDistribution');
  });
});
