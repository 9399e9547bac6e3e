import { GetIPSetCommand, ListIPSetsCommand, UpdateIPSetCommand } from '@aws-sdk/client-wafv2';
import { afterEach, describe, expect, test } from 'vitest';
import { createWafApi, type WafApi, type WafApiOptions } from '../../scripts/local-edge/wafv2-api.js';
import { createMemoryRecords, type AddressRecordStore } from '../../waf-rules/address-records.js';
import { createWafClient } from '../../waf-rules/client.js';
import { createAddressBlocker, type AddressBlocker, type AddressBlockerOptions } from '../../waf-rules/ip-sets.js';

const start = 1_800_000_000;
const apis: WafApi[] = [];

afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
});

async function setUp(api: WafApiOptions = {}): Promise<WafApi> {
  const started = await createWafApi(api);
  apis.push(started);
  return started;
}

function blockerOn(
  api: WafApi,
  records: AddressRecordStore,
  options: Partial<AddressBlockerOptions> = {},
): AddressBlocker {
  return createAddressBlocker({
    client: createWafClient({ endpoint: api.endpoint }),
    prefix: 'portcullis',
    records,
    now: () => start,
    patience: { random: Math.random, sleep: (ms) => new Promise((done) => setTimeout(done, ms / 40)), tries: 200 },
    ...options,
  });
}

/** Everything in the sets of a family, each once, as sorted text. */
function addressesIn(api: WafApi, family: 4 | 6 = 4): string[] {
  const found: string[] = [];
  for (let number = 1; ; number++) {
    const set = api.find('ipset', `portcullis-blocked-v${family}-${number}`);
    if (!set) return [...new Set(found)].sort();
    found.push(...(set['Addresses'] as string[]));
  }
}

// Every other address, so that nothing merges and each can be counted.
const spread = (index: number): string => `11.${(index >> 15) & 255}.${(index >> 7) & 255}.${(index & 127) * 2}/32`;

describe('many writers', () => {
  test('20 revokers add 500 addresses each at once: none is lost', async () => {
    const api = await setUp();
    const records = createMemoryRecords();
    const blockers = Array.from({ length: 20 }, () => blockerOn(api, records));
    await blockers[0]?.reconcile();
    await Promise.all(
      blockers.map((blocker, writer) =>
        blocker.add(
          Array.from({ length: 500 }, (_, i) => ({ address: spread(writer * 500 + i), until: start + 100 + writer })),
        ),
      ),
    );
    expect(addressesIn(api)).toEqual(Array.from({ length: 10_000 }, (_, i) => spread(i)).sort());

    // Expiry removes exactly the due ones, even while others write.
    const late = Array.from({ length: 50 }, (_, i) => ({ address: spread(20_000 + i), until: start + 9000 }));
    await Promise.all([
      blockerOn(api, records, { now: () => start + 105 }).expire(start + 105),
      blockerOn(api, records, { now: () => start + 105 }).expire(start + 105),
      blockers[3]?.add(late),
    ]);
    const left = Array.from({ length: 10_000 }, (_, i) => i).filter((i) => Math.floor(i / 500) > 5);
    expect(addressesIn(api)).toEqual([...left.map(spread), ...late.map((each) => each.address)].sort());
    expect((await records.all()).length).toBe(left.length + late.length);
  });

  test('two writers that make the same new set agree on one', async () => {
    const api = await setUp({ propagation: 30 });
    const records = createMemoryRecords();
    await Promise.all(
      Array.from({ length: 6 }, (_, writer) =>
        blockerOn(api, records, { setSize: 10 }).add(
          Array.from({ length: 10 }, (_, i) => ({ address: spread(writer * 10 + i) })),
        ),
      ),
    );
    expect(addressesIn(api)).toEqual(Array.from({ length: 60 }, (_, i) => spread(i)).sort());
    const group = JSON.stringify(api.find('rulegroup', 'portcullis-blocked'));
    for (let number = 1; api.find('ipset', `portcullis-blocked-v4-${number}`); number++) {
      expect(group).toContain(`portcullis-blocked-v4-${number}/`);
    }
  });

  test('a renewal that races an expiry survives', async () => {
    const api = await setUp();
    const records = createMemoryRecords();
    await blockerOn(api, records).add([{ address: '11.0.0.1', until: start + 10 }]);
    // The renewal is recorded after the expiry read the records, and finds the address still in its set.
    let renewed = false;
    const racing: AddressRecordStore = {
      ...records,
      async all() {
        const found = await records.all();
        if (!renewed) {
          renewed = true;
          await records.put([{ key: '11.0.0.1/32', until: start + 500, addedAt: start }]);
        }
        return found;
      },
    };
    await blockerOn(api, racing, { now: () => start + 20 }).expire(start + 20);
    expect(addressesIn(api)).toEqual(['11.0.0.1/32']);
    expect(await records.all()).toEqual([{ key: '11.0.0.1/32', until: start + 500, addedAt: start }]);
  });

  test('calls that arrive while a flush runs share the next one', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.reconcile();
    const before = api.calls.filter((call) => call.operation === 'UpdateIPSet').length;
    await Promise.all(Array.from({ length: 40 }, (_, i) => blocker.add([{ address: spread(i) }])));
    expect(api.calls.filter((call) => call.operation === 'UpdateIPSet').length - before).toBeLessThanOrEqual(2);
    expect(addressesIn(api).length).toBe(40);
  });
});

