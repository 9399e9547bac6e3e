import { RevokerError } from '../errors.js';
import type { Ledger, RecordKind } from './ledger.js';

/**
 * Writes what `change` makes of the standing record, again where another writer was first. `change` returns undefined
 * to leave it.
 */
export async function putRecordOver<Value>(
  ledger: Ledger,
  kind: RecordKind,
  id: string,
  change: (standing: Value | undefined) => Value | undefined,
): Promise<Value | undefined> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const standing = await ledger.record<Value>(kind, id);
    const value = change(standing?.value);
    if (value === undefined) return standing?.value;
    if (await ledger.putRecord({ kind, id, version: (standing?.version ?? 0) + 1, value })) return value;
  }
  throw new RevokerError('ledger_conflict', `The ${kind} ${id} is being changed by others all the time.`);
}
