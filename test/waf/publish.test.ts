import { GetWebACLCommand, ListWebACLsCommand, UpdateWebACLCommand, CreateWebACLCommand } from '@aws-sdk/client-wafv2';
import { afterEach, describe, expect, test } from 'vitest';
import { createWafApi, type WafApi, type WafApiOptions } from '../../scripts/local-edge/wafv2-api.js';
import {
  applyRuleSet,
  checkCapacity,
  decideStages,
  makePlan,
  rollBack,
  type PublishOptions,
} from '../../waf-rules/apply.js';
import { createWafClient } from '../../waf-rules/client.js';
import type { WafConfigInput } from '../../waf-rules/config.js';
import { describePlan } from '../../waf-rules/plan.js';
import { buildRuleSet, ruleSetCapacity } from '../../waf-rules/presets.js';
import { createMemoryRollout } from '../../waf-rules/rollout-record.js';
import { createAddressBlocker } from '../../waf-rules/ip-sets.js';
import { createMemoryRecords } from '../../waf-rules/address-records.js';

const apis: WafApi[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
});

const config: WafConfigInput = {
  preset: 'live-event',
  protectedPaths: ['/live/'],
  mint: { path: '/token' },
  exceptions: { monitoring: ['11.1.1.0/24'] },
  logging: { destination: 'arn:aws:logs:us-east-1:123456789012:log-group:aws-waf-logs-portcullis' },
};

async function setUp(api: WafApiOptions = {}): Promise<{ api: WafApi; options: PublishOptions }> {
  const started = await createWafApi(api);
  apis.push(started);
  return {
    api: started,
    options: {
      client: createWafClient({ endpoint: started.endpoint }),
      records: createMemoryRollout(),
      by: 'tester',
      now: () => new Date('2026-11-20T12:00:00Z'),
      patience: { random: () => 0.5, sleep: (ms) => new Promise((done) => setTimeout(done, ms / 50)), tries: 8 },
    },
  };
}

interface Rule {
  Name: string;
  Priority: number;
  Action?: Record<string, unknown>;
  Statement: Record<string, unknown>;
}
const rulesOf = (api: WafApi): Rule[] => (api.find('webacl', 'portcullis')?.['Rules'] ?? []) as Rule[];
const ruleOf = (api: WafApi, id: string): Rule | undefined =>
  rulesOf(api).find((rule) => rule.Name === `portcullis-${id}`);
const writes = (api: WafApi): string[] =>
  api.calls.filter((call) => /^(Create|Update|Delete|Put)/.test(call.operation)).map((call) => call.operation);

/** A rule that somebody else keeps in the same ACL. */
const foreignRule = (Name: string, Priority: number) => ({
  Name,
  Priority,
  Statement: { GeoMatchStatement: { CountryCodes: ['KP' as const] } },
  Action: { Block: {} },
  VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: Name, SampledRequestsEnabled: false },
});

/** Changes the ACL behind our back. */
async function edit(api: WafApi, change: (rules: Rule[]) => Rule[]): Promise<void> {
  const client = createWafClient({ endpoint: api.endpoint });
  const [summary] = (await client.send(new ListWebACLsCommand({ Scope: 'CLOUDFRONT' }))).WebACLs ?? [];
  const { WebACL, LockToken } = await client.send(
    new GetWebACLCommand({ Scope: 'CLOUDFRONT', Name: summary?.Name, Id: summary?.Id }),
  );
  await client.send(
    new UpdateWebACLCommand({
      Scope: 'CLOUDFRONT',
      Name: WebACL?.Name,
      Id: WebACL?.Id,
      LockToken,
      DefaultAction: WebACL?.DefaultAction,
      Description: WebACL?.Description,
      VisibilityConfig: WebACL?.VisibilityConfig,
      CustomResponseBodies: WebACL?.CustomResponseBodies,
      DataProtectionConfig: WebACL?.DataProtectionConfig,
      Rules: change((WebACL?.Rules ?? []) as unknown as Rule[]) as never,
    }),
  );
}

