import { Option, type Command } from 'commander';
import type { BlackoutRule, BlackoutValue } from '../../revoker/index.js';
import { CliError, type Cli } from '../cli/output.js';
import {
  addStoreOptions,
  addWriteOptions,
  distance,
  moment,
  secondsOf,
  withSession,
  type StoreOptions,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';

interface SetOptions extends WriteOptions {
  readonly country?: string[];
  readonly subdivision?: string[];
  readonly metro?: string[];
  readonly postal?: string[];
  readonly allow?: boolean;
  readonly from?: string;
  readonly until?: string;
  readonly for?: string;
  readonly onUnknown?: 'refuse' | 'allow';
  readonly slate?: string;
}

interface SyncOptions extends WriteOptions {
  readonly name?: string;
  readonly window: string;
  readonly allowShrink?: boolean;
}

export function register(program: Command, cli: Cli): void {
  const blackout = program
    .command('blackout')
    .description(
      'Keep a content dark for countries, regions, US metros or postal codes; holds even when tokens are off',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis blackout set match-7 --metro 807 862 --until 2026-12-01T22:00:00Z --reason "home game"\n  $ portcullis blackout list --local',
    );

  const set = blackout
    .command('set')
    .description('Set the blackout of a content, in place of the one it may have')
    .argument('<content>', 'content id')
    .option('--country <code...>', 'ISO 3166-1 codes, such as US')
    .option('--subdivision <code...>', 'regions by ISO 3166-2 code, such as US-CA')
    .option('--metro <code...>', 'US metro (DMA) codes, such as 807')
    .option('--postal <code...>', 'postal codes, such as 94110')
    .option('--allow', 'the places are where it is NOT dark')
    .option('--from <moment>', 'start, ISO 8601 with zone (default: now)')
    .option('--until <moment>', 'end')
    .option('--for <duration>', 'length, from the start')
    .addOption(
      new Option('--on-unknown <verdict>', 'where CloudFront does not know the place').choices(['refuse', 'allow']),
    )
    .option('--slate <path>', 'playlist to play instead, such as /slate/index.m3u8');
  addWriteOptions(set)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis blackout set match-7 --subdivision US-CA US-NV --for 3h --reason "rights" --local\n  $ portcullis blackout set match-7 --allow --country DE AT CH --slate /slate/index.m3u8 --yes',
    )
    .action((content: string, options: SetOptions) =>
      withSession(cli, options, (session) => setOne(cli, session, content, options)),
    );

  const clear = blackout
    .command('clear')
    .description('Take the blackout of a content away')
    .argument('<content>', 'content id');
  addWriteOptions(clear)
    .addHelpText('after', '\nExamples:\n  $ portcullis blackout clear match-7 --reason "sold out" --local')
    .action((content: string, options: WriteOptions) =>
      withSession(cli, options, (session) => clearOne(cli, session, content, options)),
    );

  addStoreOptions(blackout.command('list').description('List blackouts, in force and to come'))
    .addHelpText('after', '\nExamples:\n  $ portcullis blackout list --json')
    .action((options: StoreOptions) => withSession(cli, options, (session) => list(cli, session)));

  const sync = blackout
    .command('sync')
    .description('Mirror a schedule: adds, changes and removes; on any doubt about the schedule nothing changes')
    .argument('<schedule>', 'JSON or CSV, file or URL')
    .option('--name <name>', 'name of the schedule (default: its address); it removes only what it set')
    .option('--window <duration>', 'how far ahead blackouts are put into the store', '7d')
    .option('--allow-shrink', 'also where it removes more than half');
  addWriteOptions(sync)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis blackout sync https://rights.example/schedule.json --name rights\n  $ portcullis blackout sync schedule.csv --dry-run',
    )
    .action((schedule: string, options: SyncOptions) =>
      withSession(cli, options, (session) => syncSchedule(cli, session, schedule, options)),
    );
}

async function timeOf(text: string, option: string): Promise<number> {
  const { epochSeconds } = await import('../../revoker/blackouts/schedule.js');
  const seconds = epochSeconds(text);
  if (seconds !== undefined) return seconds;
  throw new CliError('usage', `${option}: a moment such as 2026-12-01T20:00:00Z was expected, not ${text}.`, {
    exitCode: 2,
  });
}

async function ruleOf(content: string, options: SetOptions): Promise<BlackoutRule> {
  const { parseBlackoutRule } = await import('../../revoker/index.js');
  if (options.until !== undefined && options.for !== undefined) {
    throw new CliError('usage', 'Give either --until or --for.', { exitCode: 2 });
  }
  const places = {
    ...(options.country ? { country: options.country.map((code) => code.toUpperCase()) } : {}),
    ...(options.subdivision ? { region: options.subdivision.map((code) => code.toUpperCase()) } : {}),
    ...(options.metro ? { metro: options.metro } : {}),
    ...(options.postal ? { postal: options.postal } : {}),
  };
  const from = options.from === undefined ? undefined : await timeOf(options.from, '--from');
  const length = options.for === undefined ? undefined : await secondsOf(options.for, '--for');
  const start = from ?? Math.floor(Date.now() / 1000);
  const until = options.until === undefined ? length && start + length : await timeOf(options.until, '--until');
  return parseBlackoutRule(
    {
      [options.allow ? 'allow' : 'deny']: places,
      ...(from === undefined ? {} : { from }),
      ...(until === undefined ? {} : { until }),
      ...(options.onUnknown === undefined ? {} : { onUnknown: options.onUnknown }),
      ...(options.slate === undefined ? {} : { slate: options.slate }),
    },
    content,
  );
}

