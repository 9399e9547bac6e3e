import { userInfo, hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import type { RevokerConfig, RevokerConfigInput } from '../../revoker/config.js';
import type { ConnectOptions, RevokerConnection } from '../../revoker/connect.js';
import type { DetectionConfigInput } from '../../revoker/detection/config.js';
import type { WafConfigInput } from '../../waf-rules/config.js';
import type { BlockOutcome } from '../../waf-rules/index.js';
import { localEndpoints, localStateFile, type LocalEndpoints } from './connection.js';
import { CliError, type Cli } from './output.js';

/** Options of every command that reaches the store or the ledger. */
export interface StoreOptions {
  readonly local?: boolean;
  readonly kvsArn?: string[];
  readonly endpoint?: string;
  readonly region?: string;
  readonly table?: string;
  readonly dynamodbEndpoint?: string;
}

/** Options of every command that writes. */
export interface WriteOptions extends StoreOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly by?: string;
  readonly reason?: string;
}

const collect = (value: string, list: string[] = []): string[] => [...list, value];

export function addStoreOptions(command: Command): Command {
  return command
    .option('--local', 'the running local edge (npm start)')
    .addOption(new Option('--kvs-arn <arn>', 'KeyValueStore; may be given several times').argParser(collect))
    .option('--endpoint <url>', 'address of a loopback KeyValueStore service')
    .option(
      '--region <region>',
      'AWS region of the ledger and the secrets (default: the configuration, else us-east-1)',
    )
    .option('--table <name>', 'DynamoDB table of the ledger')
    .option('--dynamodb-endpoint <url>', 'address of a loopback DynamoDB');
}

export function addWriteOptions(command: Command): Command {
  return addStoreOptions(command)
    .option('--reason <text>', 'why; kept in the ledger')
    .option('--by <who>', 'who acts; kept in the ledger (default: your user and machine)')
    .option('--dry-run', 'show what would happen and change nothing')
    .option('-y, --yes', 'do not ask');
}

export interface StoreSession extends RevokerConnection {
  readonly config: RevokerConfig;
  readonly by: string;
  readonly local: LocalEndpoints | undefined;
  /** What carries address blocks, or why nothing does. */
  readonly networks: 'waf' | 'ledger only';
  /** Configured stores that this session does not reach, because others were named by `--kvs-arn`. */
  readonly elsewhere: readonly string[];
}

export interface SessionWay {
  /** Told what the WAF sets refuse, so that a batch goes on without it; else a refused range is an error. */
  readonly onRefused?: (refused: BlockOutcome['refused']) => void;
}

/** Where the commands find what to talk to: `--local`, or `--kvs-arn` and its like, else the configuration. */
export async function openSession(cli: Cli, options: WriteOptions, way: SessionWay = {}): Promise<StoreSession> {
  const { connectRevoker, revokerConfigSchema } = await import('../../revoker/index.js');
  const local = options.local ? localEndpoints() : undefined;
  const configured: Configured = local ? {} : await configuration(cli);
  const section = revokerSection(configured.revoker ?? {}, options, local);
  const parsed = revokerConfigSchema.safeParse(section);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CliError('invalid_config', `revoker.${issue?.path.join('.')}: ${issue?.message}`, { exitCode: 2 });
  }
  const config = parsed.data;
  if (config.stores.length === 0) {
    throw new CliError('no_store', 'No KeyValueStore is named.', {
      exitCode: 2,
      hint: 'Add --local, or --kvs-arn <arn>, or revoker.stores to the configuration.',
    });
  }
  const connection = await connectRevoker({
    config,
    createTable: local !== undefined,
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(local === undefined ? {} : { secretsFolder: localSecretsFolder() }),
    ...(await networkBlocker(configured, local, way.onRefused)),
  });
  return {
    ...connection,
    config,
    local,
    networks: connection.targets.some(({ kind }) => kind === 'network-blocker') ? 'waf' : 'ledger only',
    by: options.by ?? `${userInfo().username}@${hostname()}`,
    elsewhere: storesElsewhere(configured.revoker, config),
  };
}

/** Names of configured stores whose ARNs are not among those in use. */
function storesElsewhere(configured: RevokerConfigInput | undefined, { stores }: RevokerConfig): string[] {
  return (configured?.stores ?? [])
    .filter(({ arn }) => !stores.some((store) => store.arn === arn))
    .map(({ name, arn }) => name ?? arn.slice(arn.lastIndexOf('/') + 1));
}

function localStatePath(): string {
  return resolve(process.env['PORTCULLIS_LOCAL'] ?? localStateFile);
}

/** Beside the local edge's state. */
export function localSecretsFolder(): string {
  return localEndpoints().secrets ?? join(dirname(localStatePath()), 'secrets');
}

interface Configured {
  readonly revoker?: RevokerConfigInput | undefined;
  readonly waf?: WafConfigInput | undefined;
  readonly detection?: DetectionConfigInput | undefined;
}

function revokerSection(
  configured: RevokerConfigInput,
  options: StoreOptions,
  local: LocalEndpoints | undefined,
): unknown {
  const ledger = {
    ...(options.table === undefined ? {} : { table: options.table }),
    ...(options.dynamodbEndpoint === undefined ? {} : { endpoint: options.dynamodbEndpoint }),
  };
  if (local) {
    return {
      stores: [{ name: 'local', arn: local.kvs.arn, endpoint: local.kvs.endpoint }],
      ledger: { table: `${local.dynamodb.tablePrefix}ledger`, endpoint: local.dynamodb.endpoint, ...ledger },
    };
  }
  const endpoint = options.endpoint === undefined ? {} : { endpoint: options.endpoint };
  return {
    ...configured,
    ...(options.kvsArn ? { stores: options.kvsArn.map((arn) => ({ arn, ...endpoint })) } : {}),
    ledger: { ...configured.ledger, ...ledger },
  };
}

