import type { AddressBlocker, AddressRecordStore, BlockOutcome } from '../waf-rules/index.js';
import { RevokerError } from './errors.js';
import type { LedgerEntry } from './ledger/entry.js';
import type { Ledger } from './ledger/ledger.js';
import type { NetworkBlocker } from './targets.js';

/** Seconds for which an ended entry is looked at: longer than anybody leaves the sets unwritten. */
const dueSeconds = 30 * 86_400;

/**
 * The ledger as the record of what WAF's address sets must hold. Entries are written before any target is tried, so
 * there is nothing to write here: active entries are blocked, those that ended within a month are due.
 */
export function ledgerAddressRecords(ledger: Ledger, now: () => number = Date.now): AddressRecordStore {
  return {
    unscreened: true,
    put: () => Promise.resolve(),
    end: () => Promise.resolve(),
    forgetDue: () => Promise.resolve(),
    async all() {
      const records: Awaited<ReturnType<AddressRecordStore['all']>>[number][] = [];
      const endedSince = Math.floor(now() / 1000) - dueSeconds;
      for await (const entry of ledger.scan({ scopes: ['network', 'asn'], endedSince })) {
        const until = entry.state === 'active' ? entry.until : entry.at;
        records.push({
          key: keyOf(entry),
          addedAt: entry.history[0]?.at ?? entry.at,
          why: entry.reason,
          ...(until === undefined ? {} : { until }),
        });
      }
      return records;
    },
  };
}

function keyOf(entry: LedgerEntry): string {
  return entry.scope === 'asn' ? `AS${entry.id}` : entry.id;
}

/**
 * Carries revocations of networks and autonomous systems to WAF's address sets.
 *
 * @param onRefused Told what the sets refuse (private, documentation, allow-listed, very wide ranges), which is then passed
 *   over and stays refused at minting. Without it a refused range is an error once the others are blocked: a person who
 *   named it must hear that it is not.
 */
export function wafNetworkBlocker(
  blocker: AddressBlocker,
  onRefused?: (refused: BlockOutcome['refused']) => void,
): NetworkBlocker {
  const check = ({ refused }: BlockOutcome): void => {
    const [first] = refused;
    if (!first) return;
    if (onRefused) {
      onRefused(refused);
      return;
    }
    throw new RevokerError('target_failed', `WAF did not take ${first.address}: ${first.message}`, {
      hint: 'It is refused at minting. Lift it, or block a narrower range.',
    });
  };
  return {
    async block(networks) {
      check(
        await blocker.add(
          networks.map(({ cidr, until, reason }) => ({
            address: cidr,
            why: reason,
            ...(until === undefined ? {} : { until }),
          })),
        ),
      );
    },
    async unblock(cidrs) {
      await blocker.remove(cidrs);
    },
    async blockAsn(asns) {
      check(await blocker.addNetworks(asns.map((asn) => ({ asn }))));
    },
    async unblockAsn(asns) {
      await blocker.remove(asns.map((asn) => `AS${asn}`));
    },
  };
}
