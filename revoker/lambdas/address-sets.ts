import type { AddressBlocker, BlockOutcome } from '../../waf-rules/index.js';
import type { NetworkBlocker } from '../targets.js';

/**
 * The WAF's address sets as what the ledger's networks are carried to, by a machine. What the sets refuse (an office, a
 * private or a very wide range) is told and passed over, where a person at the command line would be stopped: one
 * refused range must not keep the others from being blocked, again and again. It stays refused at minting.
 */
export function addressSets(
  blocker: AddressBlocker,
  onRefused: (refused: BlockOutcome['refused']) => void = () => undefined,
): NetworkBlocker {
  const tell = ({ refused }: BlockOutcome): void => {
    if (refused.length > 0) onRefused(refused);
  };
  return {
    async block(networks) {
      const requests = networks.map(({ cidr, until, reason }) => ({
        address: cidr,
        why: reason,
        ...(until === undefined ? {} : { until }),
      }));
      tell(await blocker.add(requests));
    },
    async unblock(cidrs) {
      tell(await blocker.remove(cidrs));
    },
    async blockAsn(asns) {
      tell(await blocker.addNetworks(asns.map((asn) => ({ asn }))));
    },
    async unblockAsn(asns) {
      tell(await blocker.remove(asns.map((asn) => `AS${asn}`)));
    },
  };
}

/** Brings the sets to what the ledger says, and gives the number of updates. Where nothing was ever blocked, no set is made. */
export async function compareSets(blocker: Pick<AddressBlocker, 'status' | 'reconcile'>): Promise<number> {
  const { sets, records } = await blocker.status();
  return sets.length === 0 && records.length === 0 ? 0 : (await blocker.reconcile()).updates;
}