/** The sections that concern the store. */
async function configuration(cli: Cli): Promise<Configured> {
  const { loadConfig } = await import('../config/index.js');
  return (await loadConfig(cli.configPath)).input;
}

/** The WAF's address sets, where the configuration has rule sets or the local edge has a WAF API. */
async function networkBlocker(
  { waf: section, detection }: Configured,
  local: LocalEndpoints | undefined,
  onRefused: ((refused: BlockOutcome['refused']) => void) | undefined,
): Promise<Pick<ConnectOptions, 'networkBlocker'>> {
  const endpoint = local?.waf?.endpoint;
  const allow = detection?.allow?.networks ?? [];
  if (section === undefined && endpoint === undefined) return {};
  const waf = await import('../../waf-rules/index.js');
  const { ledgerAddressRecords, wafNetworkBlocker } = await import('../../revoker/index.js');
  const { name } = waf.settingsOf(waf.parseWafConfig(section ?? {}));
  const client = waf.createWafClient(endpoint === undefined ? {} : { endpoint });
  return {
    networkBlocker: (ledger) =>
      wafNetworkBlocker(
        waf.createAddressBlocker({
          client,
          prefix: name,
          records: ledgerAddressRecords(ledger),
          allow,
          // The viewers of the local edge have addresses of the documentation's.
          documentation: endpoint === undefined ? 'refuse' : 'block',
        }),
        onRefused,
      ),
  };
}

/** Runs a command's work with a session that is closed after it, and turns the revoker's errors into the terminal's. */
export async function withSession<Value>(
  cli: Cli,
  options: WriteOptions,
  work: (session: StoreSession) => Promise<Value>,
  way: SessionWay = {},
): Promise<Value> {
  const { RevokerError } = await import('../../revoker/index.js');
  let session: StoreSession | undefined;
  try {
    session = await openSession(cli, options, way);
    return await work(session);
  } catch (error) {
    if (error instanceof RevokerError) {
      const usage = error.code === 'invalid_request' || error.code === 'import_invalid';
      throw new CliError(error.code, error.message, {
        exitCode: usage ? 2 : 1,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
    throw unreachable(error, options) ?? error;
  } finally {
    session?.close();
  }
}

/** The SDK's errors about credentials, tables and connections, in words for the person at the terminal. */
function unreachable(error: unknown, options: StoreOptions): CliError | undefined {
  const { name, message } = error as Error & { code?: string };
  const code = (error as { code?: string }).code;
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return new CliError('no_credentials', `No AWS credentials: ${message}`, {
      hint: 'Set AWS_PROFILE or sign in, or use --local for the local edge.',
    });
  }
  if (name === 'ResourceNotFoundException') {
    return new CliError('no_ledger', `The ledger's table does not exist: ${message}`, {
      hint: 'Create it with the deployment, or name another one with --table.',
    });
  }
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND') {
    return new CliError('unreachable', `Nothing answers: ${message}`, {
      hint: options.local ? 'Is the local edge running? Start it with: npm start' : 'Check --endpoint and the network.',
    });
  }
  return undefined;
}

/** Epoch seconds from `--until` (ISO 8601 or epoch seconds) or `--for` (`30m`); undefined where neither is given. */
export async function endOf(
  options: { readonly until?: string; readonly for?: string },
  now: number,
): Promise<number | undefined> {
  if (options.until !== undefined && options.for !== undefined) {
    throw new CliError('usage', 'Give either --until or --for.', { exitCode: 2 });
  }
  if (options.until !== undefined) {
    const { epochSeconds } = await import('../../revoker/blackouts/schedule.js');
    const until = epochSeconds(options.until);
    if (until === undefined) {
      throw new CliError(
        'usage',
        `--until: a moment such as 2026-12-01T20:00:00Z was expected, not ${options.until}.`,
        {
          exitCode: 2,
        },
      );
    }
    return until;
  }
  return options.for === undefined ? undefined : now + (await secondsOf(options.for, '--for'));
}

/** Seconds of a duration such as `90s`, `30m`, `2h`, `7d`. */
export async function secondsOf(text: string, option: string): Promise<number> {
  const { durationSeconds } = await import('@portcullis/tokens/duration');
  try {
    return durationSeconds(/^\d+$/.test(text) ? Number(text) : (text as `${number}s`), option);
  } catch {
    throw new CliError('usage', `${option}: a duration such as 30m, 2h or 7d was expected, not ${text}.`, {
      exitCode: 2,
    });
  }
}

/** `2026-12-01T20:00:00Z`, and how far that is. */
export function moment(seconds: number | undefined, now = Date.now() / 1000): string {
  if (seconds === undefined) return 'until lifted';
  return `${new Date(seconds * 1000).toISOString().replace('.000', '')} (${distance(seconds - now)})`;
}

export function distance(seconds: number): string {
  const size = Math.abs(seconds);
  const text =
    size < 120
      ? `${Math.round(size)} s`
      : size < 7200
        ? `${Math.round(size / 60)} min`
        : size < 172_800
          ? `${Math.round(size / 3600)} h`
          : `${Math.round(size / 86_400)} d`;
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}