describe('apply', () => {
  test('creates sets, groups and the ACL, then logging; everything starts in count', async () => {
    // A clock that counts looks at it: fresh sets cannot be referred to for the first few.
    let looks = 0;
    const { api, options } = await setUp({ now: () => ++looks, propagation: 6 });
    const result = await applyRuleSet(buildRuleSet(config), options);
    expect(result.version).toBe(1);
    // In this order; a call refused because something fresh cannot be referred to yet is repeated.
    expect([...new Set(writes(api))]).toEqual([
      'CreateIPSet',
      'CreateRuleGroup',
      'CreateWebACL',
      'PutLoggingConfiguration',
    ]);
    // Nothing blocks: the rules count, the groups' rules are overridden.
    expect(rulesOf(api).every((rule) => !rule.Action || 'Count' in rule.Action)).toBe(true);
    const hygiene = JSON.stringify(ruleOf(api, 'hygiene'));
    expect(hygiene).toContain('"RuleActionOverrides":[{"Name":"portcullis-method","ActionToUse":{"Count":{}}}');
    // The set made last was not readable at once.
    expect(api.calls.some((call) => call.error === 'WAFUnavailableEntityException')).toBe(true);
    expect(api.find('webacl', 'portcullis')?.['Capacity']).toBe(ruleSetCapacity(buildRuleSet(config)).wcu);
  });

  test('a second apply changes nothing at all', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    const before = writes(api).length;
    const again = await applyRuleSet(buildRuleSet(config), options);
    expect(again).toMatchObject({ steps: [], version: undefined, plan: { changes: [], drift: [] } });
    expect(writes(api).length).toBe(before);
  });

  test('planning never writes', async () => {
    const { api, options } = await setUp();
    await makePlan(buildRuleSet(config), options);
    expect(writes(api)).toEqual([]);
  });

  test('our capacity is the one AWS counts', async () => {
    for (const preset of ['live-event', 'vod', 'strict', 'observe'] as const) {
      const { options } = await setUp();
      const set = buildRuleSet({ ...config, preset, asns: { block: [14061] }, countries: { block: ['KP'] } });
      await expect(checkCapacity(set, options)).rejects.toMatchObject({ code: 'unresolved_reference' });
      await applyRuleSet(set, options);
      expect(await checkCapacity(set, options)).toBe(ruleSetCapacity(set).wcu);
    }
  });

  test('a decision is recorded and the next apply enforces it, in one update', async () => {
    const { api, options } = await setUp();
    const set = buildRuleSet(config);
    await applyRuleSet(set, options);
    await decideStages(
      set,
      ['token-missing', 'method', 'anonymous-networks'],
      'enforce',
      'a week without hits',
      options,
    );
    const { plan } = await makePlan(set, options);
    expect(describePlan(plan)).toContain('Count → Block 401');
    const before = writes(api).length;
    await applyRuleSet(set, options);
    expect(writes(api).slice(before)).toEqual(['UpdateWebACL']);
    expect(ruleOf(api, 'token-missing')?.Action).toHaveProperty('Block');
    expect(ruleOf(api, 'token-malformed')?.Action).toHaveProperty('Count');
    expect(JSON.stringify(ruleOf(api, 'hygiene'))).not.toContain('portcullis-method"');
    expect(JSON.stringify(ruleOf(api, 'anonymous-networks'))).not.toContain('Count');
    expect((await options.records.read('portcullis')).decisions).toMatchObject([
      { rule: 'token-missing', stage: 'enforce', by: 'tester', why: 'a week without hits' },
      { rule: 'method' },
      { rule: 'anonymous-networks' },
    ]);
  });

  test('decisions about rules that do not exist, or in the preset observe, are refused', async () => {
    const { options } = await setUp();
    const refusal = { code: 'invalid_configuration' };
    await expect(decideStages(buildRuleSet(config), ['nonsense'], 'enforce', '', options)).rejects.toMatchObject(
      refusal,
    );
    const observe = buildRuleSet({ ...config, preset: 'observe' });
    await expect(decideStages(observe, 'all', 'enforce', '', options)).rejects.toMatchObject(refusal);
  });

  test('a changed configuration makes a new group beside the old one and switches in one update', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    const old = buildRuleSet(config).groups[1]?.name ?? '';
    const changed = buildRuleSet({ ...config, hygiene: { pathBytes: 3000 } });
    const before = writes(api).length;
    await applyRuleSet(changed, options);
    expect(writes(api).slice(before)).toEqual(['CreateRuleGroup', 'UpdateWebACL']);
    // The old group stays for one way back, and goes with the next change.
    expect(api.find('rulegroup', old)).toBeDefined();
    await applyRuleSet(buildRuleSet({ ...config, hygiene: { pathBytes: 3500 } }), options);
    expect(api.find('rulegroup', old)).toBeUndefined();
    expect(api.find('rulegroup', changed.groups[1]?.name ?? '')).toBeDefined();
  });

  test('what revocation put into the sets is never touched', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    const blocker = createAddressBlocker({
      client: options.client,
      prefix: 'portcullis',
      records: createMemoryRecords(),
    });
    await blocker.add([{ address: '11.0.0.1' }]);
    await blocker.addNetworks([{ asn: 14061 }]);
    const group = api.find('rulegroup', 'portcullis-blocked');
    await applyRuleSet(buildRuleSet({ ...config, countries: { block: ['KP'] } }), options);
    await rollBack(buildRuleSet(config), options);
    expect(api.find('ipset', 'portcullis-blocked-v4-1')?.['Addresses']).toEqual(['11.0.0.1/32']);
    expect(api.find('rulegroup', 'portcullis-blocked')).toEqual(group);
  });
});

