import { stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { PlannedAction } from '../../revoker/detection/actions.js';
import type { DetectionConfig } from '../../revoker/detection/config.js';
import type { ReadingReport } from '../../revoker/detection/duckdb.js';
import type { FeatureRow } from '../../revoker/detection/features.js';
import type { Detection } from '../../revoker/detection/run.js';
import { sparkline } from '../../revoker/detection/sparkline.js';
import type { Verdict } from '../../revoker/detection/verdict.js';
import type { Outcome } from '../../revoker/index.js';
import { addReadOptions, detectionSettings, logFields, type ReadOptions } from '../cli/detection-settings.js';
import { CliError, type Cli } from '../cli/output.js';
import {
  addWriteOptions,
  distance,
  withSession,
  type SessionWay,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';
import { registerRestream } from './restream.js';
import { registerSimulate } from './simulate.js';
import { registerWatch } from './watch.js';

interface RunOptions extends ReadOptions, WriteOptions {
  readonly html?: string;
  readonly revoke?: boolean;
  readonly limit: string;
  readonly held?: boolean;
}

/** Adds `detect run | explain | calibrate | watch | simulate | restream`. */
export function register(program: Command, cli: Cli): void {
  const detect = program.command('detect').description('Find shared and re-streamed sessions in access logs');

  const run = detect
    .command('run')
    .argument('<logs...>', 'files, folders or globs: standard or real-time logs, TSV, JSON, Parquet, gzip')
    .description('Judge every session in the logs; with --revoke, act on what is found');
  addWriteOptions(addReadOptions(run))
    .option('--html <file>', 'write a report that stands in one file')
    .option('--revoke', 'carry out the planned actions: ledger, stores, address blocks')
    .option('--held', 'with --revoke: carry out what waits for approval, too')
    .option('--limit <n>', 'lines of the table', '30')
    .addHelpText(
      'after',
      `
Examples:
  $ portcullis detect run logs/
  $ portcullis detect run 'lake/2026/11/20/*.parquet' --html report.html
  $ portcullis detect run .portcullis/access.log --revoke --local --dry-run
  $ portcullis detect run realtime.tsv --fields fields.txt --address-database asn.mmdb --json

The logs hold live credentials: tokens. They are hashed as they are read and appear in no output.`,
    )
    .action(async (logs: string[], options: RunOptions) => {
      const limit = checkedLimit(options);
      if (options.html !== undefined) await checkWritable(options.html);
      const { config, found } = await read(cli, logs, options);
      const { htmlReport } = await import('../../revoker/detection/report.js');
      if (options.html !== undefined) {
        await writeFile(options.html, htmlReport(found, config, { madeAt: Math.floor(Date.now() / 1000) }));
        cli.line(`report written to ${options.html}`);
      }
      const acted = options.revoke ? await act(cli, found, options) : undefined;
      cli.result(summaryOf(found, acted), () => tableOf(cli, found, config, limit, acted));
      if (acted !== undefined && acted.failed.length > 0) {
        throw new CliError('targets_waiting', 'Recorded in the ledger, but not yet everywhere.', {
          hint: 'Run portcullis revocations reconcile when the targets answer again; the scheduled reconciler does it too.',
        });
      }
    });

  addReadOptions(
    detect
      .command('explain')
      .argument('<session>', 'session, as detect run prints it')
      .argument('<logs...>', 'the logs to look at')
      .description('Show what speaks for and against one session, feature by feature'),
  )
    .addHelpText('after', '\nExamples:\n  $ portcullis detect explain 3q2-7wABAgMEBQYHCAkKCw logs/')
    .action(async (session: string, logs: string[], options: ReadOptions) => {
      const { config, found } = await read(cli, logs, options, [session]);
      const verdict = found.verdicts[0];
      if (verdict === undefined) {
        throw new CliError('session_not_found', `No request of session ${session} with media is in these logs.`, {
          hint: 'Sessions are written as `portcullis detect run` prints them.',
        });
      }
      await explain(cli, verdict, found, config);
    });

  addReadOptions(
    detect
      .command('calibrate')
      .argument('<logs...>', 'logs that are known to be clean')
      .description('Propose thresholds from a clean log'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis detect calibrate quiet-evening/ --json > proposal.json\n  $ portcullis detect run logs/ --settings proposal.json',
    )
    .action(async (logs: string[], options: ReadOptions) => {
      await calibrateOn(cli, logs, options);
    });

  registerWatch(detect, cli);
  registerSimulate(detect, cli);
  registerRestream(detect, cli);
}

/** What can be told of the options before anything is read; gives the lines of the table. */
function checkedLimit(options: RunOptions): number {
  for (const [flag, given] of [
    ['--held', options.held],
    ['--dry-run', options.dryRun],
  ] as const) {
    if (!given || options.revoke) continue;
    throw new CliError('usage', `${flag} says nothing without --revoke.`, {
      exitCode: 2,
      hint: 'Without --revoke nothing is changed in any case.',
    });
  }
  if (!/^[1-9]\d{0,6}$/.test(options.limit)) {
    throw new CliError('usage', `--limit wants a positive whole number, not ${options.limit}.`, { exitCode: 2 });
  }
  return Number(options.limit);
}

/** Before an hour of reading, not after it. */
async function checkWritable(file: string): Promise<void> {
  const folder = dirname(resolve(file));
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) {
    throw new CliError('usage', `--html: there is no folder ${folder}.`, { exitCode: 2 });
  }
  if ((await stat(file).catch(() => undefined))?.isDirectory()) {
    throw new CliError('usage', `--html: ${file} is a folder.`, { exitCode: 2, hint: 'Name a file in it.' });
  }
}

async function read(
  cli: Cli,
  logs: readonly string[],
  options: ReadOptions,
  sessions?: readonly string[],
): Promise<{ config: DetectionConfig; found: Detection }> {
  const config = await detectionSettings(cli, options);
  const fields = await logFields(options.fields);
  const { detect } = await import('../../revoker/detection/run.js');
  const addresses = await addressesOf(options);
  const progress = cli.progress(100, 'reading');
  let shown = 0;
  try {
    const found = await detect({
      logs,
      config,
      now: Date.now() / 1000,
      progress: (share) => {
        progress.tick(Math.floor(share * 100) - shown);
        shown = Math.floor(share * 100);
      },
      ...(fields === undefined ? {} : { fields }),
      ...(addresses === undefined ? {} : { addresses }),
      ...(sessions === undefined ? {} : { sessions }),
    });
    progress.done();
    checkReading(cli, found.reading);
    return { config, found };
  } catch (error) {
    throw readable(error);
  }
}

async function addressesOf(options: ReadOptions) {
  if (options.addressDatabase === undefined) return undefined;
  const { readAddressDatabase } = await import('../../revoker/detection/addresses.js');
  try {
    return await readAddressDatabase(options.addressDatabase);
  } catch (error) {
    throw readable(error);
  }
}

function readable(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (code === 'log_source') {
    return new CliError('no_logs', (error as Error).message, { hint: 'Name log files, folders or globs in quotes.' });
  }
  if (code === 'address_database') return new CliError('address_database', (error as Error).message);
  return error;
}

/** Least share of the records with a token; below it the places where tokens are looked for may be wrong. */
const fewTokens = 0.2;

/** Warns of what was passed over; an error where nothing was understood, for then nothing was looked at. */
function checkReading(cli: Cli, reading: ReadingReport): void {
  for (const file of reading.skipped.slice(0, 10)) cli.warn(`${file.file} passed over: ${file.why}`);
  if (reading.skipped.length > 10) cli.warn(`${reading.skipped.length - 10} more files passed over`);
  for (const file of reading.damaged.slice(0, 10)) cli.warn(`${file.file}: ${file.why}`);
  if (reading.damaged.length > 10) cli.warn(`${reading.damaged.length - 10} more files read in part`);
  if (reading.unreadable > 0) cli.warn(`${reading.unreadable} lines are no records and were passed over`);
  if (reading.future > 0) cli.warn(`${reading.future} records are dated in the future and were passed over`);
  if (
    reading.records === 0 &&
    reading.unreadable + reading.future + reading.skipped.length + reading.damaged.length === 0
  ) {
    cli.warn('the logs hold no record');
    return;
  }
  if (reading.records === 0) {
    throw new CliError('nothing_readable', 'No record of these logs could be understood.', {
      hint:
        reading.future > 0
          ? 'Its records are dated in the future: is the clock right?'
          : 'Is it an access log of CloudFront? Without a header line, name its columns with --fields.',
    });
  }
  if (reading.tokened < fewTokens * reading.records) {
    const share = Math.round((100 * reading.tokened) / reading.records);
    cli.warn(
      `${reading.tokened === 0 ? 'no record carries' : `only ${share} % of the records carry`} a token where the configured placements look for one: ` +
        'see detection.placements, and publicPaths for what is served without',
    );
  }
  if (reading.several > 0) {
    cli.warn(
      `${reading.several} served requests carried more than one token, as players do only while a token is renewed; ` +
        'somebody may hide behind sessions of his own making (docs/detection.md, "What an abuser may write")',
    );
  }
  if (reading.tokened > 0 && !reading.located) {
    cli.warn('the logs tell no autonomous system or country: add --address-database, or the fields asn and c-country');
  }
}

/** A target that did not take some of the actions; the ledger has them. */
interface Failure {
  readonly target: string;
  readonly message: string;
  readonly actions: number;
}

interface Acted {
  /** Recorded, and on every target. */
  readonly done: number;
  readonly unchanged: number;
  readonly held: number;
  /** Networks that the WAF sets never hold: they are refused at minting alone. */
  readonly passedOver: readonly string[];
  readonly failed: readonly Failure[];
  /** Under `--dry-run`: what would be done. */
  readonly planned?: readonly PlannedAction[];
}

const nothingDone = { done: 0, unchanged: 0, passedOver: [], failed: [] };

async function act(cli: Cli, found: Detection, options: RunOptions): Promise<Acted> {
  const chosen = options.held ? [...found.plan.ready, ...found.plan.held] : found.plan.ready;
  const held = options.held ? 0 : found.plan.held.length;
  if (options.dryRun) return { ...nothingDone, held, planned: chosen };
  if (chosen.length === 0) return { ...nothingDone, held };
  if (
    options.held &&
    !(await cli.confirm(
      `Carry out ${chosen.length} actions, ${found.plan.held.length} of them over a ceiling or of low confidence?`,
      { yes: options.yes === true },
    ))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const refused = new Map<string, string>();
  const onRefused: SessionWay['onRefused'] = (some) => {
    for (const { address, message } of some) refused.set(address, message);
  };
  return withSession(
    cli,
    options,
    async (session) => {
      const requests = chosen.map(({ request }) =>
        options.reason === undefined ? request : { ...request, reason: options.reason },
      );
      const progress = cli.progress(requests.length, 'acting');
      let shown = 0;
      const outcomes = await session.revoker.revoke(requests, {
        by: `detect: ${session.by}`,
        onProgress: (count) => {
          progress.tick(count - shown);
          shown = count;
        },
      });
      progress.done();
      const failed = failuresOf(outcomes, session);
      for (const { target, message, actions } of failed) {
        cli.warn(`${target} has not taken ${actions} of the actions: ${message}`);
      }
      warnOfRefused(cli, refused);
      const complete = outcomes.filter(
        (outcome) => openTargets(outcome, session).length === 0 && !refused.has(outcome.id),
      );
      return {
        done: complete.filter(({ result }) => result === 'revoked').length,
        unchanged: complete.filter(({ result }) => result === 'unchanged').length,
        held,
        passedOver: outcomes.filter(({ id }) => refused.has(id)).map(({ id }) => id),
        failed,
      };
    },
    { onRefused },
  );
}

/** The targets that concern an outcome and have not taken it; of a batch, each outcome tells the state of all targets. */
function openTargets({ scope, targets }: Outcome, session: StoreSession): [string, string][] {
  const network = scope === 'network' || scope === 'asn';
  const concerned = new Set(
    session.targets
      .filter(({ kind }) => kind === 'webhook' || (kind === 'network-blocker') === network)
      .map(({ name }) => name),
  );
  return Object.entries(targets).filter(([name, state]) => state !== 'done' && concerned.has(name));
}

function failuresOf(outcomes: readonly Outcome[], session: StoreSession): Failure[] {
  const failures = new Map<string, Failure>();
  for (const [target, message] of outcomes.flatMap((outcome) => openTargets(outcome, session))) {
    const key = `${target} ${message}`;
    failures.set(key, { target, message, actions: (failures.get(key)?.actions ?? 0) + 1 });
  }
  return [...failures.values()];
}

function warnOfRefused(cli: Cli, refused: ReadonlyMap<string, string>): void {
  const messages = [...refused.values()];
  for (const message of messages.slice(0, shownItems)) cli.warn(`passed over by WAF: ${message}`);
  if (messages.length > shownItems) cli.warn(`passed over by WAF: ${messages.length - shownItems} more networks`);
}

const iso = (seconds: number | undefined): string | undefined =>
  seconds === undefined ? undefined : new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

/** The result for machines. */
function summaryOf(found: Detection, acted: Acted | undefined): unknown {
  const { reading, audience, verdicts, plan } = found;
  return {
    sessions: audience.sessions,
    ...(audience.from > 0 ? { from: iso(audience.from), until: iso(audience.until) } : {}),
    reading,
    flagged: verdicts
      .filter((verdict) => verdict.flagged)
      .map((verdict) => ({
        session: verdict.session,
        kind: verdict.sessionKind,
        score: verdict.score,
        confidence: verdict.confidence,
        firstSeen: iso(verdict.firstSeen),
        decidedAt: iso(verdict.decidedAt),
        reasons: verdict.reasons,
        contributions: verdict.contributions.map(({ signal, value, points }) => ({ signal, value, points })),
        actions: [...plan.ready, ...plan.held]
          .filter((entry) => entry.session === verdict.session)
          .map((entry) => ({
            action: entry.action,
            scope: entry.request.scope,
            id: entry.request.id,
            ...('why' in entry ? { waits: entry.why } : {}),
          })),
      })),
    watched: verdicts.filter((verdict) => !verdict.flagged).length,
    actions: { ready: plan.ready.length, held: plan.held.length, allowed: plan.allowed.length },
    ...(acted === undefined ? {} : { acted: actedOf(acted) }),
  };
}

function actedOf({ planned, ...counts }: Acted): unknown {
  return {
    dryRun: planned !== undefined,
    ...counts,
    ...(planned === undefined
      ? {}
      : {
          planned: planned.map(({ action, session, score, request }) => ({
            action,
            scope: request.scope,
            id: request.id,
            session,
            score,
            until: iso(request.until),
          })),
        }),
  };
}

/** Networks at once for which a bar is full, at least. */
const fullBar = 8;

/** Networks at once over time. */
function networksLine(verdict: Verdict, found: Detection): string {
  const counts = new Map<number, number>();
  for (const cell of found.timelines.get(verdict.session) ?? []) counts.set(cell.at, (counts.get(cell.at) ?? 0) + 1);
  return sparkline(
    [...counts].sort((a, b) => a[0] - b[0]).map(([, count]) => count),
    18,
    fullBar,
  );
}

function tableOf(cli: Cli, found: Detection, config: DetectionConfig, limit: number, acted: Acted | undefined): string {
  const { reading, audience, verdicts, plan } = found;
  const flagged = verdicts.filter((verdict) => verdict.flagged);
  const rows = flagged
    .slice(0, limit)
    .map((verdict) => [
      verdict.score.toFixed(0),
      verdict.session,
      networksLine(verdict, found),
      new Date((verdict.decidedAt as number) * 1000).toISOString().slice(11, 19),
      verdict.reasons.slice(0, 2).join('; '),
    ]);
  const text = [
    `${reading.records.toLocaleString('en-GB')} requests of ${audience.sessions.toLocaleString('en-GB')} sessions in ${reading.files} file${reading.files === 1 ? '' : 's'}: ` +
      `${flagged.length} flagged (score ${config.threshold} and above), ${verdicts.length - flagged.length} watched`,
  ];
  if (rows.length > 0) {
    text.push('', cli.table([{ title: 'score', align: 'right' }, 'session', 'networks', 'decided', 'why'], rows));
    if (flagged.length > rows.length)
      text.push(`and ${flagged.length - rows.length} more: --limit, --html or --json shows them`);
  }
  if (plan.ready.length + plan.held.length > 0) {
    text.push(
      '',
      `${plan.ready.length} actions ready, ${plan.held.length} wait for approval${plan.allowed.length > 0 ? `, ${plan.allowed.length} sessions on the allow list` : ''}`,
    );
    for (const why of [...new Set(plan.held.map((entry) => entry.why))].slice(0, 3)) text.push(`  waits: ${why}`);
  }
  if (acted?.planned !== undefined) {
    if (acted.planned.length > 0) text.push('', plannedTable(cli, acted.planned));
    text.push('dry run: nothing was changed');
  } else if (acted !== undefined) {
    text.push(
      `${acted.done} carried out, ${acted.unchanged} stood already, ${acted.held} wait for approval` +
        (acted.failed.length > 0
          ? `, ${acted.failed.reduce((sum, { actions }) => sum + actions, 0)} not yet on every target`
          : ''),
    );
    if (acted.passedOver.length > 0) {
      text.push(
        `${acted.passedOver.length} networks are refused at minting and not in WAF, which never blocks private, reserved, documentation, allow-listed or very wide ranges`,
      );
    }
  } else if (plan.ready.length > 0) text.push('nothing was changed: --revoke acts');
  return text.join('\n');
}

/** What would be done, each action in a line. */
function plannedTable(cli: Cli, planned: readonly PlannedAction[]): string {
  const now = Date.now() / 1000;
  return cli.table(
    ['action', 'what', { title: 'score', align: 'right' }, 'lasts', 'for session'],
    planned.map(({ action, request, score, session }) => [
      action,
      `${request.scope} ${request.id}`,
      score.toFixed(0),
      request.until === undefined ? 'until lifted' : distance(request.until - now).replace(/^in /, ''),
      session,
    ]),
  );
}

/** Members of a list that are shown. */
const shownItems = 8;

/** A feature's value for people: moments as such, other numbers with a digit behind the point where there is one. */
function shownValue(value: number | string | readonly (number | string)[], unit: string): string {
  if (Array.isArray(value)) return `${value.slice(0, shownItems).join(', ')}${value.length > shownItems ? ' …' : ''}`;
  if (typeof value !== 'number') return String(value);
  if (unit === 'UTC') return iso(value) ?? '';
  return (Math.round(value * 10) / 10).toLocaleString('en-GB');
}

/** No finding may mean a good viewer, or that there is too little to find. */
function withoutFindings({ media, moments }: FeatureRow, { evidence }: DetectionConfig): string {
  if (media >= evidence.media && moments >= evidence.moments) return 'Nothing speaks against this session.';
  return (
    `Too little evidence for a verdict: ${media} segments in ${moments} moments, where it rests on ${evidence.media} in ` +
    `${evidence.moments} at least. The streaming path judges from less.`
  );
}

async function explain(cli: Cli, verdict: Verdict, found: Detection, config: DetectionConfig): Promise<void> {
  const { features } = await import('../../revoker/detection/features.js');
  const { placeName } = await import('../../revoker/detection/addresses.js');
  const networks = networksLine(verdict, found);
  const places = found.places.get(verdict.session) ?? [];
  const worst = verdict.windows.reduce((a, b) => (b.score > a.score ? b : a));
  const measured = features.map((feature) => {
    const value = worst.row[feature.name];
    const unit = feature.unit === 'epoch seconds' ? 'UTC' : feature.unit;
    return [feature.name, shownValue(value, unit), unit, feature.meaning];
  });
  cli.result(
    {
      session: verdict.session,
      kind: verdict.sessionKind,
      score: verdict.score,
      confidence: verdict.confidence,
      flagged: verdict.flagged,
      threshold: config.threshold,
      decidedAt: iso(verdict.decidedAt),
      contributions: verdict.contributions,
      windows: verdict.windows.map((window) => ({
        start: iso(window.windowStart),
        score: window.score,
        contributions: window.contributions,
        features: window.row,
      })),
      places,
    },
    () =>
      [
        `${verdict.session}  score ${verdict.score.toFixed(0)} of 100, ${verdict.flagged ? 'flagged' : 'not flagged'} (threshold ${config.threshold}), confidence ${verdict.confidence.toFixed(2)}`,
        `networks at once  ${networks}`,
        '',
        verdict.contributions.length === 0
          ? withoutFindings(worst.row, config)
          : cli.table(
              [{ title: 'points', align: 'right' }, 'signal', 'why'],
              verdict.contributions.map((found_) => [found_.points.toFixed(1), found_.signal, found_.reason]),
            ),
        '',
        `windows: ${verdict.windows.map((window) => `${new Date(window.windowStart * 1000).toISOString().slice(11, 16)} ${window.score.toFixed(0)}`).join('  ')}`,
        '',
        cli.table(
          ['address', 'network', 'country', 'AS', { title: 'segments', align: 'right' }],
          places
            .slice(0, 15)
            .map((place) => [
              place.address,
              placeName(place.place),
              place.country ?? '-',
              place.asn ?? '-',
              place.media,
            ]),
        ),
        '',
        cli.table(['feature', 'value', 'unit', 'what it counts'], measured),
      ].join('\n'),
  );
}

async function calibrateOn(cli: Cli, logs: readonly string[], options: ReadOptions): Promise<void> {
  const config = await detectionSettings(cli, options);
  const fields = await logFields(options.fields);
  const addresses = await addressesOf(options);
  const { findLogs } = await import('../../revoker/detection/sources.js');
  const { readLogs } = await import('../../revoker/detection/duckdb.js');
  const { calibrate } = await import('../../revoker/detection/calibrate.js');
  try {
    const database = await readLogs(await findLogs(logs, fields), {
      config,
      now: Math.floor(Date.now() / 1000),
      everySession: true,
      ...(addresses === undefined ? {} : { addresses }),
    });
    try {
      const { reading } = database;
      checkReading(cli, reading);
      const rows = await database.rows({ every: true });
      const found = calibrate(rows, config, database.audience, await database.accounts());
      const abused = found.proposals.filter((proposal) => proposal.abused).map(({ weight }) => weight);
      if (abused.length > 0) {
        cli.warn(
          `the log looks abused, so nothing is proposed for ${abused.join(', ')}: take a log without the sessions that detect run flags`,
        );
      }
      cli.result({ ...found, reading }, () =>
        [
          `${found.windows} windows of ${found.sessions} sessions with enough evidence; the current settings flag ${found.flaggedNow} of them`,
          '',
          cli.table(
            ['weight', { title: 'clean up to', align: 'right' }, 'now', 'proposed'],
            found.proposals.map((proposal) => [
              proposal.weight,
              proposal.clean,
              `${proposal.current.from}–${proposal.current.to}`,
              proposal.abused
                ? 'looks abused'
                : proposal.proposed.from === proposal.current.from
                  ? 'keep'
                  : `${proposal.proposed.from}–${proposal.proposed.to}`,
            ]),
          ),
          '',
          'for the configuration: detection: ' + JSON.stringify(found.config),
        ].join('\n'),
      );
    } finally {
      await database.close();
    }
  } catch (error) {
    throw readable(error);
  }
}
