import type { RevokerConfig } from './config.js';
import { RevokerError } from './errors.js';
import { createKeyring, type Keyring } from './keys/keyring.js';
import { createRecordSource } from './keys/records.js';
import { folderSecretStore, secretsManagerStore, type SecretStore } from './keys/secrets.js';
import { createKvsClient } from './kvs-client.js';
import { createDynamoLedger, createLedgerClient, ensureLedgerTable } from './ledger/dynamodb.js';
import type { Ledger } from './ledger/ledger.js';
import { createKeyValueStore, type KeyValueStore } from './store/key-value-store.js';
import type { ProjectionOptions } from './store/projection.js';
import { ivsTarget, networkTarget, storeTarget, webhookTarget, type NetworkBlocker, type Target } from './targets.js';
import { createRevoker, type Revoker } from './writer.js';

export interface ConnectOptions {
  readonly config: RevokerConfig;
  /** A folder for secrets instead of Secrets Manager; for the local edge. */
  readonly secretsFolder?: string;
  /** Default region of every service. */
  readonly region?: string;
  /** Takes networks and autonomous systems; without one they are recorded and refused at minting only. */
  readonly networkBlocker?: (ledger: Ledger) => NetworkBlocker;
  /** Create the ledger's table where it is missing. */
  readonly createTable?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Everything that acts on revocations, connected. */
export interface RevokerConnection {
  readonly ledger: Ledger;
  readonly stores: readonly KeyValueStore[];
  readonly targets: readonly Target[];
  readonly revoker: Revoker;
  readonly keyring: Keyring;
  readonly secrets: SecretStore;
  readonly projection: ProjectionOptions;
  close(): void;
}

/**
 * Connects to the stores, the ledger and the other targets that a configuration names: to AWS with the SDK's usual
 * credentials, or to loopback services where an `endpoint` is given.
 *
 * @example
 * const { revoker, close } = await connectRevoker({ config: revokerConfigSchema.parse({ stores: [{ arn }] }) });
 */
export async function connectRevoker(options: ConnectOptions): Promise<RevokerConnection> {
  const { config } = options;
  const clock = options.now ? { now: options.now } : {};
  const regionOf = (own: string | undefined): { region?: string } => {
    const region = own ?? options.region;
    return region === undefined ? {} : { region };
  };
  const closers: (() => void)[] = [];

  const { table, historyDays } = config.ledger;
  const client = createLedgerClient({
    ...regionOf(config.ledger.region),
    ...(config.ledger.endpoint === undefined ? {} : { endpoint: config.ledger.endpoint }),
  });
  closers.push(() => client.destroy());
  if (options.createTable) await ensureLedgerTable(client, table);
  const ledger = createDynamoLedger({ client, table, historyDays, ...clock });

  const secrets =
    options.secretsFolder === undefined
      ? await connectSecretsManager(regionOf(undefined), closers)
      : folderSecretStore(options.secretsFolder);
  const projection: ProjectionOptions = {
    ledger,
    ...clock,
    records: createRecordSource({ ledger, secrets, secretPrefix: config.secretPrefix, ...clock }),
  };

  const stores = config.stores.map((store) => {
    const kvs = createKvsClient({
      ...regionOf(store.region),
      ...(store.endpoint === undefined ? {} : { endpoint: store.endpoint }),
    });
    closers.push(() => kvs.destroy());
    return createKeyValueStore({
      client: kvs,
      arn: store.arn,
      ...(store.name === undefined ? {} : { name: store.name }),
    });
  });
  const targets: Target[] = stores.map((store) => storeTarget(store, projection));
  if (options.networkBlocker) targets.push(networkTarget(options.networkBlocker(ledger)));
  targets.push(...(await connectIvs(config, closers)), ...(await connectWebhooks(config, secrets, clock)));
  const names = targets.map(({ name }) => name);
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) {
    throw new RevokerError('invalid_request', `Two targets are called ${double}; give each its own name.`);
  }

  const revoker = createRevoker({ ledger, targets, ...clock });
  const keyring = createKeyring({ ledger, secrets, revoker, stores, secretPrefix: config.secretPrefix, ...clock });
  return {
    ledger,
    stores,
    targets,
    revoker,
    keyring,
    secrets,
    projection,
    close() {
      for (const close of closers) close();
    },
  };
}

async function connectSecretsManager(region: { region?: string }, closers: (() => void)[]): Promise<SecretStore> {
  const { SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({ region: region.region ?? 'us-east-1' });
  closers.push(() => client.destroy());
  return secretsManagerStore(client);
}

async function connectIvs(config: RevokerConfig, closers: (() => void)[]): Promise<Target[]> {
  if (config.targets.ivs.length === 0) return [];
  const { IvsClient } = await import('@aws-sdk/client-ivs');
  return config.targets.ivs.map(({ channelArn, name }) => {
    // The ARN says in which region the channel is.
    const client = new IvsClient({ region: channelArn.split(':')[3] ?? 'us-east-1' });
    closers.push(() => client.destroy());
    return ivsTarget({ client, channelArn, ...(name === undefined ? {} : { name }) });
  });
}

function connectWebhooks(
  config: RevokerConfig,
  secrets: SecretStore,
  clock: { now?: () => number },
): Promise<Target[]> {
  return Promise.all(
    config.targets.webhooks.map(async ({ name, url, secret }) => {
      const value = await secrets.get(secret);
      if (value === undefined) {
        throw new RevokerError('secret_not_found', `Secret ${secret} of webhook ${name} is missing.`, {
          hint: 'Create it in Secrets Manager; the receiver checks deliveries with the same value.',
        });
      }
      return webhookTarget({ name, url, secret: value, ...clock });
    }),
  );
}
