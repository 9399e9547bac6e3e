import { AthenaClient } from '@aws-sdk/client-athena';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SFNClient } from '@aws-sdk/client-sfn';
import { z } from 'zod';
import { createAddressBlocker, createWafClient } from '../../waf-rules/index.js';
import { revokerConfigSchema, type RevokerConfig } from '../config.js';
import { connectRevoker, type RevokerConnection } from '../connect.js';
import { parseDetectionConfig, workflowJudge } from '../detection/index.js';
import { createDynamoLedger, createLedgerClient } from '../ledger/dynamodb.js';
import type { Ledger } from '../ledger/ledger.js';
import { ledgerAddressRecords } from '../network-blocker.js';
import { networkTarget, type Target } from '../targets.js';
import { addressSets, compareSets } from './address-sets.js';
import { longestApproval } from '../workflows/states.js';
import { deferredTargets, wafTargetName } from './deferred.js';
import type { Judge } from './judge.js';
import { eventBridgeNotify, type Notify } from './notify.js';
import { PermanentFault } from './observe.js';
import { dynamoRunStore, type RunStore } from './runs.js';

/*
 * What the functions find in their environment. Each part is its own function, so that a bundle holds, and a role
 * allows, only what its handler asks for.
 */

const jsonText = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'expected JSON' });
    return z.NEVER;
  }
});
const wholeSeconds = z.coerce.number().int().positive();

const environmentSchema = z.object({
  /** The ledger's table; over the one in REVOKER_CONFIG. */
  LEDGER_TABLE: z.string().min(3).optional(),
  /** JSON of the configuration's `revoker` section. */
  REVOKER_CONFIG: jsonText.default({}),
  /** JSON of the configuration's `detection` section. */
  DETECTION_CONFIG: jsonText.default({}),
  EVENT_BUS: z.string().min(1).default('default'),
  ATHENA_DATABASE: z.string().min(1).default('portcullis'),
  ATHENA_TABLE: z.string().min(1).default('cloudfront_logs'),
  /** The web ACL's name, whose address sets take blocked networks. Absent: networks are refused at minting only. */
  WAF_PREFIX: z.string().min(1).optional(),
  WAF_ENDPOINT: z.url().optional(),
  /** Networks that are never blocked, comma-separated. */
  WAF_ALLOW: z.string().default(''),
  /** How long after a request its log has arrived: standard logs take minutes. */
  LOG_DELAY_SECONDS: wholeSeconds.default(900),
  APPROVAL_SECONDS: wholeSeconds.max(longestApproval).default(4 * 3600),
  /** The streaming path's: the table of sessions under way. Default: the ledger's. */
  AGGREGATES_TABLE: z.string().min(3).optional(),
  /** The streaming path's: fields of the real-time log, in their order, by comma. */
  LOG_FIELDS: z
    .string()
    .transform((text) => text.split(',').filter((field) => field !== ''))
    .pipe(z.array(z.string()).min(4))
    .optional(),
});

/** Every variable that a function may be told. */
export const environmentVariables = Object.keys(environmentSchema.shape) as readonly (keyof z.infer<
  typeof environmentSchema
>)[];

/** The functions' settings. */
export interface Settings {
  readonly revoker: RevokerConfig;
  readonly environment: z.infer<typeof environmentSchema>;
}

/**
 * Reads the environment.
 * @throws PermanentFault naming the variable and what was expected
 */
export function settings(variables: Readonly<Record<string, string | undefined>> = process.env): Settings {
  const environment = environmentSchema.safeParse(variables);
  if (!environment.success) throw problem(environment.error);
  const revoker = revokerConfigSchema.safeParse(environment.data.REVOKER_CONFIG);
  if (!revoker.success) throw problem(revoker.error, 'REVOKER_CONFIG');
  const { LEDGER_TABLE: table } = environment.data;
  const { ledger } = revoker.data;
  return {
    environment: environment.data,
    revoker: { ...revoker.data, ledger: { ...ledger, ...(table === undefined ? {} : { table }) } },
  };
}

function problem(error: z.ZodError, within?: string): PermanentFault {
  const lines = error.issues.map(
    ({ path, message }) => `${[...(within === undefined ? [] : [within]), ...path].join('.')}: ${message}`,
  );
  return new PermanentFault(`The function's environment is wrong: ${lines.join('; ')}`);
}

/** The ledger's table, and a client for it. */
export function databaseOf({ revoker }: Settings): { client: ReturnType<typeof createLedgerClient>; table: string } {
  const { region, endpoint, table } = revoker.ledger;
  const client = createLedgerClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  return { client, table };
}

export function ledgerOf(given: Settings): Ledger {
  return createDynamoLedger({ ...databaseOf(given), historyDays: given.revoker.ledger.historyDays });
}

export function runsOf(given: Settings): RunStore {
  return dynamoRunStore(databaseOf(given));
}

/** Every target's name and kind, connected to none. */
export function announcedTargets({ revoker, environment }: Settings): Target[] {
  return deferredTargets(revoker, { waf: environment.WAF_PREFIX !== undefined });
}

/** Stores, secrets and the other targets, connected. */
export function connected({ revoker }: Settings): Promise<RevokerConnection> {
  return connectRevoker({ config: revoker });
}

/** The WAF's address sets, connected; undefined where the deployment has none. `compare` brings them to what the ledger says. */
export function wafSets(
  given: Settings,
): { readonly target: Target; readonly compare: () => Promise<number> } | undefined {
  const { WAF_PREFIX: prefix, WAF_ENDPOINT: endpoint, WAF_ALLOW: allow } = given.environment;
  if (prefix === undefined) return undefined;
  const blocker = createAddressBlocker({
    client: createWafClient(endpoint === undefined ? {} : { endpoint }),
    prefix,
    records: ledgerAddressRecords(ledgerOf(given)),
    allow: allow.split(',').filter((one) => one.trim() !== ''),
  });
  const sets = addressSets(blocker, (refused) => {
    const list = refused.map(({ reason }) => reason);
    process.stdout.write(
      `${JSON.stringify({ level: 'warn', function: 'Block', message: 'refused to block', reasons: list })}\n`,
    );
  });
  return {
    target: networkTarget(sets, wafTargetName),
    compare: () => compareSets(blocker),
  };
}

export function judgeOf({ environment }: Settings): Judge {
  return workflowJudge(parseDetectionConfig(environment.DETECTION_CONFIG), {
    database: environment.ATHENA_DATABASE,
    table: environment.ATHENA_TABLE,
  });
}

export function windowSecondsOf({ environment }: Settings): number {
  return parseDetectionConfig(environment.DETECTION_CONFIG).windowSeconds;
}

export function notifyOf({ environment }: Settings): Notify {
  return eventBridgeNotify(new EventBridgeClient({}), environment.EVENT_BUS);
}

export const athenaClient = (): AthenaClient => new AthenaClient({});
export const stepsClient = (): SFNClient => new SFNClient({});
