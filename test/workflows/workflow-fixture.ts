import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AthenaClient } from '@aws-sdk/client-athena';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SFNClient } from '@aws-sdk/client-sfn';
import { ListIPSetsCommand, UpdateIPSetCommand } from '@aws-sdk/client-wafv2';
import { createKeyring, type Keyring } from '../../revoker/keys/keyring.js';
import { createRecordSource } from '../../revoker/keys/records.js';
import { folderSecretStore } from '../../revoker/keys/secrets.js';
import { createKvsClient } from '../../revoker/kvs-client.js';
import { addressSets, compareSets } from '../../revoker/lambdas/address-sets.js';
import { answerApproval, askApproval, settleApproval } from '../../revoker/lambdas/approval.js';
import { carry, servesNetworks, servesStores } from '../../revoker/lambdas/carry.js';
import { compare, repair } from '../../revoker/lambdas/compare.js';
import { decide } from '../../revoker/lambdas/decide.js';
import { expire } from '../../revoker/lambdas/expire.js';
import type { Judge } from '../../revoker/lambdas/judge.js';
import { eventBridgeNotify } from '../../revoker/lambdas/notify.js';
import { observed, type Handler } from '../../revoker/lambdas/observe.js';
import { planRun } from '../../revoker/lambdas/plan-run.js';
import { readPage } from '../../revoker/lambdas/read-page.js';
import { record } from '../../revoker/lambdas/record.js';
import { report } from '../../revoker/lambdas/report.js';
import { publishKey, retireKey, signWithKey } from '../../revoker/lambdas/rotate-key.js';
import { dynamoRunStore } from '../../revoker/lambdas/runs.js';
import { createDynamoLedger, ensureLedgerTable } from '../../revoker/ledger/dynamodb.js';
import type { LedgerEntry } from '../../revoker/ledger/entry.js';
import type { Ledger } from '../../revoker/ledger/ledger.js';
import { createKeyValueStore, type KeyValueStore } from '../../revoker/store/key-value-store.js';
import { ledgerAddressRecords } from '../../revoker/network-blocker.js';
import { networkTarget, storeTarget, type Target } from '../../revoker/targets.js';
import { createRevoker } from '../../revoker/writer.js';
import type { FunctionName, WorkflowName } from '../../revoker/workflows/index.js';
import { createKvsApi, memoryStorage, type KvsFaults } from '../../scripts/local-edge/kvs-api.js';
import { createWafApi, type WafApiOptions } from '../../scripts/local-edge/wafv2-api.js';
import { createWafClient } from '../../waf-rules/client.js';
import { createAddressBlocker } from '../../waf-rules/ip-sets.js';
import { startDynamoDb, type LoopbackDynamoDb } from '../doubles/dynamodb.js';
import { AwsJsonError, startAwsJson } from './aws-json.js';
import { execute, type Crash, type Execution, type Services } from './interpreter.js';

export const arn = 'arn:aws:cloudfront::000000000000:key-value-store/11111111-2222-4333-8444-555555555555';

/** A row of the stand-in query: what to do with whom, and how sure. */
export interface FlaggedRow {
  readonly scope: 'session' | 'subject' | 'network';
  readonly id: string;
  readonly score: number;
}

const remintSeconds = 3600;

/**
 * A judge that reads its verdict in the row: 80 and over is certain, 50 and over is asked about, 30 and over is
 * watched. Detection itself has its own tests.
 */
export const plainJudge: Judge = {
  query: ({ from, to }) => ({
    text: 'SELECT scope, id, score FROM flagged WHERE time >= ? AND time < ?',
    parameters: [String(from), String(to)],
  }),
  read: (rows) => ({ sessions: rows.length, candidates: rows.filter((row) => Number(row['score']) >= 30) }),
  decide(candidates, { at }) {
    const rows = candidates as unknown as { scope: FlaggedRow['scope']; id: string; score: string }[];
    const requestOf = ({ scope, id, score }: (typeof rows)[number]) => ({
      scope,
      id,
      reason: `score ${score}`,
      until: at + 86_400,
      evidence: { score: Number(score) },
      ...(scope === 'session' && Number(score) < 90 ? { cutoff: at, remint: true, until: at + remintSeconds } : {}),
    });
    const over = (low: number, high: number) =>
      rows.filter((row) => Number(row.score) >= low && Number(row.score) < high);
    return {
      ready: over(80, 101).map(requestOf),
      held: over(50, 80).map((row) => ({ request: requestOf(row), why: 'below the confidence for acting alone' })),
      watched: over(30, 50).length,
    };
  },
};

export interface FixtureOptions {
  readonly rows?: readonly FlaggedRow[];
  /** Another judge, and what the query answers for it; in place of `rows`. */
  readonly judge?: Judge;
  readonly answer?: readonly Readonly<Record<string, string | null>>[];
  readonly pageRows?: number;
  readonly approvalSeconds?: number;
  readonly kvsFaults?: KvsFaults;
  readonly wafFaults?: NonNullable<WafApiOptions['faults']>;
  /** Wraps the ledger that functions see, for faults half way. */
  readonly wrapLedger?: (ledger: Ledger) => Ledger;
}