describe('sharding', () => {
  test('25,000 addresses spread over three sets by themselves, all referred to by the group', async () => {
    const api = await setUp({ propagation: 20 });
    const blocker = blockerOn(api, createMemoryRecords());
    const outcome = await blocker.add(Array.from({ length: 25_000 }, (_, i) => ({ address: spread(i) })));
    expect(outcome.done.length).toBe(25_000);
    expect((await blocker.status()).sets).toEqual([
      { name: 'portcullis-blocked-v4-1', ranges: 10_000 },
      { name: 'portcullis-blocked-v4-2', ranges: 10_000 },
      { name: 'portcullis-blocked-v4-3', ranges: 5000 },
      { name: 'portcullis-blocked-v6-1', ranges: 0 },
    ]);
    const rules = JSON.stringify(api.find('rulegroup', 'portcullis-blocked')?.['Rules']);
    for (const name of ['v4-1', 'v4-2', 'v4-3', 'v6-1']) expect(rules).toContain(`portcullis-blocked-${name}/`);
  });

  test('room that expiry made in the first set is used before another set is made', async () => {
    const api = await setUp();
    const records = createMemoryRecords();
    const blocker = blockerOn(api, records, { setSize: 4 });
    await blocker.add([0, 1, 2, 3].map((i) => ({ address: spread(i), until: start + (i < 2 ? 10 : 100) })));
    await blocker.expire(start + 10);
    await blocker.add([7, 8].map((i) => ({ address: spread(i) })));
    expect(api.find('ipset', 'portcullis-blocked-v4-2')).toBeUndefined();
    expect(addressesIn(api)).toEqual([2, 3, 7, 8].map(spread).sort());
  });

  test('a group that is full is said to be full, and nothing recorded is lost', async () => {
    const api = await setUp();
    const records = createMemoryRecords();
    const small = blockerOn(api, records, { setSize: 2, groupCapacity: 6 });
    await expect(small.add(Array.from({ length: 12 }, (_, i) => ({ address: spread(i) })))).rejects.toMatchObject({
      code: 'set_limit',
    });
    expect((await records.all()).length).toBe(12);
  });

  test('an account without room for another set is reported as such', async () => {
    const api = await setUp({ limits: { ipSets: 2 } });
    const blocker = blockerOn(api, createMemoryRecords(), { setSize: 2 });
    await blocker.reconcile();
    await expect(blocker.add([1, 2, 3].map((i) => ({ address: spread(i) })))).rejects.toMatchObject({
      code: 'limit_exceeded',
    });
  });
});

