import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { Conviction, StreamOptions } from '../../revoker/streaming/index.js';
import { localEndpoints } from '../cli/connection.js';
import { detectionSettings, logFields, type ReadOptions } from '../cli/detection-settings.js';
import { CliError, type Cli } from '../cli/output.js';
import { addWriteOptions, withSession, type StoreSession, type WriteOptions } from '../cli/store-connection.js';

interface WatchOptions extends Omit<ReadOptions, 'addressDatabase' | 'window'>, WriteOptions {
  readonly revoke?: boolean;
  readonly every: string;
  readonly ceiling?: string;
  readonly fromStart?: boolean;
  readonly once?: boolean;
  readonly for?: string;
}

/** Adds `detect watch` to the `detect` group. */
export function registerWatch(detect: Command, cli: Cli): void {
  const watch = detect
    .command('watch')
    .argument(
      '[log]',
      "a growing log: JSON lines, or a real-time log's lines (default with --local: the local edge's own)",
    )
    .description('Follow a log as it is written and judge its sessions within seconds; with --revoke, act at once');
  addWriteOptions(watch)
    .option('--fields <list>', "columns of a real-time log's lines: names by comma, or a file with one a line")
    .option('--threshold <points>', 'score from which a session is convicted')
    .option('--settings <file>', "JSON with the configuration's detection section")
    .option('--revoke', 'carry out what is certain; the rest is shown and waits')
    .option('--every <seconds>', 'how often sessions are judged, 1 to 60', '10')
    .option('--ceiling <n>', 'most sessions acted upon in an hour (default: detection.ceilings.revokeSession)')
    .option('--from-start', 'judge what is in the log already, too')
    .option('--once', 'read the log from its start to its end, judge, and end')
    .option('--for <duration>', 'end after this long')
    .addHelpText(
      'after',
      `
Examples:
  $ portcullis detect watch --local                       # show who would be convicted
  $ portcullis detect watch --local --revoke --ceiling 5  # and shut them out
  $ portcullis detect watch realtime.log --fields fields.txt --revoke --dry-run

It runs what the streaming Lambda runs behind Kinesis. --json prints one object a line: the first once it follows the log,
then one for each session convicted, and a summary in the end. SIGINT and SIGTERM end it after a last judgement.`,
    )
    .action(async (log: string | undefined, options: WatchOptions) => {
      await watchLog(cli, log, options);
    });
}

function wholeNumber(flag: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high) {
    throw new CliError('usage', `--${flag} wants a whole number from ${low} to ${high}, not ${text}.`, { exitCode: 2 });
  }
  return value;
}

