import { afterEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { findEngine, nodeVmHost, viewerRequestEvent } from '../../scripts/engine/index.js';
import { functionRunner, njsRunner } from '../doubles/cloudfront-engine.js';
import { vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

const event = JSON.parse(JSON.stringify(viewerRequestEvent({ uri: '/vod/a.m4s?x=1' }))) as unknown;

describe('running an uploaded function for TestFunction', () => {
  it('gives output, log and a measured utilisation', async () => {
    const run = functionRunner(nodeVmHost(), { measuredRuns: 50 });
    const code = 'function handler(event) { console.log("seen"); return event.request; }';
    const result = await run({ code, event, pairs: new Map() });
    expect(result.output).toMatchObject({ request: { uri: '/vod/a.m4s' } });
    expect(result.logs).toEqual(['seen']);
    expect(result.utilization).toBeGreaterThanOrEqual(0);
    expect(result.utilization).toBeLessThanOrEqual(100);
  });

  it.each([
    ['throws', 'function handler() { throw new Error("no"); }', /no/],
    ['does not load', 'function handler( {', /./],
  ])('reports code that %s as an error', async (_, code, message) => {
    const result = await functionRunner(nodeVmHost())({ code, event, pairs: new Map() });
    expect(result.output).toBeUndefined();
    expect(result.error).toMatch(message);
  });
});

const missing = await findEngine('0.8.9').then(
  () => undefined,
  (error: Error) => error.message,
);
if (missing !== undefined && process.env['CI'] !== 'true') console.warn(`ENGINE TESTS SKIPPED: ${missing}`);

describe.skipIf(missing !== undefined && process.env['CI'] !== 'true')('publishing through TestFunction in njs', () => {
  let setting: Setting | undefined;

  afterEach(async () => {
    await setting?.close();
  });

  it('lets a function through that answers as it must', async () => {
    setting = await startSetting({ distribution: vodDistribution(), runFunction: await njsRunner() });
    const result = await applyDeployment(setting.access, await setting.desired({}));
    expect(result.manifest.checks.length).toBeGreaterThan(10);
    expect(result.manifest.checks.every((check) => check.passed)).toBe(true);
  });

  it('stops one that works in Node alone', async () => {
    setting = await startSetting({ distribution: vodDistribution(), runFunction: await njsRunner() });
    const desired = await setting.desired({}, { broken: 'node-only' });
    await expect(applyDeployment(setting.access, desired)).rejects.toMatchObject({ code: 'function_test_failed' });
    expect(setting.double.calls).not.toContain('PublishFunction');
    expect(setting.double.calls).not.toContain('UpdateDistribution');
  });
});