describe('one writer', () => {
  test('adding twice changes nothing the second time', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.add([{ address: '11.0.0.1' }]);
    expect(await blocker.add([{ address: '11.0.0.1' }])).toMatchObject({ updates: 0, done: ['11.0.0.1/32'] });
  });

  test('neighbours merge, and part again when one of them is due', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.add([
      { address: '11.0.0.0/25', until: start + 10 },
      { address: '11.0.0.128/25', until: start + 20 },
      { address: '2a00:1::/49', until: start + 10 },
      { address: '2a00:1:0:8000::/49', until: start + 20 },
    ]);
    expect(addressesIn(api)).toEqual(['11.0.0.0/24']);
    expect(addressesIn(api, 6)).toEqual(['2a00:1::/48']);
    await blocker.expire(start + 15);
    expect(addressesIn(api)).toEqual(['11.0.0.128/25']);
    expect(addressesIn(api, 6)).toEqual(['2a00:1:0:8000::/49']);
  });

  test('a range within a longer-lasting wider one outlives its own end', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.add([
      { address: '11.0.0.7', until: start + 10 },
      { address: '11.0.0.0/24', until: start + 100 },
    ]);
    await blocker.expire(start + 50);
    expect(addressesIn(api)).toEqual(['11.0.0.0/24']);
  });

  test('of two ends the later holds', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.add([{ address: '11.0.0.7', until: start + 100 }]);
    await blocker.add([{ address: '11.0.0.7', until: start + 10 }]);
    await blocker.expire(start + 50);
    expect(addressesIn(api)).toEqual(['11.0.0.7/32']);
  });

  test('addresses that somebody put in by hand stay through adding, removing and expiry', async () => {
    const api = await setUp();
    const client = createWafClient({ endpoint: api.endpoint });
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.add([{ address: '11.0.0.1', until: start + 10 }]);
    const [summary] = (await client.send(new ListIPSetsCommand({ Scope: 'CLOUDFRONT' }))).IPSets ?? [];
    const found = await client.send(new GetIPSetCommand({ Scope: 'CLOUDFRONT', Name: summary?.Name, Id: summary?.Id }));
    await client.send(
      new UpdateIPSetCommand({
        Scope: 'CLOUDFRONT',
        Name: summary?.Name,
        Id: summary?.Id,
        LockToken: found.LockToken,
        Addresses: ['11.0.0.1/32', '12.0.0.0/24'],
      }),
    );
    await blocker.add([{ address: '11.0.0.9', until: start + 10 }]);
    expect((await blocker.status()).unrecorded).toEqual(['12.0.0.0/24']);
    await blocker.expire(start + 10);
    expect(addressesIn(api)).toEqual(['12.0.0.0/24']);
  });

  test('a writer that died between record and set is caught up by reconcile', async () => {
    const api = await setUp();
    const records = createMemoryRecords([{ key: '11.0.0.1/32', addedAt: start, until: start + 100 }]);
    const blocker = blockerOn(api, records);
    expect((await blocker.status()).missing).toEqual(['11.0.0.1/32']);
    await blocker.reconcile();
    expect(addressesIn(api)).toEqual(['11.0.0.1/32']);
    expect((await blocker.status()).missing).toEqual([]);
  });

  test('remove takes out at once what is asked for', async () => {
    const api = await setUp();
    const records = createMemoryRecords();
    const blocker = blockerOn(api, records);
    await blocker.add([{ address: '11.0.0.1' }, { address: '11.0.0.9' }]);
    expect(await blocker.remove(['11.0.0.1', 'nonsense'])).toMatchObject({
      done: ['11.0.0.1/32'],
      refused: [{ reason: 'invalid' }],
    });
    expect(addressesIn(api)).toEqual(['11.0.0.9/32']);
  });

  test('networks are blocked by number in the same group', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords());
    const outcome = await blocker.addNetworks([{ asn: 14061, until: start + 10 }, { asn: 64500 }, { asn: 0 }]);
    expect(outcome.done).toEqual(['AS14061']);
    expect(outcome.refused.map((each) => each.reason)).toEqual(['special', 'special']);
    expect(JSON.stringify(api.find('rulegroup', 'portcullis-blocked'))).toContain('"AsnList":[14061]');
    await blocker.expire(start + 10);
    expect(JSON.stringify(api.find('rulegroup', 'portcullis-blocked'))).not.toContain('AsnList');
  });

  test.each([
    ['0.0.0.0/0', 'whole_internet'],
    ['::/0', 'whole_internet'],
    ['10.1.2.3', 'private'],
    ['192.168.0.0/16', 'private'],
    ['100.64.1.1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:10.1.2.3', 'private'],
    ['203.0.113.9', 'documentation'],
    ['2001:db8::1', 'documentation'],
    ['127.0.0.1', 'special'],
    ['224.0.0.1', 'special'],
    ['fe80::1', 'special'],
    ['11.9.9.9', 'allow_listed'],
    ['11.9.0.0/16', 'allow_listed'],
    ['12.0.0.0/12', 'too_wide'],
    ['2a00::/24', 'too_wide'],
    ['300.1.1.1', 'invalid'],
    ['11.0.0.1/33', 'invalid'],
  ])('%s is refused as %s', async (address, reason) => {
    const api = await setUp();
    const records = createMemoryRecords();
    const outcome = await blockerOn(api, records, { allow: ['11.9.9.0/24'] }).add([{ address }]);
    expect(outcome.refused).toMatchObject([{ address, reason }]);
    expect(await records.all()).toEqual([]);
    expect(api.calls).toEqual([]);
  });

  test('force overrides every refusal but the whole Internet', async () => {
    const api = await setUp();
    const blocker = blockerOn(api, createMemoryRecords(), { allow: ['11.9.9.0/24'] });
    const outcome = await blocker.add(
      ['203.0.113.9', '10.1.2.3', '11.9.9.9', '12.0.0.0/12', '::/0'].map((address) => ({ address, force: true })),
    );
    expect(outcome.done).toEqual(['203.0.113.9/32', '10.1.2.3/32', '11.9.9.9/32', '12.0.0.0/12']);
    expect(outcome.refused.map((each) => each.reason)).toEqual(['whole_internet']);
  });
});

describe('faults', () => {
  test.each(['ThrottlingException', 'WAFInternalErrorException', 'WAFUnavailableEntityException'])(
    'a passing %s is waited out',
    async (error) => {
      const api = await setUp({ faults: ({ count }) => (count <= 2 ? { error } : undefined) });
      await blockerOn(api, createMemoryRecords()).add([{ address: '11.0.0.1' }]);
      expect(addressesIn(api)).toEqual(['11.0.0.1/32']);
    },
  );

  test('an update whose answer got lost is not done twice', async () => {
    const api = await setUp({
      faults: ({ operation, count }) =>
        operation === 'UpdateIPSet' && count === 1 ? { error: 'reset', after: true } : undefined,
    });
    const blocker = blockerOn(api, createMemoryRecords());
    await blocker.reconcile();
    await blocker.add([{ address: '11.0.0.1' }]);
    expect(addressesIn(api)).toEqual(['11.0.0.1/32']);
  });
});