async function watchLog(cli: Cli, log: string | undefined, options: WatchOptions): Promise<void> {
  const windowSeconds = wholeNumber('every', options.every, 1, 60);
  const ceiling = options.ceiling === undefined ? undefined : wholeNumber('ceiling', options.ceiling, 0, 100_000);
  const file = log ?? (options.local ? localEndpoints().accessLog : undefined);
  if (file === undefined) {
    throw new CliError('usage', 'Name the log to follow.', { exitCode: 2, hint: 'Or add --local for the local edge.' });
  }
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory()) {
    throw new CliError('usage', `${file} is a folder; one growing file is followed.`, {
      exitCode: 2,
      hint: 'portcullis detect run reads folders.',
    });
  }
  if (there === undefined && options.once) throw new CliError('no_logs', `${file}: there is no such file.`);
  const { secondsOf } = await import('../cli/store-connection.js');
  const seconds = options.for === undefined ? undefined : await secondsOf(options.for, '--for');
  const config = await detectionSettings(cli, options);
  const { realTimeFields } = await import('../../revoker/detection/fields.js');
  const fields = (await logFields(options.fields)) ?? realTimeFields;
  const streaming = await import('../../revoker/streaming/index.js');

  const found = { records: 0, poison: 0, convicted: 0, acted: 0, waiting: 0 };
  const stop = new AbortController();
  const end = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  const timer = seconds === undefined ? undefined : setTimeout(end, seconds * 1000);

  const run = async (acting: Acting): Promise<void> => {
    const tail = await streaming.openTail(file, options.fromStart || options.once ? 'beginning' : 'end');
    const about = { watching: file, every: windowSeconds, acts: acting.act !== undefined };
    if (there === undefined) cli.warn(`${file} is not there yet; waiting for it`);
    if (cli.json) cli.result(about, () => '');
    else cli.line(`${file}: judged every ${windowSeconds} s; ${about.acts ? 'acting' : 'nothing is changed'}`);
    try {
      await streaming.follow({
        tail,
        fields,
        windowSeconds,
        shard: basename(file),
        signal: stop.signal,
        ...(options.once ? { once: true } : {}),
        onRetry: (error) => cli.warn(`${error.message}; trying again`),
        scope: {
          log: () => undefined,
          count(metric, value = 1) {
            if (metric in found) found[metric as keyof typeof found] += value;
          },
        },
        handle: streaming.stream({
          config,
          streaming: streaming.streamingConfigSchema.parse({ fields: [...fields] }),
          ...acting,
          ...(ceiling === undefined ? {} : { ceiling }),
          told(conviction) {
            found.convicted++;
            tell(cli, conviction, options.dryRun === true);
          },
        }),
      });
    } finally {
      found.poison += tail.overlong;
      await tail.close();
    }
  };

  try {
    if (options.revoke && !options.dryRun)
      await withSession(cli, options, async (session) => acts(session, options, run), {
        onRefused: (refused) => {
          for (const { message } of refused) cli.warn(`passed over by WAF: ${message}`);
        },
      });
    else await run({ store: streaming.memoryAggregates() });
  } finally {
    clearTimeout(timer);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, end);
  }
  if (found.poison > 0) cli.warn(`${found.poison} lines are no records and were passed over`);
  cli.result(found, () => `${found.records} records, ${found.convicted} sessions convicted, ${found.acted} acted upon`);
}

type Acting = Pick<StreamOptions, 'store' | 'act'>;

async function acts(
  session: StoreSession,
  { reason }: WatchOptions,
  run: (acting: Acting) => Promise<void>,
): Promise<void> {
  const { dynamoAggregates, streamActs } = await import('../../revoker/streaming/index.js');
  const { createLedgerClient } = await import('../../revoker/ledger/dynamodb.js');
  const { region, endpoint, table } = session.config.ledger;
  const client = createLedgerClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  try {
    const by = `detect watch: ${session.by}`;
    const act = streamActs(session, { by, ...(reason === undefined ? {} : { reason }) });
    await run({ store: dynamoAggregates(client, table), act });
  } finally {
    client.destroy();
  }
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

function tell(cli: Cli, { verdict, actions, waits }: Conviction, dryRun: boolean): void {
  const { session, sessionKind, score, decidedAt, verdict: whole } = verdict;
  const done = actions.map(({ action, request }) => ({ action, scope: request.scope, id: request.id }));
  cli.result(
    {
      session,
      kind: sessionKind,
      score,
      confidence: whole.confidence,
      firstSeen: iso(whole.firstSeen),
      // A moment's end may still be to come.
      lastSeen: iso(Math.min(whole.lastSeen, decidedAt)),
      decidedAt: iso(decidedAt),
      reasons: whole.reasons,
      actions: done,
      acted: waits === undefined,
      ...(waits === undefined ? {} : { waits: dryRun ? 'dry run' : waits }),
    },
    () =>
      [
        `${iso(decidedAt).slice(11, 19)}  ${session}  score ${score.toFixed(0)}  ` +
          (waits === undefined ? done.map(({ action }) => action).join(', ') : dryRun ? 'dry run' : waits),
        `          ${whole.reasons.slice(0, 3).join('; ')}`,
      ].join('\n'),
  );
}
