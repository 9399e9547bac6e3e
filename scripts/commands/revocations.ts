import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Argument, Option, type Command } from 'commander';
import type { LedgerEntry, RevocationRequest, Scope } from '../../revoker/index.js';
import { CliError, type Cli } from '../cli/output.js';
import {
  addStoreOptions,
  addWriteOptions,
  distance,
  endOf,
  withSession,
  type StoreOptions,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';

interface ListOptions extends StoreOptions {
  readonly scope?: Scope[];
  readonly state: 'active' | 'lifted' | 'expired' | 'all';
  readonly by?: string;
  readonly matching?: string;
  readonly since?: string;
  readonly limit: string;
  readonly history?: boolean;
}

export interface ImportOptions extends WriteOptions {
  readonly scope?: Scope;
  readonly until?: string;
  readonly for?: string;
  readonly format?: 'jsonl' | 'csv';
}

export function register(program: Command, cli: Cli): void {
  const revocations = program
    .command('revocations')
    .description('See, move, repair and clean up revocations')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis revocations list --scope session --local\n  $ portcullis revocations drift',
    );

  const list = revocations
    .command('list')
    .description('List revocations from the ledger')
    .addOption(new Option('--scope <scope...>', 'only these scopes'))
    .addOption(new Option('--state <state>', 'which').choices(['active', 'lifted', 'expired', 'all']).default('active'))
    .option('--by <who>', 'only acts of this person or service')
    .option('--matching <text>', 'only where id or reason contain it')
    .option('--since <duration>', 'only acts of the last 30m, 2h, 7d')
    .option('--limit <count>', 'at most so many, newest first', '50')
    .option('--history', 'with all acts of each entry');
  addStoreOptions(list)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis revocations list --since 2h\n  $ portcullis revocations list --scope network asn --state all --json',
    )
    .action((options: ListOptions) =>
      withSession(cli, stripBy(options), (session) => listEntries(cli, session, options)),
    );

  const exporting = revocations
    .command('export')
    .description('Write every entry of the ledger as JSON Lines or CSV')
    .argument('[file]', 'default: standard output')
    .addOption(new Option('--format <format>', 'jsonl keeps history and evidence').choices(['jsonl', 'csv']))
    .addOption(new Option('--state <state>', 'which').choices(['active', 'all']).default('all'));
  addStoreOptions(exporting)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis revocations export ledger.jsonl\n  $ portcullis revocations export --format csv --state active > active.csv',
    )
    .action((file: string | undefined, options: StoreOptions & { format?: 'jsonl' | 'csv'; state: string }) =>
      withSession(cli, options, (session) => exportEntries(cli, session, file, options)),
    );

  const importing = revocations
    .command('import')
    .description('Revoke everything in a file: JSON Lines or CSV of an export, or one id per line with --scope')
    .addArgument(new Argument('<file>', '- for standard input'))
    .option('--scope <scope>', 'scope of lines that name none')
    .option('--until <moment>', 'end of lines that name none')
    .option('--for <duration>', 'life of lines that name none');
  addWriteOptions(importing)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis revocations import ledger.jsonl --yes\n  $ zcat leaked.gz | portcullis revocations import - --scope token --for 2d --yes',
    )
    .action((file: string, options: ImportOptions) =>
      withSession(cli, options, (session) => importFile(cli, session, file, options)),
    );

  const gc = addWriteOptions(
    revocations.command('gc').description('End what has expired (revocations, blackouts) and give its bytes back'),
  );
  gc.addHelpText('after', '\nExamples:\n  $ portcullis revocations gc --dry-run').action((options: WriteOptions) =>
    withSession(cli, options, (session) => collectGarbage(cli, session, options)),
  );

  const rebuild = addWriteOptions(
    revocations.command('rebuild').description('Make every store what the ledger says, whatever it holds now'),
  );
  rebuild
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis revocations rebuild --dry-run\n  $ portcullis revocations rebuild --yes --local',
    )
    .action((options: WriteOptions) => withSession(cli, options, (session) => rebuildStores(cli, session, options)));

  const drift = addStoreOptions(
    revocations.command('drift').description('Compare the stores with the ledger; exit code 1 where they differ'),
  );
  drift
    .addHelpText('after', '\nExamples:\n  $ portcullis revocations drift --json')
    .action((options: StoreOptions) => withSession(cli, options, (session) => showDrift(cli, session)));

  const reconciling = addStoreOptions(
    revocations
      .command('reconcile')
      .description('Finish what was interrupted: a crash, a store that was away, a webhook that failed'),
  );
  reconciling
    .addHelpText('after', '\nExamples:\n  $ portcullis revocations reconcile --local')
    .action((options: StoreOptions) => withSession(cli, options, (session) => reconcileJobs(cli, session)));
}