describe('what others keep in the ACL', () => {
  test('rules, bodies and settings of a foreign ACL stay byte for byte, and our rules step around their priorities', async () => {
    const { api, options } = await setUp();
    await options.client.send(
      new CreateWebACLCommand({
        Scope: 'CLOUDFRONT',
        Name: 'portcullis',
        Description: 'Made by the web team',
        DefaultAction: { Block: {} },
        CustomResponseBodies: { theirs: { ContentType: 'TEXT_PLAIN', Content: 'no' } },
        TokenDomains: ['example.com'],
        Rules: [foreignRule('their-first', 100), foreignRule('their-second', 115)] as never,
        VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: 'theirs', SampledRequestsEnabled: false },
      }),
    );
    const theirs = rulesOf(api);
    const { plan } = await makePlan(buildRuleSet(config), options);
    expect(plan.foreign).toEqual(['their-first', 'their-second']);
    await applyRuleSet(buildRuleSet(config), options);
    const acl = api.find('webacl', 'portcullis');
    expect(rulesOf(api).filter((rule) => rule.Name.startsWith('their'))).toEqual(theirs);
    expect(acl).toMatchObject({
      Description: 'Made by the web team',
      DefaultAction: { Block: {} },
      TokenDomains: ['example.com'],
      VisibilityConfig: { MetricName: 'theirs' },
    });
    expect(acl?.['CustomResponseBodies']).toHaveProperty('theirs');
    expect(ruleOf(api, 'client-waf-headers')?.Priority).toBe(101);
    expect((await applyRuleSet(buildRuleSet(config), options)).steps).toEqual([]);
    // Going back leaves theirs alone as well.
    await rollBack(buildRuleSet(config), options);
    expect(rulesOf(api)).toEqual(theirs);
  });

  test('a foreign rule added between reading and writing survives the lock conflict', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    let once = true;
    const racing: PublishOptions = {
      ...options,
      client: {
        async send(command: never) {
          if (once && (command as object) instanceof UpdateWebACLCommand) {
            once = false;
            await edit(api, (rules) => [...rules, foreignRule('late', 3) as unknown as Rule]);
          }
          return options.client.send(command);
        },
      } as never,
    };
    await applyRuleSet(buildRuleSet({ ...config, countries: { block: ['KP'] } }), racing);
    expect(api.calls.some((call) => call.error === 'WAFOptimisticLockException')).toBe(true);
    expect(rulesOf(api).map((rule) => rule.Name)).toContain('late');
    expect(ruleOf(api, 'country-blocked')).toBeDefined();
  });

  test('our own rules changed meanwhile stop the apply', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    let once = true;
    const racing: PublishOptions = {
      ...options,
      client: {
        async send(command: never) {
          if (once && (command as object) instanceof UpdateWebACLCommand) {
            once = false;
            await edit(api, (rules) => rules.filter((rule) => rule.Name !== 'portcullis-token-missing'));
          }
          return options.client.send(command);
        },
      } as never,
    };
    const changed = buildRuleSet({ ...config, countries: { block: ['KP'] } });
    await expect(applyRuleSet(changed, racing)).rejects.toMatchObject({ code: 'plan_stale' });
    expect(ruleOf(api, 'country-blocked')).toBeUndefined();
    expect((await options.records.read('portcullis')).versions.map((each) => each.status)).toEqual([
      'applied',
      'failed',
    ]);
  });

  test('drift is shown, and the next apply puts it right', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    await edit(api, (rules) => rules.filter((rule) => rule.Name !== 'portcullis-token-missing'));
    const { plan } = await makePlan(buildRuleSet(config), options);
    expect(plan.drift).toEqual(['portcullis-token-missing']);
    expect(describePlan(plan)).toContain('! portcullis-token-missing was changed by somebody');
    await applyRuleSet(buildRuleSet(config), options);
    expect(ruleOf(api, 'token-missing')).toBeDefined();
    expect((await makePlan(buildRuleSet(config), options)).plan.drift).toEqual([]);
  });

  test('protection and logging of others is added to, never taken away', async () => {
    const { api, options } = await setUp();
    await options.client.send(
      new CreateWebACLCommand({
        Scope: 'CLOUDFRONT',
        Name: 'portcullis',
        DefaultAction: { Allow: {} },
        VisibilityConfig: { CloudWatchMetricsEnabled: false, MetricName: 'theirs', SampledRequestsEnabled: false },
        DataProtectionConfig: {
          DataProtections: [
            { Field: { FieldType: 'SINGLE_HEADER', FieldKeys: ['x-secret'] }, Action: 'SUBSTITUTION' },
            { Field: { FieldType: 'SINGLE_COOKIE', FieldKeys: ['CAT'] }, Action: 'HASH' },
          ],
        },
      }),
    );
    await applyRuleSet(buildRuleSet(config), options);
    const protections = JSON.stringify(api.find('webacl', 'portcullis')?.['DataProtectionConfig']);
    expect(protections).toContain('x-secret');
    expect(protections).toContain('cta-common-access-token');
    // Their choice to hash the cookie stands.
    expect(protections.match(/"CAT"/g)?.length).toBe(2);
  });
});

