import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetDistributionConfigCommand, UpdateDistributionCommand } from '@aws-sdk/client-cloudfront';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { functionOn, settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { observe } from '../../scripts/deploy/observe.js';
import { makePlan } from '../../scripts/deploy/plan.js';
import { rollBack } from '../../scripts/deploy/rollback.js';
import { originSecret, vodDistribution, liveDistribution } from './distributions.js';
import { startSetting, type Setting } from './setting.js';

let setting: Setting;

beforeEach(async () => {
  setting = await startSetting({ distribution: vodDistribution() });
});

afterEach(() => setting.close());

const enforce = { behaviours: [{ pattern: '/vod/*', stage: 'enforce' as const }] };

async function toEnforce(): Promise<void> {
  await applyDeployment(setting.access, await setting.desired({}));
  await setting.addKey();
  await applyDeployment(setting.access, await setting.desired(enforce));
}

const config = () => setting.double.state.distributions.get(setting.id)!.config;

function everythingUnder(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n');
}

describe('applying a deployment', () => {
  it('attaches the function, adds the header policy and associates the store, and then has nothing left to do', async () => {
    const desired = await setting.desired({});
    const result = await applyDeployment(setting.access, desired);
    expect(result.steps.map((step) => step.kind)).toEqual([
      'createStore',
      'waitForStore',
      'createPolicy',
      'publishFunction',
      'updateDistribution',
      'waitForDistribution',
    ]);
    const behaviour = settingsOf(config(), '/vod/*')!;
    expect(functionOn(behaviour, 'viewer-request')).toMatch(/function\/portcullis-test-viewer-request-log$/);
    const policy = setting.double.state.originRequestPolicies.get(behaviour.OriginRequestPolicyId!)!;
    expect(policy.config.HeadersConfig?.Headers?.Items).toEqual([
      'origin',
      'access-control-request-headers',
      'access-control-request-method',
      'CloudFront-Viewer-ASN',
      'CloudFront-Viewer-Country',
    ]);
    const live = setting.double.state.functions.get('portcullis-test-viewer-request-log')!.live!;
    const store = setting.double.state.stores.get('portcullis-test')!;
    expect(live.config.KeyValueStoreAssociations?.Items).toEqual([{ KeyValueStoreARN: store.arn }]);

    const again = await applyDeployment(setting.access, desired);
    expect(again.steps).toEqual([]);
    expect((await setting.access.record.list('test')).length).toBe(1);
  });

  it('leaves no test key and no test revocation in the store', async () => {
    await applyDeployment(setting.access, await setting.desired({}));
    const store = setting.double.state.stores.get('portcullis-test')!;
    expect([...setting.double.pairs(store.arn).keys()]).toEqual([]);
  });

  it('changes nothing of the configuration but the members it says', async () => {
    const before = structuredClone(config());
    const result = await applyDeployment(setting.access, await setting.desired({}));
    const after = structuredClone(config());
    expect(result.manifest.changes.map((change) => [change.pattern, change.field])).toEqual([
      ['/vod/*', 'OriginRequestPolicyId'],
      ['/vod/*', 'FunctionAssociations'],
    ]);
    for (const tree of [before, after]) {
      const behaviour = settingsOf(tree, '/vod/*') as unknown as Record<string, unknown>;
      delete behaviour['OriginRequestPolicyId'];
      delete behaviour['FunctionAssociations'];
    }
    expect(after).toEqual(before);
  });

  it('goes from log to enforce in one change of the distribution', async () => {
    await applyDeployment(setting.access, await setting.desired({}));
    await setting.addKey();
    const states = setting.double.state.history.length;
    await applyDeployment(setting.access, await setting.desired(enforce));
    const updates = setting.double.state.history
      .slice(states)
      .filter((entry) => entry.operation === 'UpdateDistribution');
    expect(updates.length).toBe(1);
    expect(functionOn(settingsOf(config(), '/vod/*')!, 'viewer-request')).toMatch(/viewer-request$/);
  });

  it('refuses to go from off to enforce, and from enforce back, unless that is said', async () => {
    const straight = applyDeployment(setting.access, await setting.desired(enforce));
    await expect(straight).rejects.toMatchObject({
      code: 'plan_refused',
      details: [expect.stringContaining('no_key_in_store'), expect.stringContaining('stage_skipped')],
    });
    await toEnforce();
    const back = await setting.desired({});
    await expect(applyDeployment(setting.access, back)).rejects.toMatchObject({
      details: [expect.stringContaining('disarm')],
    });
    await applyDeployment(setting.access, back, { disarm: true });
    expect(functionOn(settingsOf(config(), '/vod/*')!, 'viewer-request')).toMatch(/-log$/);
  });

  it('takes its functions off at stage off and leaves the others', async () => {
    await applyDeployment(setting.access, await setting.desired({ viewerResponse: true }));
    expect(settingsOf(config(), '/vod/*')!.FunctionAssociations?.Quantity).toBe(2);
    await applyDeployment(setting.access, await setting.desired({ behaviours: [{ pattern: '/vod/*', stage: 'off' }] }));
    expect(settingsOf(config(), '/vod/*')!.FunctionAssociations).toEqual({ Quantity: 0 });
  });

  it.each(['lets-all-pass', 'throws', 'syntax'] as const)(
    'does not publish a function that misbehaves (%s), and leaves what viewers see as it was',
    async (broken) => {
      await toEnforce();
      const before = setting.double.distributionXml(setting.id);
      const states = setting.double.state.history.length;
      await expect(
        applyDeployment(setting.access, await setting.desired(enforce, { broken, version: '2' })),
      ).rejects.toMatchObject({ code: 'function_test_failed' });
      expect(setting.double.distributionXml(setting.id)).toBe(before);
      expect(setting.double.state.history.length).toBe(states);
    },
  );

  it('does not publish over the compute ceiling', async () => {
    await expect(
      applyDeployment({ ...setting.access, computeCeiling: 5 }, await setting.desired({})),
    ).rejects.toMatchObject({ code: 'compute_ceiling' });
    expect(setting.double.state.functions.get('portcullis-test-viewer-request-log')?.live).toBeUndefined();
  });

  it('puts a lost KeyValueStore association back', async () => {
    await toEnforce();
    const item = setting.double.state.functions.get('portcullis-test-viewer-request')!;
    item.live = { ...item.live!, config: { Comment: '', Runtime: 'cloudfront-js-2.0' } };
    item.development = { ...item.live, etag: 'E1' };
    const result = await applyDeployment(setting.access, await setting.desired(enforce));
    expect(result.steps).toMatchObject([{ kind: 'publishFunction', reason: 'association' }]);
    expect(item.live.config.KeyValueStoreAssociations?.Quantity).toBe(1);
  });

  it('delivers a header before it publishes, to a function that runs, code that reads it', async () => {
    await toEnforce();
    const more = await setting.desired(
      enforce,
      { version: '2' },
      {
        headers: [
          'CloudFront-Viewer-ASN',
          'CloudFront-Viewer-Country',
          'CloudFront-Viewer-Latitude',
          'CloudFront-Viewer-Longitude',
        ],
      },
    );
    const plan = makePlan(more, await observe(setting.access, more));
    expect(plan.steps.map((step) => (step.kind === 'updateDistribution' ? step.phase : step.kind))).toEqual([
      'createPolicy',
      'headers',
      'waitForDistribution',
      'publishFunction',
    ]);
    await applyDeployment(setting.access, more);
  });

  it('reads again and goes on when somebody else changes the distribution meanwhile', async () => {
    let interfered = false;
    setting.double.faults = ({ operation }) => {
      if (operation !== 'UpdateDistribution' || interfered) return undefined;
      interfered = true;
      const item = setting.double.state.distributions.get(setting.id)!;
      item.config = { ...item.config, Comment: 'changed by a colleague' };
      item.etag = 'EOTHER';
      return undefined;
    };
    await applyDeployment(setting.access, await setting.desired({}));
    expect(config().Comment).toBe('changed by a colleague');
    expect(functionOn(settingsOf(config(), '/vod/*')!, 'viewer-request')).toBeDefined();
  });

  it('stops at a foreign function and names it', async () => {
    const foreign = setting.double.addFunction('redirects', 'function handler(e) { return e.request; }');
    const item = setting.double.state.distributions.get(setting.id)!;
    settingsOf(item.config, '/vod/*')!.FunctionAssociations = {
      Quantity: 1,
      Items: [{ EventType: 'viewer-request', FunctionARN: foreign.arn }],
    };
    await expect(applyDeployment(setting.access, await setting.desired({}))).rejects.toMatchObject({
      code: 'plan_refused',
      details: [expect.stringMatching(/foreign_function: .*redirects/)],
    });
    expect(setting.double.calls).not.toContain('CreateFunction');
  });

  it('refuses to write back a configuration with settings that the SDK does not know', async () => {
    setting.double.foreignXml.set(setting.id, '<QuantumShield><Enabled>true</Enabled></QuantumShield>');
    await expect(applyDeployment(setting.access, await setting.desired({}))).rejects.toMatchObject({
      details: [expect.stringContaining('QuantumShield')],
    });
    expect(setting.double.calls).not.toContain('UpdateDistribution');
  });
});

describe('a mode in the store', () => {
  it.each([
    ['that stands', 4_000_000_000, ['m:']],
    ['whose time is up', 1_700_000_000, []],
  ])('%s is in the plan of an enforced behaviour, or not', async (_, until, keys) => {
    await toEnforce();
    const store = setting.double.state.stores.get('portcullis-test')!;
    await setting.access
      .keyValues(store.arn)
      .update(() => Promise.resolve({ puts: [['m:', JSON.stringify({ mode: 'log', until })]], deletes: [] }));
    const desired = await setting.desired(enforce);
    const { findings } = makePlan(desired, await observe(setting.access, desired));
    const found = findings.filter((finding) => finding.code === 'mode_override_in_store');
    expect(found.map((finding) => /record (\S+) in/.exec(finding.message)?.[1])).toEqual(keys);
  });
});

describe('rolling a deployment back', () => {
  it('restores the configuration byte for byte and removes what the deployment made', async () => {
    const before = setting.double.distributionXml(setting.id);
    const policies = setting.double.state.originRequestPolicies.size;
    await applyDeployment(setting.access, await setting.desired({ viewerResponse: true }));
    const result = await rollBack(setting.access, 'test');
    expect(result.exact).toBe(true);
    expect(setting.double.distributionXml(setting.id)).toBe(before);
    expect(setting.double.state.functions.size).toBe(0);
    expect(setting.double.state.originRequestPolicies.size).toBe(policies);
    expect(setting.double.state.stores.size).toBe(1);
    await expect(rollBack(setting.access, 'test')).rejects.toMatchObject({ code: 'nothing_to_roll_back' });
  });

  it('publishes the code that was live before', async () => {
    await toEnforce();
    const item = setting.double.state.functions.get('portcullis-test-viewer-request')!;
    const before = Buffer.from(item.live!.code).toString();
    await applyDeployment(setting.access, await setting.desired(enforce, { version: '2' }));
    expect(Buffer.from(item.live!.code).toString()).not.toBe(before);
    const result = await rollBack(setting.access, 'test');
    expect(result.exact).toBe(true);
    expect(Buffer.from(item.live!.code).toString()).toBe(before);
    expect(item.live!.config.KeyValueStoreAssociations?.Quantity).toBe(1);
  });

  it('undoes step by step, newest first, to the very beginning', async () => {
    const before = setting.double.distributionXml(setting.id);
    await toEnforce();
    await rollBack(setting.access, 'test');
    expect(functionOn(settingsOf(config(), '/vod/*')!, 'viewer-request')).toMatch(/-log$/);
    await rollBack(setting.access, 'test', { deleteStore: true });
    expect(setting.double.distributionXml(setting.id)).toBe(before);
    expect(setting.double.state.stores.size).toBe(0);
  });

  it('leaves what others changed elsewhere, and stops where they changed the same', async () => {
    await applyDeployment(setting.access, await setting.desired({}));
    const item = setting.double.state.distributions.get(setting.id)!;
    item.config = { ...item.config, Comment: 'renamed' };
    settingsOf(item.config, '/vod/*')!.OriginRequestPolicyId = '216adef6-5c7f-47e4-b989-5492eafa07d3';
    await expect(rollBack(setting.access, 'test')).rejects.toMatchObject({
      code: 'drifted',
      details: ['/vod/*: OriginRequestPolicyId'],
    });
    const forced = await rollBack(setting.access, 'test', { force: true });
    expect(forced.exact).toBe(false);
    expect(config().Comment).toBe('renamed');
    expect(settingsOf(config(), '/vod/*')!.OriginRequestPolicyId).toBe('88a5eaf4-2fd4-4709-b370-b4c650ea3fcf');
  });

  it('changes nothing when the code that was live before is nowhere to be had', async () => {
    await toEnforce();
    await applyDeployment(setting.access, await setting.desired(enforce, { version: '2' }));
    const forgetful = { ...setting.access.record, getCode: () => Promise.resolve(undefined) };
    await expect(rollBack({ ...setting.access, record: forgetful }, 'test')).rejects.toMatchObject({
      code: 'previous_code_missing',
    });
  });
});

describe('the deployment record', () => {
  it('holds no secret of the distribution, of the store, or of the test', async () => {
    await setting.close();
    setting = await startSetting({ distribution: liveDistribution() });
    const notes: string[] = [];
    const access = {
      ...setting.access,
      note: (text: string) => void notes.push(text),
      testPath: '/live/ch1/portcullis-test.m4s',
    };
    const secrets: string[] = [];
    const listening = {
      ...access,
      testSuite: async (key: { kid: string; secret: Uint8Array<ArrayBuffer> }, path: string) => {
        const suite = await access.testSuite(key, path);
        secrets.push(Buffer.from(key.secret).toString('base64url'), Buffer.from(key.secret).toString('hex'));
        for (const request of suite.requests)
          if (request.query !== '') secrets.push(request.query.slice('CAT='.length));
        return suite;
      },
    };
    const desired = await setting.desired({ behaviours: [{ pattern: '/live/*', stage: 'log' }] });
    const result = await applyDeployment(listening, desired);
    const written =
      everythingUnder(setting.folder) +
      notes.join('\n') +
      JSON.stringify(result.manifest) +
      JSON.stringify(result.plan);
    expect(secrets.length).toBeGreaterThan(5);
    for (const secret of [originSecret, ...secrets]) expect(written).not.toContain(secret);
  });
});

describe('a change that is made by hand while nothing is deployed', () => {
  it('shows in the next plan', async () => {
    await toEnforce();
    const read = await setting.client.send(new GetDistributionConfigCommand({ Id: setting.id }));
    settingsOf(read.DistributionConfig!, '/vod/*')!.FunctionAssociations = { Quantity: 0 };
    await setting.client.send(
      new UpdateDistributionCommand({
        Id: setting.id,
        IfMatch: read.ETag,
        DistributionConfig: read.DistributionConfig,
      }),
    );
    const desired = await setting.desired({
      ...enforce,
      accept: [{ finding: 'stage_skipped', because: 'it ran before' }],
    });
    const plan = makePlan(desired, await observe(setting.access, desired));
    expect(plan.steps.map((step) => step.kind)).toEqual(['updateDistribution', 'waitForDistribution']);
    await applyDeployment(setting.access, desired);
    expect(functionOn(settingsOf(config(), '/vod/*')!, 'viewer-request')).toMatch(/viewer-request$/);
  });
});
