import type { Command } from 'commander';
import { localEndpoints } from '../cli/connection.js';
import { CliError, type Cli } from '../cli/output.js';

interface RestreamFlags {
  readonly local?: boolean;
  readonly networks: string;
  readonly content: string;
  readonly for: string;
  readonly dryRun?: boolean;
}

/** Adds `detect restream` to the `detect` group. */
export function registerRestream(detect: Command, cli: Cli): void {
  detect
    .command('restream')
    .description('Be a re-streamer at the local edge: fetch one session through many networks until it is refused')
    .option('--local', 'the running local edge (npm start); there is no other')
    .option('--networks <n>', 'networks that fetch each segment', '40')
    .option('--content <id>', 'content that is fetched', 'ch1')
    .option('--for <duration>', 'give up after this long', '3m')
    .option('--dry-run', 'say what would be fetched, and fetch nothing')
    .addHelpText(
      'after',
      `
Examples:
  $ npm start                                          # in one terminal
  $ portcullis detect watch --local --revoke           # in another
  $ portcullis detect restream --local                 # and this in a third: exit code 0 once it is refused`,
    )
    .action(async (flags: RestreamFlags) => {
      const networks = Number(flags.networks);
      if (!Number.isInteger(networks) || networks < 1 || networks > 500) {
        throw new CliError('usage', `--networks wants a whole number from 1 to 500, not ${flags.networks}.`, {
          exitCode: 2,
        });
      }
      const { secondsOf } = await import('../cli/store-connection.js');
      const seconds = await secondsOf(flags.for, '--for');
      if (!flags.local) {
        throw new CliError('usage', 'A re-streamer is only made up at the local edge.', {
          exitCode: 2,
          hint: 'Start it with npm start, and add --local.',
        });
      }
      const { vend } = localEndpoints();
      if (flags.dryRun) {
        const plan = { dryRun: true, networks, content: flags.content, seconds };
        cli.result(
          plan,
          () => `Dry run: one session of ${flags.content} would be fetched through ${networks} networks.`,
        );
        return;
      }
      const { restream } = await import('../local-edge/restreamer.js');
      const found = await restream({
        vend,
        networks,
        content: flags.content,
        signal: AbortSignal.timeout(seconds * 1000),
        onRound: ({ requests, refused }) => cli.line(`a segment through ${requests} networks, ${refused} refused`),
      });
      if (found.status !== undefined && found.status !== 401 && found.status !== 403) {
        throw new CliError(
          'no_content',
          `Content ${flags.content} cannot be fetched: the edge answered ${found.status} before any refusal of the session.`,
          { hint: 'The demo serves ch1; name another with --content.' },
        );
      }
      if (found.refusedAfter === undefined) {
        throw new CliError('not_refused', `Session ${found.session} was never refused in ${seconds} s.`, {
          hint: 'Does portcullis detect watch --local --revoke run?',
        });
      }
      cli.result(found, () =>
        [
          `session ${found.session}: refused with ${found.status} ${found.reason ?? ''}`,
          `${(found.refusedAfter as number).toFixed(0)} s and ${found.requests} requests after it began`,
        ].join('\n'),
      );
    });
}