describe('failures', () => {
  const failing = ['CreateIPSet', 'CreateRuleGroup', 'CreateWebACL', 'PutLoggingConfiguration'];
  test.each(failing)(
    'a quota met at %s: old state in force, a plain message, and apply goes on afterwards',
    async (at) => {
      let broken = true;
      const { api, options } = await setUp({
        faults: ({ operation }) => (broken && operation === at ? { error: 'WAFLimitsExceededException' } : undefined),
      });
      await expect(applyRuleSet(buildRuleSet(config), options)).rejects.toMatchObject({ code: 'limit_exceeded' });
      if (at !== 'PutLoggingConfiguration') expect(api.find('webacl', 'portcullis')).toBeUndefined();
      broken = false;
      await applyRuleSet(buildRuleSet(config), options);
      expect(rulesOf(api).length).toBe(buildRuleSet(config).rules.length);
      expect((await makePlan(buildRuleSet(config), options)).plan.changes).toEqual([]);
    },
  );

  test('a failure half way through an update leaves the old rules in force', async () => {
    let broken = false;
    const { api, options } = await setUp({
      faults: ({ operation }) =>
        broken && operation === 'UpdateWebACL' ? { error: 'WAFInvalidParameterException' } : undefined,
    });
    await applyRuleSet(buildRuleSet(config), options);
    const before = api.find('webacl', 'portcullis');
    broken = true;
    const changed = buildRuleSet({ ...config, countries: { block: ['KP'] }, hygiene: { pathBytes: 3000 } });
    await expect(applyRuleSet(changed, options)).rejects.toMatchObject({ code: 'apply_failed' });
    expect(api.find('webacl', 'portcullis')).toEqual(before);
    expect((await options.records.read('portcullis')).versions[1]?.status).toBe('failed');
    broken = false;
    await applyRuleSet(changed, options);
    expect(ruleOf(api, 'country-blocked')).toBeDefined();
  });

  test('an update whose answer got lost counts as done', async () => {
    let broken = false;
    const { api, options } = await setUp({
      faults: ({ operation }) => {
        if (!broken || operation !== 'UpdateWebACL') return undefined;
        broken = false;
        return { error: 'reset', after: true };
      },
    });
    await applyRuleSet(buildRuleSet(config), options);
    broken = true;
    const result = await applyRuleSet(buildRuleSet({ ...config, countries: { block: ['KP'] } }), options);
    expect(result.version).toBe(2);
    expect(ruleOf(api, 'country-blocked')).toBeDefined();
    expect((await options.records.read('portcullis')).versions[1]?.status).toBe('applied');
  });

  test('throttling and faults on AWS’s side are waited out', async () => {
    const { api, options } = await setUp({
      faults: ({ count }) =>
        count === 1
          ? { error: 'ThrottlingException' }
          : count === 3
            ? { error: 'WAFInternalErrorException' }
            : undefined,
    });
    await applyRuleSet(buildRuleSet(config), options);
    expect(rulesOf(api).length).toBe(buildRuleSet(config).rules.length);
  });

  test('two operators who apply at once end with one complete rule set', async () => {
    const { api, options } = await setUp();
    const other = { ...options, records: createMemoryRollout() };
    await Promise.allSettled([applyRuleSet(buildRuleSet(config), options), applyRuleSet(buildRuleSet(config), other)]);
    expect(rulesOf(api).length).toBe(buildRuleSet(config).rules.length);
    expect((await makePlan(buildRuleSet(config), options)).plan.changes).toEqual([]);
  });
});