export interface WorkflowFixture {
  readonly clock: { seconds: number };
  readonly ledger: Ledger;
  readonly store: KeyValueStore;
  /** What the KeyValueStore holds. */
  readonly pairs: Map<string, string>;
  readonly keyring: Keyring;
  readonly targets: readonly Target[];
  /** What the WAF's address sets hold. */
  readonly blocked: () => string[];
  /** Takes everything out of the sets, as somebody might by hand. */
  readonly emptySets: () => Promise<void>;
  readonly notices: { readonly type: string; readonly detail: Record<string, unknown> }[];
  readonly logs: Record<string, unknown>[];
  readonly queries: Map<string, string>;
  readonly pagesRead: { count: number };
  readonly services: Services;
  run(
    name: WorkflowName,
    input: Record<string, unknown>,
    options?: { name?: string; crashes?: readonly Crash[] },
  ): Promise<Execution>;
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  /** Everything that must be the same in the end, however the way there was. */
  finalState(): Promise<unknown>;
  entries(): Promise<LedgerEntry[]>;
  close(): Promise<void>;
}

const credentials = { accessKeyId: 'loopback', secretAccessKey: 'loopback' };

let dynamo: Promise<LoopbackDynamoDb> | undefined;

/** One database for all fixtures of a test file; each has a table of its own. */
export async function closeDatabase(): Promise<void> {
  await (await dynamo)?.close();
  dynamo = undefined;
}

