// The start path's Lambda in a plan: shown, and attached behind the functions when the behaviour's gate is.
import { afterEach, expect, it } from 'vitest';
import { observe } from '../../scripts/deploy/observe.js';
import { makePlan } from '../../scripts/deploy/plan.js';
import { renderPlan } from '../../scripts/deploy/render.js';
import { vodDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting | undefined;
afterEach(() => setting?.close());

const version = 'arn:aws:lambda:us-east-1:111122223333:function:portcullis-test-edge-start:7';

async function planned(stage: 'off' | 'enforce'): Promise<string> {
  const distribution = vodDistribution();
  distribution.CacheBehaviors!.Items!.unshift({
    ...structuredClone(distribution.CacheBehaviors!.Items![0]!),
    PathPattern: '/start/*',
  });
  distribution.CacheBehaviors!.Quantity = 2;
  setting = await startSetting({ distribution, placement: { kind: 'path', mode: 'prefix', prefix: '/vod' } });
  const desired = await setting.desired({
    behaviours: [
      { pattern: '/start/*', stage, content: ['/vod/*'], originRequestLambda: version },
      { pattern: '/vod/*', stage: 'enforce' },
    ],
  });
  return renderPlan(makePlan(desired, await observe(setting.access, desired)));
}

it('is attached with the gate of the start path, by its numbered version', async () => {
  const plan = await planned('enforce');
  expect(plan).toMatch(/\/start\/\* +LambdaFunctionAssociations/);
  expect(plan).toContain('+ origin-request: portcullis-test-edge-start:7');
});

it('stays away while the gate is off', async () => {
  expect(await planned('off')).not.toContain('edge-start');
});