describe('rollback', () => {
  test('brings back the rules before the last version', async () => {
    const { api, options } = await setUp();
    const first = buildRuleSet(config);
    await applyRuleSet(first, options);
    const before = rulesOf(api);
    const changed = buildRuleSet({ ...config, countries: { block: ['KP'] }, hygiene: { pathBytes: 3000 } });
    await decideStages(changed, 'all', 'enforce', 'kick-off', options);
    await applyRuleSet(changed, options);
    expect(ruleOf(api, 'token-missing')?.Action).toHaveProperty('Block');
    const { version } = await rollBack(changed, options);
    expect(version).toBe(2);
    expect(rulesOf(api)).toEqual(before);
    expect((await makePlan(first, options)).plan.drift).toEqual([]);
  });

  test('of the first version leaves an ACL without our rules', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    await rollBack(buildRuleSet(config), options);
    expect(rulesOf(api)).toEqual([]);
    await expect(rollBack(buildRuleSet(config), options)).rejects.toMatchObject({ code: 'nothing_to_roll_back' });
  });

  test('refuses when somebody changed our rules since, unless forced', async () => {
    const { api, options } = await setUp();
    await applyRuleSet(buildRuleSet(config), options);
    await edit(api, (rules) => rules.slice(1));
    await expect(rollBack(buildRuleSet(config), options)).rejects.toMatchObject({ code: 'plan_stale' });
    await rollBack(buildRuleSet(config), { ...options, force: true });
    expect(rulesOf(api)).toEqual([]);
  });

  test('a version that is not recorded is named', async () => {
    const { options } = await setUp();
    await expect(rollBack(buildRuleSet(config), { ...options, to: 7 })).rejects.toMatchObject({
      code: 'nothing_to_roll_back',
    });
  });
});