/** In a list, `--by` filters; it does not name who acts. */
function stripBy(options: ListOptions): StoreOptions {
  const { by: _by, ...rest } = options;
  return rest;
}

async function listEntries(cli: Cli, session: StoreSession, options: ListOptions): Promise<void> {
  const { scopes } = await import('../../revoker/index.js');
  const { secondsOf } = await import('../cli/store-connection.js');
  const unknown = options.scope?.find((scope) => !scopes.includes(scope));
  if (unknown !== undefined) {
    throw new CliError('usage', `--scope: ${scopes.join(', ')} were expected, not ${unknown}.`, { exitCode: 2 });
  }
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1)
    throw new CliError('usage', '--limit must be a number from 1.', { exitCode: 2 });
  const now = Math.floor(Date.now() / 1000);
  const since = options.since === undefined ? 0 : now - (await secondsOf(options.since, '--since'));
  const states = options.state === 'all' ? undefined : [options.state];
  const found: LedgerEntry[] = [];
  let total = 0;
  const filter = { ...(states ? { states } : {}), ...(options.scope ? { scopes: options.scope } : {}) };
  for await (const entry of session.ledger.scan(filter)) {
    if (entry.at < since || (options.by !== undefined && entry.by !== options.by)) continue;
    if (options.matching !== undefined && !`${entry.id}\n${entry.reason}`.includes(options.matching)) continue;
    total += 1;
    found.push(entry);
    // Only the newest are kept in memory, whatever the ledger's size.
    if (found.length >= limit * 2 + 1000) found.splice(0, found.length, ...newest(found, limit));
  }
  const shown = newest(found, limit);
  const { quotaOf } = await import('../../revoker/index.js');
  const quotas = await Promise.all(session.stores.map(async (store) => quotaOf(store.name, await store.describe())));
  const entries = shown.map(({ history, ...entry }) => (options.history ? { ...entry, history } : entry));
  cli.result({ total, entries, stores: quotas }, () => {
    const rows = shown.map((entry) => [
      entry.scope,
      entry.id.replace('\n', ' × '),
      entry.state === 'active' && entry.until !== undefined && entry.until <= now ? 'over' : entry.state,
      entry.until === undefined ? 'until lifted' : distance(entry.until - now),
      distance(entry.at - now),
      entry.by,
      entry.reason,
    ]);
    const table = cli.table(['scope', 'id', 'state', 'ends', 'since', 'by', 'reason'], rows);
    const acts = options.history
      ? shown.flatMap((entry) =>
          entry.history.map(
            (act) =>
              `  ${entry.scope} ${entry.id}: ${act.action} ${distance(act.at - now)} by ${act.by}: ${act.reason}`,
          ),
        )
      : [];
    const stores = quotas.map(
      ({ store, bytes, limitBytes, used, roomFor }) =>
        `${store}: ${bytes} of ${limitBytes} bytes (${Math.round(used * 100)} %), room for about ${roomFor} more`,
    );
    return [table, ...acts, '', `${shown.length} of ${total} shown.`, ...stores].join('\n');
  });
}

function newest(entries: readonly LedgerEntry[], limit: number): LedgerEntry[] {
  return [...entries].sort((a, b) => b.at - a.at).slice(0, limit);
}

async function exportEntries(
  cli: Cli,
  session: StoreSession,
  file: string | undefined,
  options: { readonly format?: 'jsonl' | 'csv'; readonly state: string },
): Promise<void> {
  const { exportHeader, exportLine } = await import('../../revoker/index.js');
  const format = options.format ?? (file?.endsWith('.csv') ? 'csv' : 'jsonl');
  const output = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
  const write = async (text: string): Promise<void> => {
    if (!output.write(text)) await once(output, 'drain');
  };
  let count = 0;
  await write(exportHeader(format));
  for await (const entry of session.ledger.scan(options.state === 'all' ? {} : { states: ['active'] })) {
    await write(exportLine(entry, format));
    count += 1;
  }
  if (file === undefined) return;
  output.end();
  await once(output, 'finish');
  cli.result({ file, format, entries: count }, () => `${count} entries written to ${file}.`);
}

