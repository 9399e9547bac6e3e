import { Argument, Option, type Command } from 'commander';
import type { Mode } from '../../revoker/index.js';
import { CliError, type Cli } from '../cli/output.js';
import {
  addStoreOptions,
  addWriteOptions,
  endOf,
  moment,
  withSession,
  type StoreOptions,
  type StoreSession,
  type WriteOptions,
} from '../cli/store-connection.js';

interface SetOptions extends WriteOptions {
  readonly issuer?: string;
  readonly for?: string;
  readonly until?: string;
  readonly forever?: boolean;
}

export function register(program: Command, cli: Cli): void {
  const mode = program
    .command('mode')
    .description('How strictly tokens are taken: off, log or enforce; without a deployment')
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis mode set log --for 30m --reason "player update"\n  $ portcullis mode show',
    );

  const set = mode
    .command('set')
    .description('Set the mode for all issuers or one; falls back to enforce by itself')
    .addArgument(
      new Argument('<mode>', 'off: let pass; log: decide, log, let pass; enforce: refuse').choices([
        'off',
        'log',
        'enforce',
      ]),
    )
    .option('--issuer <iss>', 'only keys that list this issuer (default: all)')
    .option('--for <duration>', 'how long, such as 30m')
    .option('--until <moment>', 'until when, ISO 8601 with zone')
    .addOption(new Option('--forever', 'no end; off and log then stay until they are set back'));
  addWriteOptions(set)
    .addHelpText(
      'after',
      '\nExamples:\n  $ portcullis mode set log --for 30m --reason "players of the new app fail"\n  $ portcullis mode set enforce --local',
    )
    .action((value: Mode, options: SetOptions) =>
      withSession(cli, options, (session) => setMode(cli, session, value, options)),
    );

  addStoreOptions(mode.command('show').description('Show the modes in force and who set them'))
    .addHelpText('after', '\nExamples:\n  $ portcullis mode show --json')
    .action((options: StoreOptions) =>
      withSession(cli, options, async (session) => {
        const modes = await session.keyring.modes();
        cli.result({ modes }, () =>
          modes.length === 0
            ? 'The configured mode holds for everybody.'
            : cli.table(
                ['issuer', 'mode', 'until', 'by', 'reason'],
                modes.map((one) => [
                  one.issuer === '*' ? 'all' : one.issuer,
                  one.mode,
                  moment(one.until),
                  one.by,
                  one.reason,
                ]),
              ),
        );
      }),
    );
}

async function setMode(cli: Cli, session: StoreSession, mode: Mode, options: SetOptions): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const until = await endOf(options, now);
  if (mode !== 'enforce' && until === undefined && !options.forever) {
    throw new CliError('usage', `Say how long ${mode} is to last: --for 30m`, {
      exitCode: 2,
      hint: 'Or --forever, which nobody takes back for you.',
    });
  }
  if (mode !== 'enforce' && options.reason === undefined) {
    throw new CliError('usage', 'Say why: --reason "…". It is kept.', { exitCode: 2 });
  }
  const issuer = options.issuer ?? '*';
  cli.line(
    `${mode} for ${issuer === '*' ? 'all issuers' : `issuer ${issuer}`}, ${until === undefined ? 'without an end' : `until ${moment(until)}`}.`,
  );
  if (options.dryRun) {
    cli.result({ dryRun: true, issuer, mode, until }, () => 'Dry run: nothing was changed.');
    return;
  }
  if (
    mode === 'off' &&
    !(await cli.confirm('Let every request pass?', options.yes === undefined ? {} : { yes: options.yes }))
  ) {
    throw new CliError('not_confirmed', 'Nothing was changed.');
  }
  const { keys, targets } = await session.keyring.setMode(issuer, mode, {
    by: session.by,
    reason: options.reason ?? 'no reason given',
    ...(until === undefined ? {} : { until }),
  });
  const waiting = Object.entries(targets).filter(([, state]) => state !== 'done');
  if (waiting.length > 0) {
    for (const [name, why] of waiting) cli.warn(`${name}: ${why}`);
    throw new CliError('targets_waiting', `Recorded, but not yet on ${waiting.map(([name]) => name).join(', ')}.`, {
      hint: 'Run portcullis revocations reconcile when it answers again.',
    });
  }
  cli.result(
    { issuer, mode, until, keys, targets },
    () => `Mode ${mode} set on ${keys.length} key(s); the edge follows within seconds.`,
  );
}
