import { createRequire } from 'node:module';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createLedgerClient } from '../../revoker/ledger/dynamodb.js';

const dynalite = createRequire(import.meta.url)('dynalite') as (options: Record<string, unknown>) => Server;

export interface LoopbackDynamoDb {
  readonly endpoint: string;
  readonly client: DynamoDBClient;
  close(): Promise<void>;
}

/** DynamoDB on loopback, in memory or in a folder. */
export async function startDynamoDb(options: { readonly path?: string } = {}): Promise<LoopbackDynamoDb> {
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, ...options });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createLedgerClient({ endpoint });
  return {
    endpoint,
    client,
    close() {
      client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