/** Revokes what the lines of a file name. A run that was interrupted is simply run again. */
export async function importFile(cli: Cli, session: StoreSession, file: string, options: ImportOptions): Promise<void> {
  const { checkRoom, createLineReader, quotaOf, scopes } = await import('../../revoker/index.js');
  if (options.scope !== undefined && !scopes.includes(options.scope)) {
    throw new CliError('usage', `--scope: ${scopes.join(', ')} were expected, not ${options.scope}.`, { exitCode: 2 });
  }
  const now = Math.floor(Date.now() / 1000);
  const lifetime = options.scope === undefined ? undefined : session.config.lifetimes[options.scope];
  const until = (await endOf(options, now)) ?? (lifetime === undefined ? undefined : now + lifetime);
  const read = createLineReader({
    now,
    reason: options.reason ?? 'bulk import',
    ...(options.scope === undefined ? {} : { scope: options.scope }),
    ...(until === undefined ? {} : { until }),
  });
  const requests: RevocationRequest[] = [];
  let skipped = 0;
  let number = 0;
  const input = file === '-' ? process.stdin : createReadStream(file);
  const failed = once(input, 'error').then(([error]) => {
    throw new CliError('unreadable', `${file} could not be read: ${(error as Error).message}`, { exitCode: 2 });
  });
  await Promise.race([
    failed,
    (async () => {
      for await (const line of createInterface({ input, crlfDelay: Infinity })) {
        number += 1;
        const request = read(line, number);
        if (request) requests.push(request);
        else if (line.trim() !== '') skipped += 1;
      }
    })(),
  ]);
  const timed = requests.filter(({ cutoff }) => cutoff !== undefined).length;
  for (const store of session.stores) {
    checkRoom(quotaOf(store.name, await store.describe()), { plain: requests.length - timed, timed });
  }
  cli.line(`${requests.length} revocations in ${file === '-' ? 'standard input' : file}, ${skipped} lines skipped.`);
  if (options.dryRun || requests.length === 0) {
    cli.result(
      { dryRun: Boolean(options.dryRun), revocations: requests.length, skipped },
      () => 'Nothing was changed.',
    );
    return;
  }
  if (
    !(await cli.confirm(`Revoke ${requests.length} entries?`, options.yes === undefined ? {} : { yes: options.yes }))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const progress = cli.progress(requests.length, 'revoking');
  const outcomes = await session.revoker.revoke(requests, {
    by: session.by,
    onProgress: (count) => progress.tick(count),
  });
  progress.done();
  const count = (result: string): number => outcomes.filter((outcome) => outcome.result === result).length;
  const waiting = outcomes.find(({ targets }) => Object.values(targets).some((state) => state !== 'done'));
  const { warnAboutQuota } = await import('./revoke.js');
  await warnAboutQuota(cli, session);
  cli.result(
    {
      revoked: count('revoked'),
      unchanged: count('unchanged'),
      skipped,
      targets: waiting?.targets ?? outcomes[0]?.targets ?? {},
    },
    () => `${count('revoked')} revoked, ${count('unchanged')} were already.`,
  );
  if (waiting) {
    throw new CliError('targets_waiting', 'The ledger has them all, a target does not yet.', {
      hint: 'Run portcullis revocations reconcile when it answers again.',
    });
  }
}

async function collectGarbage(cli: Cli, session: StoreSession, options: WriteOptions): Promise<void> {
  const { expireBlackouts } = await import('../../revoker/index.js');
  if (options.dryRun) {
    const now = Math.floor(Date.now() / 1000);
    let over = 0;
    for await (const entry of session.ledger.scan({ states: ['active'] })) {
      if (entry.until !== undefined && entry.until <= now) over += 1;
    }
    cli.result({ dryRun: true, expired: over }, () => `${over} revocations are over. Nothing was changed.`);
    return;
  }
  const before = await Promise.all(session.stores.map((store) => store.describe()));
  const { expired } = await session.revoker.expire({ by: session.by });
  const blackouts = await expireBlackouts(session.by, session);
  const after = await Promise.all(session.stores.map((store) => store.describe()));
  const freed = before.reduce((sum, one, i) => sum + one.bytes - (after[i]?.bytes ?? 0), 0);
  cli.result(
    { expired, blackouts, freedBytes: freed },
    () => `${expired} revocations and ${blackouts} blackouts ended, ${freed} bytes given back.`,
  );
}

async function rebuildStores(cli: Cli, session: StoreSession, options: WriteOptions): Promise<void> {
  const { rebuildStore, storeDrift } = await import('../../revoker/index.js');
  const { bucketCount } = await import('../../revoker/store/buckets.js');
  if (options.dryRun) return showDrift(cli, session);
  const drifts = await Promise.all(session.stores.map((store) => storeDrift(store, session.projection)));
  const changes = drifts.reduce(
    (sum, { missing, surplus, different }) => sum + missing.length + surplus.length + different.length,
    0,
  );
  cli.line(`${changes} keys differ in ${session.stores.length} store(s).`);
  if (
    changes > 0 &&
    !(await cli.confirm('Write what the ledger says?', options.yes === undefined ? {} : { yes: options.yes }))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const results: { store: string; updates: number; bytes: number; items: number }[] = [];
  for (const store of session.stores) {
    const progress = cli.progress(bucketCount, store.name);
    const result = await rebuildStore(store, { ...session.projection, onProgress: (count) => progress.tick(count) });
    progress.done();
    results.push({ store: store.name, updates: result.updates, bytes: result.store.bytes, items: result.store.items });
  }
  cli.result({ changed: changes, stores: results }, () =>
    results.map(({ store, updates, bytes }) => `${store}: ${updates} updates, ${bytes} bytes now.`).join('\n'),
  );
}

async function showDrift(cli: Cli, session: StoreSession): Promise<void> {
  const { quotaOf, storeDrift } = await import('../../revoker/index.js');
  const jobs = await session.ledger.jobs();
  const reports = await Promise.all(
    session.stores.map(async (store) => {
      const { store: description, ...drift } = await storeDrift(store, session.projection);
      return { store: store.name, ...drift, quota: quotaOf(store.name, description) };
    }),
  );
  const waiting = session.targets
    .filter(({ kind }) => kind !== 'store')
    .map(({ name }) => {
      const open = jobs.filter((job) => name in job.pending);
      const error = open.map((job) => job.pending[name]).find((text) => text);
      return { target: name, jobs: open.length, ...(error === undefined ? {} : { error }) };
    });
  const differs = reports.some(
    ({ missing, surplus, different }) => missing.length + surplus.length + different.length > 0,
  );
  const open = waiting.some((target) => target.jobs > 0);
  cli.result({ inStep: !differs && !open, unfinishedJobs: jobs.length, stores: reports, targets: waiting }, () =>
    [
      cli.table(
        ['store', 'missing', 'surplus', 'different', 'not managed', 'bytes'],
        reports.map((one) => [
          one.store,
          one.missing.length,
          one.surplus.length,
          one.different.length,
          one.unmanaged.length,
          one.quota.bytes,
        ]),
      ),
      ...waiting.map(({ target, jobs: count, error }) => `${target}: ${count} unfinished${error ? ` (${error})` : ''}`),
      differs ? 'Repair with: portcullis revocations rebuild' : 'The stores hold what the ledger says.',
    ].join('\n'),
  );
  if (differs || open) {
    throw new CliError('drift', 'A target does not hold what the ledger says.', {
      hint: open && !differs ? 'portcullis revocations reconcile' : 'portcullis revocations rebuild',
    });
  }
}

async function reconcileJobs(cli: Cli, session: StoreSession): Promise<void> {
  const { reconcile } = await import('../../revoker/index.js');
  const result = await reconcile({ ledger: session.ledger, targets: session.targets, elsewhere: session.elsewhere });
  cli.result(result, () => {
    const kept = result.jobs - result.finished;
    const left = Object.entries(result.left).map(([name, count]) => `${count} for ${name}`);
    return (
      `${result.jobs} unfinished jobs found, ${result.finished} finished` +
      `${kept > 0 ? `, ${kept} kept because their writer may be alive, a target fails or is not reached from here` : ''}.` +
      `${left.length > 0 ? ` Left for who reaches them: ${left.join(', ')}.` : ''}`
    );
  });
  const failed = Object.entries(result.failed);
  if (failed.length > 0) {
    for (const [name, why] of failed) cli.warn(`${name}: ${why}`);
    throw new CliError('targets_waiting', `Still failing: ${failed.map(([name]) => name).join(', ')}.`);
  }
}
