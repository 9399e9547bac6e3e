import type { RevokerConnection } from '../connect.js';
import { RevokerError } from '../errors.js';
import type { RevocationRequest } from '../ledger/entry.js';

/**
 * Carries the stream's requests to the ledger and every target. A store that could not be written is an error, so that the
 * records come again and with them the same requests; other targets are left to the reconciliation. `reason` stands in the
 * place of the verdict's own words; the evidence keeps them.
 */
export function streamActs(
  { revoker, targets }: Pick<RevokerConnection, 'revoker' | 'targets'>,
  { by, reason }: { readonly by: string; readonly reason?: string },
): (requests: readonly RevocationRequest[]) => Promise<void> {
  const stores = new Set(targets.filter(({ kind }) => kind === 'store').map(({ name }) => name));
  return async (requests) => {
    const reasoned = reason === undefined ? requests : requests.map((request) => ({ ...request, reason }));
    for (const outcome of await revoker.revoke(reasoned, { by })) {
      for (const [target, state] of Object.entries(outcome.targets)) {
        if (state !== 'done' && stores.has(target)) throw new RevokerError('store_unavailable', `${target}: ${state}`);
      }
    }
  };
}