export async function workflowFixture(options: FixtureOptions = {}): Promise<WorkflowFixture> {
  dynamo ??= startDynamoDb();
  const { client } = await dynamo;
  const table = `ledger-${randomUUID()}`;
  await ensureLedgerTable(client, table);
  const clock = { seconds: 1_800_000_000 };
  const now = (): number => clock.seconds * 1000;
  const storage = memoryStorage();
  const api = await createKvsApi({ storage, arn, ...(options.kvsFaults ? { faults: options.kvsFaults } : {}) });
  const kvs = createKvsClient({ endpoint: api.endpoint });
  const store = createKeyValueStore({ client: kvs, arn, name: 'main' });
  const plain = createDynamoLedger({ client, table, now });
  const ledger = options.wrapLedger?.(plain) ?? plain;
  const runs = dynamoRunStore({ client, table, now });
  const secretsFolder = await mkdtemp(join(tmpdir(), 'portcullis-workflows-'));
  const secrets = folderSecretStore(secretsFolder);
  const records = createRecordSource({ ledger, secrets, secretPrefix: 'test', now });
  const sleep = (): Promise<void> => Promise.resolve();
  const waf = await createWafApi(options.wafFaults ? { faults: options.wafFaults } : {});
  const wafClient = createWafClient({ endpoint: waf.endpoint });
  const sets = createAddressBlocker({
    client: wafClient,
    prefix: 'portcullis',
    records: ledgerAddressRecords(ledger),
    now: () => clock.seconds,
    patience: { random: Math.random, sleep: () => Promise.resolve() },
  });
  const blocker = addressSets(sets);
  const projection = { ledger, records, now, sleep };
  const targets: Target[] = [storeTarget(store, projection), networkTarget(blocker)];
  const revoker = createRevoker({ ledger, targets, now });
  const keyring = createKeyring({ ledger, secrets, revoker, stores: [store], secretPrefix: 'test', now, sleep });

  const notices: WorkflowFixture['notices'] = [];
  const logs: Record<string, unknown>[] = [];
  const queries = new Map<string, string>();
  const waiting = new Map<string, (output: unknown) => void>();
  const pagesRead = { count: 0 };
  const judge = options.judge ?? plainJudge;
  const rows: readonly Readonly<Record<string, unknown>>[] = options.answer ?? (options.rows as never) ?? [];
  const pageRows = options.pageRows ?? 1000;
  const columns = Object.keys(rows[0] ?? { scope: '', id: '', score: '' });
  const cells = (values: readonly unknown[]): unknown => ({
    Data: values.map((value) => (value === null || value === undefined ? {} : { VarCharValue: String(value) })),
  });
  const aws = await startAwsJson({
    GetQueryResults({ QueryExecutionId, NextToken }) {
      if (![...queries.values()].includes(String(QueryExecutionId))) throw new AwsJsonError('InvalidRequestException');
      pagesRead.count += 1;
      const start = Number(NextToken ?? 0);
      const page = rows.slice(start, start + pageRows).map((row) => cells(columns.map((column) => row[column])));
      const end = start + pageRows;
      return {
        ResultSet: {
          ResultSetMetadata: { ColumnInfo: columns.map((Name) => ({ Name, Type: 'varchar' })) },
          Rows: NextToken === undefined ? [cells(columns), ...page] : page,
        },
        ...(end < rows.length ? { NextToken: String(end) } : {}),
      };
    },
    PutEvents({ Entries }) {
      for (const entry of Entries as { DetailType: string; Detail: string }[]) {
        notices.push({ type: entry.DetailType, detail: JSON.parse(entry.Detail) as Record<string, unknown> });
      }
      return { FailedEntryCount: 0, Entries: [{ EventId: randomUUID() }] };
    },
    SendTaskSuccess({ taskToken, output }) {
      const answer = waiting.get(String(taskToken));
      if (!answer) throw new AwsJsonError('TaskTimedOut');
      waiting.delete(String(taskToken));
      answer(JSON.parse(String(output)));
      return {};
    },
  });
  const connection = { endpoint: aws.endpoint, region: 'us-east-1', credentials };
  const athena = new AthenaClient(connection);
  const events = new EventBridgeClient(connection);
  const steps = new SFNClient(connection);
  const notify = eventBridgeNotify(events, 'default');
  const approval = { runs, steps, notify, now };

  const approvalSeconds = options.approvalSeconds ?? 30;
  const handlers: Record<FunctionName, Handler<unknown, unknown>> = {
    PlanRun: planRun({
      runs,
      judge,
      now,
      windowSeconds: 300,
      delaySeconds: 120,
      approvalSeconds,
    }),
    ReadPage: readPage({ runs, athena, judge }),
    Decide: decide({ runs, judge }),
    AskApproval: askApproval(approval),
    AnswerApproval: answerApproval(approval),
    SettleApproval: settleApproval(approval),
    Record: record({ runs, ledger, targets, now }),
    Project: carry({ ledger, targets, serves: servesStores, now }),
    Block: carry({
      ledger,
      targets,
      serves: servesNetworks,
      now,
      compare: () => compareSets(sets),
    }),
    Expire: expire({ ledger, targets, now }),
    Compare: compare({ ...projection, stores: [store] }),
    Repair: repair({ ...projection, stores: [store] }),
    PublishKey: publishKey({ runs, keyring }),
    SignWithKey: signWithKey({ runs, keyring }),
    RetireKey: retireKey({ runs, keyring }),
    Report: report({ runs, notify, now }),
  };

  const invoke = (name: FunctionName, event: unknown): Promise<unknown> => {
    const write = (line: string): number => logs.push(JSON.parse(line) as Record<string, unknown>);
    return observed(name, () => handlers[name], { write, now })(event, { awsRequestId: randomUUID() });
  };
  const services: Services = {
    waiting,
    invoke,
    async query(parameters) {
      const requestToken = String(parameters['ClientRequestToken']);
      const values = parameters['ExecutionParameters'] as readonly string[];
      const text = String(parameters['QueryString']);
      // Question marks in quotes are text.
      const marks = text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, '').split('?').length - 1;
      if (marks !== values.length || values.some((value) => value.length < 1 || value.length > 1024))
        throw Object.assign(new Error(`${marks} parameters and ${values.length} values`), {
          name: 'Athena.InvalidRequestException',
        });
      // As Athena: the same request token is the same query, with the same parameters.
      const id = queries.get(requestToken) ?? randomUUID();
      queries.set(requestToken, id);
      return { QueryExecution: { QueryExecutionId: id, Status: { State: 'SUCCEEDED' } } };
    },
  };

  const entries = async (): Promise<LedgerEntry[]> => {
    const list: LedgerEntry[] = [];
    for await (const entry of plain.scan()) list.push(entry);
    return list.sort((a, b) => `${a.scope}:${a.id}`.localeCompare(`${b.scope}:${b.id}`));
  };
  const blocked = (): string[] =>
    [4, 6]
      .flatMap((family) => (waf.find('ipset', `portcullis-blocked-v${family}-1`)?.['Addresses'] ?? []) as string[])
      .sort();

  return {
    clock,
    ledger: plain,
    store,
    pairs: storage.map,
    keyring,
    targets,
    blocked,
    async emptySets() {
      const { IPSets = [] } = await wafClient.send(new ListIPSetsCommand({ Scope: 'CLOUDFRONT' }));
      for (const { Name, Id, LockToken } of IPSets) {
        await wafClient.send(new UpdateIPSetCommand({ Scope: 'CLOUDFRONT', Name, Id, LockToken, Addresses: [] }));
      }
    },
    notices,
    logs,
    queries,
    pagesRead,
    services,
    run: (name, input, { name: executionName = 'run-1', crashes = [] } = {}) =>
      execute(name, input, services, { executionName, crashes, approvalSeconds }),
    invoke,
    entries,
    async finalState() {
      return {
        entries: await entries(),
        pairs: [...storage.map].sort(([a], [b]) => a.localeCompare(b)),
        blocked: blocked(),
        jobs: await plain.jobs(),
        notices: notices.map(({ type, detail }) => ({ type, detail })),
      };
    },
    async close() {
      for (const one of [kvs, athena, events, steps, wafClient]) one.destroy();
      await api.close();
      await aws.close();
      await waf.close();
      await rm(secretsFolder, { recursive: true, force: true });
    },
  };
}
