import type { HmacKey, KeyProvider } from '@portcullis/tokens';
import {
  connectRevoker,
  createRefusalCheck,
  revokerConfigSchema,
  type RefusalCheck,
  type RevokerConnection,
} from '../../revoker/index.js';

export interface DemoKeysOptions {
  readonly kvs: { readonly endpoint: string; readonly arn: string };
  readonly dynamodb: { readonly endpoint: string; readonly tablePrefix: string };
  /** Where the command line's `--local` keeps secrets as well. */
  readonly secretsFolder: string;
  readonly now: () => number;
}

export interface DemoKeys {
  /** The key to sign with now: `keys rotate --local` changes it under the running vending service. */
  readonly provider: KeyProvider<'HS256'>;
  /** Asks the ledger before anything is minted. */
  readonly refusals: RefusalCheck;
  /** Sees to it that the store has an HMAC key for Lambda@Edge, and that its secret is there. */
  ensureKey(kid: string): Promise<void>;
  /** The text of a secret of the local edge. */
  readSecret(name: string): Promise<string>;
  close(): void;
}

/** How long a key that was read from its secret is signed with before it is looked up again. */
const keptMilliseconds = 1000;

/**
 * Connects to the local store and ledger with the same code as the command line. At the first start it makes the demo's
 * key at random; later it sees to it that the store has the key that signs.
 */
export async function openDemoKeys(options: DemoKeysOptions): Promise<DemoKeys> {
  const { kvs, dynamodb, secretsFolder, now } = options;
  const connection = await connectRevoker({
    config: revokerConfigSchema.parse({
      stores: [{ name: 'local', arn: kvs.arn, endpoint: kvs.endpoint }],
      ledger: { table: `${dynamodb.tablePrefix}ledger`, endpoint: dynamodb.endpoint },
    }),
    createTable: true,
    secretsFolder,
    now,
  });
  try {
    await ensureSigningKey(connection);
  } catch (error) {
    connection.close();
    throw error;
  }
  let known: HmacKey | undefined;
  let knownUntil = 0;
  return {
    provider: {
      async signingKey() {
        if (known && now() < knownUntil) return known;
        const key = await connection.keyring.signingKey();
        if (!key) throw new Error('The demo has no key to sign with: its secret is gone.');
        // The same object as long as it is the same key: what is prepared from it is kept by identity.
        if (known?.kid !== key.kid) known = { alg: 'HS256', kid: key.kid, secret: Buffer.from(key.k, 'base64url') };
        knownUntil = now() + keptMilliseconds;
        return known as HmacKey;
      },
    },
    ensureKey: (kid) => ensureKey(connection, kid),
    async readSecret(name) {
      const text = await connection.secrets.get(name);
      if (text === undefined) throw new Error(`There is no secret ${name}.`);
      return text;
    },
    refusals: createRefusalCheck(connection.ledger, { now }),
    close: () => connection.close(),
  };
}

async function ensureKey({ keyring, revoker }: RevokerConnection, kid: string): Promise<void> {
  const about = { by: 'local edge', reason: 'sessions of Lambda@Edge' };
  const listed = (await keyring.list()).find((key) => key.kid === kid);
  if (!listed || listed.state === 'unmanaged') await keyring.add({ kid }, about);
  else if (listed.stores.length === 0)
    await revoker.project([`k:${kid}`], { by: about.by, write: () => Promise.resolve() });
}

async function ensureSigningKey({ keyring, revoker }: RevokerConnection): Promise<void> {
  const about = { by: 'local edge', reason: 'key of the demo' };
  const key = await keyring.signingKey();
  const listed = key && (await keyring.list()).find(({ kid }) => kid === key.kid);
  if (key && listed && listed.state !== 'unmanaged') {
    if (listed.stores.length === 0)
      await revoker.project([`k:${key.kid}`], { by: about.by, write: () => Promise.resolve() });
    return;
  }
  const kid = key?.kid ?? 'demo';
  await keyring.add({ kid, ...(key ? { secret: Buffer.from(key.k, 'base64url') } : {}) }, about);
  await keyring.sign(kid, { ...about, tokenSeconds: 86_400 });
}
