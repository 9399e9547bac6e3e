import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLedger } from '../../revoker/ledger/memory.js';
import { ledgerAddressRecords, wafNetworkBlocker } from '../../revoker/network-blocker.js';
import { networkTarget } from '../../revoker/targets.js';
import { createRevoker, reconcile, type Revoker } from '../../revoker/writer.js';
import { createWafApi, type WafApi, type WafFault } from '../../scripts/local-edge/wafv2-api.js';
import { createAddressBlocker, createWafClient } from '../../waf-rules/index.js';

const start = 1_800_000_000;
const act = { by: 'ann' };
const undo = { by: 'ann', reason: 'mistake' };
const office = '11.9.9.0/24';

let api: WafApi;
let fault: WafFault | undefined;
let seconds: number;
beforeEach(async () => {
  fault = undefined;
  seconds = start;
  api = await createWafApi({ faults: ({ operation }) => (operation === 'UpdateIPSet' ? fault : undefined) });
});
afterEach(() => api.close());

const now = (): number => seconds * 1000;
const ledgerOf = (): ReturnType<typeof createMemoryLedger> => createMemoryLedger();

/** A writer whose networks go to the WAF API on loopback, as the command line connects it. */
function connect(ledger = ledgerOf()) {
  const blocker = createAddressBlocker({
    client: createWafClient({ endpoint: api.endpoint }),
    prefix: 'portcullis',
    records: ledgerAddressRecords(ledger),
    allow: [office],
    now: () => seconds,
    patience: { random: Math.random, sleep: () => Promise.resolve(), tries: 3 },
  });
  const target = networkTarget(wafNetworkBlocker(blocker));
  const revoker: Revoker = createRevoker({ ledger, targets: [target], now });
  return { ledger, revoker, repair: () => reconcile({ ledger, targets: [target], now }) };
}

const addresses = (family: 4 | 6): unknown => api.find('ipset', `portcullis-blocked-v${family}-1`)?.['Addresses'];
const group = (): string => JSON.stringify(api.find('rulegroup', 'portcullis-blocked')?.['Rules'] ?? []);
const network = (id: string, until?: number) =>
  ({ scope: 'network', id, reason: 're-stream', ...(until === undefined ? {} : { until }) }) as const;

describe('networks and autonomous systems', () => {
  it('reach the address sets and the rule group, and leave them when they are lifted', async () => {
    const { revoker } = connect();
    const [outcome] = await revoker.revoke(
      [network('11.1.2.3'), network('2a02:26f0:1::/48'), { scope: 'asn', id: '70000', reason: 're-stream' }],
      act,
    );
    expect(outcome?.targets).toEqual({ waf: 'done' });
    expect([addresses(4), addresses(6)]).toEqual([['11.1.2.3/32'], ['2a02:26f0:1::/48']]);
    expect(group()).toContain('70000');

    await revoker.lift(
      [
        { scope: 'network', id: '11.1.2.3' },
        { scope: 'asn', id: '70000' },
      ],
      undo,
    );
    expect([addresses(4), addresses(6)]).toEqual([[], ['2a02:26f0:1::/48']]);
    expect(group()).not.toContain('70000');
  });

  it('leave the sets when their time is up, and no others with them', async () => {
    const { revoker } = connect();
    await revoker.revoke([network('11.1.0.0/24', start + 60), network('11.2.0.0/24', start + 600)], act);
    seconds = start + 61;
    expect(await revoker.expire(act)).toEqual({ expired: 1 });
    expect(addresses(4)).toEqual(['11.2.0.0/24']);
  });

  it('that WAF was not there for are carried to it by the reconciler, from any machine', async () => {
    const { ledger, revoker } = connect();
    await revoker.revoke([network('11.1.0.0/24')], act);
    fault = { error: 'WAFInternalErrorException' };
    const [added] = await revoker.revoke([network('11.2.0.0/24')], act);
    await revoker.lift([{ scope: 'network', id: '11.1.0.0/24' }], undo);
    expect(added?.targets['waf']).not.toBe('done');
    expect(addresses(4)).toEqual(['11.1.0.0/24']);
    fault = undefined;
    expect(await connect(ledger).repair()).toMatchObject({ jobs: 2, finished: 2, failed: {} });
    expect(addresses(4)).toEqual(['11.2.0.0/24']);
  });

  it('are taken whole where the answer of an update was lost', async () => {
    const { revoker, repair } = connect();
    await revoker.revoke([network('11.1.0.0/24')], act);
    fault = { error: 'reset', after: true };
    await revoker.revoke([network('11.2.0.0/24')], act);
    fault = undefined;
    await repair();
    expect(addresses(4)).toEqual(['11.1.0.0/24', '11.2.0.0/24']);
  });

  it.each([office, '11.9.9.7', '10.0.0.0/24', '11.0.0.0/8', '192.0.2.1'])(
    'of the kind that WAF must not block (%s) never get there, whoever acts next, and keep nothing else out',
    async (refused) => {
      const { ledger, revoker, repair } = connect();
      const [outcome] = await revoker.revoke([network(refused), network('12.1.0.0/24')], act);
      expect(outcome?.targets['waf']).toContain('WAF did not take');
      expect(addresses(4)).toEqual(['12.1.0.0/24']);
      await revoker.revoke([network('12.2.0.0/24')], act);
      await connect(ledger).revoker.revoke([network('12.3.0.0/24')], act);
      await revoker.lift([{ scope: 'network', id: '12.1.0.0/24' }], undo);
      await repair();
      expect(addresses(4)).toEqual(['12.2.0.0/24', '12.3.0.0/24']);
      await revoker.lift([{ scope: 'network', id: refused }], undo);
      expect(await repair()).toMatchObject({ failed: {} });
      expect(await ledger.jobs()).toEqual([]);
    },
  );

  it('of numbers that nobody has on the Internet never get to the rule group', async () => {
    const { revoker } = connect();
    await revoker.revoke(
      [
        { scope: 'asn', id: '64512', reason: 're-stream' },
        { scope: 'asn', id: '70000', reason: 're-stream' },
      ],
      act,
    );
    await revoker.revoke([network('11.1.0.0/24')], act);
    expect(group()).toContain('70000');
    expect(group()).not.toContain('64512');
  });
});