function words(rule: BlackoutRule): string {
  const places = rule.deny ?? rule.allow ?? {};
  const list = Object.entries(places).map(([kind, values]) => `${kind} ${(values ?? []).join(' ')}`);
  return `${rule.deny ? 'dark in' : 'dark but in'} ${list.join(' or ')}`;
}

/** Recorded and not yet everywhere is a failure of the command, though not of the act. */
function finish(cli: Cli, targets: Readonly<Record<string, string>>): void {
  const waiting = Object.entries(targets).filter(([, state]) => state !== 'done');
  if (waiting.length === 0) return;
  for (const [name, why] of waiting) cli.warn(`${name}: ${why}`);
  throw new CliError('targets_waiting', `Recorded, but not yet on ${waiting.map(([name]) => name).join(', ')}.`, {
    hint: 'Run portcullis revocations reconcile when it answers again.',
  });
}

async function setOne(cli: Cli, session: StoreSession, content: string, options: SetOptions): Promise<void> {
  const { setBlackout } = await import('../../revoker/index.js');
  const rule = await ruleOf(content, options);
  cli.line(
    `${content}: ${words(rule)}, from ${rule.from === undefined ? 'now' : moment(rule.from)}, ends ${moment(rule.until).replace('until lifted', 'when cleared')}.`,
  );
  if (options.dryRun) {
    cli.result({ dryRun: true, content, rule }, () => 'Dry run: nothing was changed.');
    return;
  }
  if (
    rule.allow &&
    !(await cli.confirm(`Keep ${content} dark everywhere else?`, options.yes === undefined ? {} : { yes: options.yes }))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const targets = await setBlackout(
    content,
    rule,
    { by: session.by, reason: options.reason ?? 'no reason given' },
    session,
  );
  finish(cli, targets);
  cli.result({ content, rule, targets }, () => 'Set; the edge follows within seconds.');
}

async function clearOne(cli: Cli, session: StoreSession, content: string, options: WriteOptions): Promise<void> {
  const { clearBlackout } = await import('../../revoker/index.js');
  if (options.dryRun) {
    const record = await session.ledger.record<BlackoutValue>('blackout', content);
    cli.result({ dryRun: true, content, found: record !== undefined }, () =>
      record ? 'It would be cleared.' : 'It has none.',
    );
    return;
  }
  const { cleared, targets } = await clearBlackout(
    content,
    { by: session.by, reason: options.reason ?? 'no reason given' },
    session,
  );
  finish(cli, targets);
  if (!cleared)
    throw new CliError('not_found', `${content} has no blackout.`, { hint: 'See all: portcullis blackout list' });
  cli.result({ content, cleared, targets }, () => 'Cleared; the edge follows within seconds.');
}

async function list(cli: Cli, session: StoreSession): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const blackouts = (await session.ledger.records<BlackoutValue>('blackout')).map(({ id, value }) => ({
    content: id,
    state:
      value.rule.until !== undefined && value.rule.until <= now
        ? 'over'
        : value.rule.from !== undefined && value.rule.from > now
          ? 'to come'
          : 'in force',
    ...value,
  }));
  cli.result({ blackouts }, () =>
    cli.table(
      ['content', 'state', 'where', 'from', 'until', 'set by', 'reason'],
      blackouts.map(({ content, state, rule, source, by, reason }) => [
        content,
        state,
        words(rule),
        rule.from === undefined ? '' : distance(rule.from - now),
        rule.until === undefined ? 'cleared' : distance(rule.until - now),
        source === 'manual' ? by : source,
        reason,
      ]),
    ),
  );
}

async function syncSchedule(cli: Cli, session: StoreSession, schedule: string, options: SyncOptions): Promise<void> {
  const { applySync, parseSchedule, planSync, readSchedule } = await import('../../revoker/index.js');
  const name = options.name ?? schedule;
  const rows = parseSchedule(await readSchedule(schedule));
  const window = { seconds: await secondsOf(options.window, '--window') };
  const plan = await planSync(name, rows, window, session);
  for (const { content, rule } of plan.set) cli.line(`set     ${content}: ${words(rule)}`);
  for (const content of plan.remove) cli.line(`remove  ${content}`);
  for (const content of plan.manual) cli.warn(`${content} was set by hand: the schedule leaves it.`);
  const counts = {
    set: plan.set.length,
    removed: plan.remove.length,
    unchanged: plan.unchanged,
    manual: plan.manual.length,
  };
  if (options.dryRun) {
    cli.result(
      { dryRun: true, ...counts, plan },
      () => `Would set ${counts.set} and remove ${counts.removed}. Nothing was changed.`,
    );
    return;
  }
  const targets = await applySync(
    name,
    plan,
    { by: session.by, ...(options.allowShrink ? { allowShrink: true } : {}) },
    session,
  );
  finish(cli, targets);
  cli.result(
    { ...counts, targets },
    () => `${counts.set} set, ${counts.removed} removed, ${counts.unchanged} unchanged.`,
  );
}
