import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import type { Ledger } from '../../revoker/ledger/ledger.js';
import { createMemoryLedger } from '../../revoker/ledger/memory.js';
import { createKvsClient } from '../../revoker/kvs-client.js';
import { createKeyValueStore, type KeyValueStore } from '../../revoker/store/key-value-store.js';
import { storeTarget, type Target } from '../../revoker/targets.js';
import { createRevoker, type Revoker } from '../../revoker/writer.js';
import { createKvsApi, memoryStorage, type KvsApi, type KvsApiOptions } from '../../scripts/local-edge/kvs-api.js';
import type { EdgeScope } from '../../revoker/scopes.js';
import { lookUp } from './edge-reader.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';

export const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';

/** A store over the loopback API, its ledger, and a writer, with a clock that the test moves. */
export interface StoreFixture {
  readonly api: KvsApi;
  readonly pairs: Map<string, string>;
  readonly ledger: Ledger;
  readonly dynamo: LoopbackDynamoDb | undefined;
  readonly store: KeyValueStore;
  readonly target: Target;
  readonly revoker: Revoker;
  readonly records: Map<string, string>;
  readonly clock: { seconds: number };
  readonly now: () => number;
  /** Another writer with its own client, as on another machine. */
  writer(): { readonly revoker: Revoker; readonly store: KeyValueStore; readonly target: Target };
  /** What the edge's own reader says. */
  read(scope: EdgeScope, id: string, issuedAt?: number): Promise<'' | 'revoked' | 'expired'>;
  close(): Promise<void>;
}

export async function storeFixture(
  options: Partial<KvsApiOptions> & {
    readonly database?: boolean;
    readonly chunkSize?: number;
    readonly name?: string;
  } = {},
): Promise<StoreFixture> {
  const storage = memoryStorage();
  const api = await createKvsApi({ storage, arn, ...options });
  const dynamo = options.database ? await startDynamoDb() : undefined;
  const clock = { seconds: 1_800_000_000 };
  const now = (): number => clock.seconds * 1000;
  if (dynamo) await ensureLedgerTable(dynamo.client, 'ledger');
  const ledger = dynamo ? createDynamoLedger({ client: dynamo.client, table: 'ledger', now }) : createMemoryLedger();
  const records = new Map<string, string>();
  const clients: { destroy(): void }[] = [];

  function writer(): { revoker: Revoker; store: KeyValueStore; target: Target } {
    const client = createKvsClient({ endpoint: api.endpoint });
    clients.push(client);
    const store = createKeyValueStore({ client, arn, name: options.name ?? 'main' });
    const source = (key: string): Promise<string | null> => Promise.resolve(records.get(key) ?? null);
    const target = storeTarget(store, { ledger, now, records: source });
    const chunk = options.chunkSize === undefined ? {} : { chunkSize: options.chunkSize };
    return { store, target, revoker: createRevoker({ ledger, targets: [target], now, ...chunk }) };
  }

  return {
    api,
    pairs: storage.map,
    ledger,
    dynamo,
    ...writer(),
    records,
    clock,
    now,
    writer,
    read: (scope, id, issuedAt) => lookUp(scope, id, issuedAt, (key) => Promise.resolve(storage.map.get(key))),
    async close() {
      for (const client of clients) client.destroy();
      await api.close();
      await dynamo?.close();
    },
  };
}
