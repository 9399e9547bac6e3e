import type { DistributionConfig } from '@aws-sdk/client-cloudfront';
import { afterEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { functionOn, nameOfArn, settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { rollBack } from '../../scripts/deploy/rollback.js';
import { missingHeaders } from '../../scripts/deploy/viewer-headers.js';
import type { ApiFault } from '../doubles/cloudfront.js';
import { vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting | undefined;

afterEach(async () => {
  await setting?.close();
  setting = undefined;
});

const log = {};
const enforce = { behaviours: [{ pattern: '/vod/*', stage: 'enforce' as const }] };
const moreHeaders = [
  'CloudFront-Viewer-ASN',
  'CloudFront-Viewer-Country',
  'CloudFront-Viewer-Latitude',
  'CloudFront-Viewer-Longitude',
];

const faults: readonly (readonly [string, ApiFault])[] = [
  ['lost before it took effect', { kind: 'drop', when: 'before' }],
  ['lost after it took effect', { kind: 'drop', when: 'after' }],
];

/** Every state that viewers were served from, after the behaviour was first enforced. */
function assertNeverOpen(current: Setting): void {
  const states = current.double.state.history;
  const first = states.findIndex((state) => enforcingFunction(state.distributions.get(current.id)!) !== undefined);
  if (first < 0) return;
  for (const [i, state] of states.slice(first).entries()) {
    const config = state.distributions.get(current.id)!;
    const name = enforcingFunction(config);
    expect(name, `state ${i}: the behaviour has no enforcing function`).toBeDefined();
    const live = state.live.get(name!);
    expect(live?.stores.length, `state ${i}: the function has lost its store`).toBe(1);
    expect(live?.code, `state ${i}: what is live does not enforce`).toContain("var mode = 'enforce'");
    // Code that reads a header runs only where the header is delivered.
    const settings = settingsOf(config, '/vod/*')!;
    const policy = state.originRequestPolicies.get(settings.OriginRequestPolicyId!);
    const needed = live!.code.includes("var version = '2'") ? moreHeaders : moreHeaders.slice(0, 2);
    expect(missingHeaders(needed, undefined, policy), `state ${i}: a header is not delivered`).toEqual([]);
  }
}

function enforcingFunction(config: DistributionConfig): string | undefined {
  const arn = functionOn(settingsOf(config, '/vod/*')!, 'viewer-request');
  return arn !== undefined && !arn.endsWith('-log') ? nameOfArn(arn) : undefined;
}

/** The start of a scenario, up to where the faults begin. */
async function prepared(stages: number): Promise<Setting> {
  setting = await startSetting({
    distribution: vodDistribution(),
    impatient: true,
    // One call of TestFunction is like another: three of them stand for all.
    requests: ['valid', 'tampered', 'revoked'],
  });
  if (stages > 0) await applyDeployment(setting.access, await setting.desired(log));
  if (stages > 0) await setting.addKey();
  if (stages > 1) await applyDeployment(setting.access, await setting.desired(enforce));
  return setting;
}

/** Deploys once without a fault and once for each call with the fault at that call, completing by a second run. */
async function everyCall(
  stages: number,
  fault: ApiFault,
  act: (current: Setting) => Promise<unknown>,
  check: (current: Setting, whole: Setting | undefined) => void | Promise<void>,
): Promise<number> {
  const whole = await prepared(stages);
  const before = whole.double.calls.length;
  await act(whole);
  const calls = whole.double.calls.length - before;
  await check(whole, undefined);
  await whole.close();
  for (let at = 1; at <= calls; at += 1) {
    const current = await prepared(stages);
    const start = current.double.calls.length;
    current.double.faults = ({ call }) => (call === start + at ? fault : undefined);
    await act(current).catch(() => undefined);
    current.double.faults = undefined;
    await act(current).catch((error: unknown) => {
      throw new Error(`The second run after a fault at call ${at} (${current.double.calls[start + at - 1]}) failed`, {
        cause: error,
      });
    });
    await check(current, whole);
    await current.close();
  }
  setting = undefined;
  return calls;
}

const finalXml = (current: Setting): string =>
  current.double
    .distributionXml(current.id)
    // Ids that the double gives are counted, so they differ between runs.
    .replace(/<OriginRequestPolicyId>[^<]+/, '<OriginRequestPolicyId>')
    .replace(/key-value-store\/[\w-]+/g, 'key-value-store/');

describe.each([...faults, ['answered with an error', { kind: 'error', code: 'InternalError' }] as const])(
  'a first deployment with one call %s',
  (_, fault) => {
    it('from nothing to stage log is completed by a second run', async () => {
      let wanted = '';
      const calls = await everyCall(
        0,
        fault,
        async (current) => applyDeployment(current.access, await current.desired(log)),
        (current, whole) => {
          if (whole === undefined) wanted = finalXml(current);
          expect(finalXml(current)).toBe(wanted);
          const store = [...current.double.state.stores.values()][0]!;
          expect([...current.double.pairs(store.arn).keys()]).toEqual([]);
        },
      );
      expect(calls).toBeGreaterThan(30);
    });
  },
);

describe.each(faults)('a deployment with one call %s', (_, fault) => {
  it('of new code that needs new headers, while enforced, never opens the gate and is completed by a second run', async () => {
    let wanted = '';
    const calls = await everyCall(
      2,
      fault,
      async (current) =>
        applyDeployment(current.access, await current.desired(enforce, { version: '2' }, { headers: moreHeaders })),
      (current, whole) => {
        if (whole === undefined) wanted = finalXml(current);
        expect(finalXml(current)).toBe(wanted);
        assertNeverOpen(current);
      },
    );
    expect(calls).toBeGreaterThan(20);
  });

  it('from log to enforce and back by a rollback restores the configuration exactly', async () => {
    let before = '';
    await everyCall(
      1,
      fault,
      async (current) => {
        before = current.double.state.history.length < 6 ? current.double.distributionXml(current.id) : before;
        await applyDeployment(current.access, await current.desired(enforce));
      },
      async (current) => {
        const result = await rollBack(current.access, 'test');
        expect(result.exact).toBe(true);
        expect(
          functionOn(
            settingsOf(current.double.state.distributions.get(current.id)!.config, '/vod/*')!,
            'viewer-request',
          ),
        ).toMatch(/-log$/);
      },
    );
    expect(before).not.toBe('');
  });
});

describe.each(faults)('a rollback with one call %s', (_, fault) => {
  it('is completed by a second run', async () => {
    const original = await (async () => {
      const current = await prepared(0);
      const xml = current.double.distributionXml(current.id);
      await current.close();
      return xml;
    })();
    await everyCall(
      1,
      fault,
      async (current) => {
        await rollBack(current.access, 'test').catch((error: { code?: string }) => {
          // The first run was through already, but for the answer to its last call.
          if (error.code !== 'nothing_to_roll_back') throw error as unknown;
        });
      },
      (current) => {
        expect(current.double.distributionXml(current.id)).toBe(original);
        expect(current.double.state.functions.size).toBe(0);
      },
    );
  });
});
