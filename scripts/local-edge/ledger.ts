import type { Server } from 'node:http';
import dynalite from 'dynalite';
import { listen, type Listening } from './listen.js';

/** DynamoDB on loopback, for the revocation ledger. A folder keeps the tables; without one they are in memory. */
export async function startLedger(folder: string | undefined): Promise<Listening> {
  const server: Server = dynalite({
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
    ...(folder ? { path: folder } : {}),
  });
  return listen(server, 0);
}
