import { readdir } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { CliError, type Cli } from '../cli/output.js';

interface SimulateFlags {
  readonly seed: string;
  readonly viewers: string;
  readonly minutes: string;
  readonly abusers: string;
  readonly lookAlikes: string;
  readonly segment: string;
  readonly start?: string;
  readonly placement: 'prefix' | 'marker' | 'first' | 'query' | 'cookie';
  readonly jwt: string;
  readonly format: 'standard' | 'w3c' | 'realtime' | 'json' | 'parquet';
  readonly gzip?: boolean;
  readonly mediaOnly?: boolean;
  readonly sampling: string;
  readonly rowsPerFile: string;
  readonly dryRun?: boolean;
}

function numberOf(flag: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < low || value > high) {
    throw new CliError(
      'wrong_option',
      `--${flag} wants a number from ${low} to ${high}, not ${JSON.stringify(text)}.`,
      {
        exitCode: 2,
      },
    );
  }
  return value;
}

function wholeOf(flag: string, text: string, low: number, high: number): number {
  const value = numberOf(flag, text, low, high);
  if (!Number.isInteger(value)) {
    throw new CliError('wrong_option', `--${flag} wants a whole number, not ${text}.`, { exitCode: 2 });
  }
  return value;
}

function startOf(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) {
    throw new CliError(
      'wrong_option',
      `--start wants a time such as 2026-06-14T18:30:00Z, not ${JSON.stringify(text)}.`,
      {
        exitCode: 2,
      },
    );
  }
  return time;
}

/** The labels tell of all logs in the folder: with others among them they would be wrong. */
async function checkEmpty(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new CliError('no_folder', `${folder} is no folder that logs can be written to (${error.code ?? 'unknown'}).`);
  });
  if (found.length > 0) {
    throw new CliError('folder_not_empty', `${folder} is not empty; the labels would not tell of what is there.`, {
      hint: 'Name a new or an empty folder.',
    });
  }
}

const shellWord = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Adds `detect simulate` to the `detect` group. */
export function registerSimulate(detect: Command, cli: Cli): void {
  detect
    .command('simulate')
    .argument('<folder>', 'folder for the log files; labels and address database are written beside it')
    .description("make up an event's access logs, with abusers and honest look-alikes labelled")
    .option('--seed <text>', 'the same seed makes the same log', '1')
    .option('--viewers <n>', 'sessions sold', '5000')
    .option('--minutes <n>', 'length of the log', '10')
    .option('--abusers <share>', 'share of sessions that are abused', '0.01')
    .option('--look-alikes <share>', 'share of honest sessions that look odd', '0.15')
    .option('--segment <seconds>', "length of the stream's segments", '6')
    .option('--start <time>', 'first moment of the log, ISO 8601 (default: a fixed evening in June 2026)')
    .addOption(
      new Option('--placement <where>', 'where the token stands')
        .choices(['prefix', 'marker', 'first', 'query', 'cookie'])
        .default('prefix'),
    )
    .option('--jwt <share>', 'share of sessions whose token is a JWT, the rest are CATs', '0.3')
    .addOption(
      new Option('--format <format>', 'w3c, json or parquet (standard logs v2), standard (v1), realtime')
        .choices(['w3c', 'json', 'parquet', 'standard', 'realtime'])
        .default('w3c'),
    )
    .option('--gzip', 'compress text files')
    .option('--media-only', 'log segments only, not playlists')
    .option('--sampling <share>', 'share of requests that reach the log', '1')
    .option('--rows-per-file <n>', 'start a new file after so many rows', '1000000')
    .option('--dry-run', 'say who would take part, write nothing')
    .addHelpText(
      'after',
      `
Examples:
  $ portcullis detect simulate logs/ --viewers 20000 --seed 7
  $ portcullis detect simulate logs/ --format realtime --gzip
  $ portcullis detect simulate lake/ --format parquet --viewers 100000 --media-only

Beside the folder stand <folder>.labels.jsonl (one session a line: kind, abuser or not),
<folder>.addresses.csv (network,asn,country) and <folder>.fields.txt (the order of the columns).`,
    )
    .action(async (folder: string, flags: SimulateFlags) => {
      const share = (flag: string, text: string): number => numberOf(flag, text, 0, 1);
      if (flags.gzip && flags.format === 'parquet') {
        throw new CliError('wrong_option', '--gzip compresses text; Parquet is compressed already.', { exitCode: 2 });
      }
      if (share('sampling', flags.sampling) === 0) {
        throw new CliError('wrong_option', '--sampling 0 would leave no request; it wants more than 0, up to 1.', {
          exitCode: 2,
        });
      }
      const options = {
        seed: flags.seed,
        viewers: wholeOf('viewers', flags.viewers, 1, 1_000_000),
        minutes: numberOf('minutes', flags.minutes, 0.5, 240),
        abuserShare: share('abusers', flags.abusers),
        lookAlikeShare: share('look-alikes', flags.lookAlikes),
        segmentSeconds: numberOf('segment', flags.segment, 1, 30),
        placement: flags.placement,
        jwtShare: share('jwt', flags.jwt),
        logged: flags.mediaOnly ? ('media' as const) : ('all' as const),
        sampling: share('sampling', flags.sampling),
        ...(flags.start === undefined ? {} : { from: startOf(flags.start) }),
      };
      const rowsPerFile = wholeOf('rows-per-file', flags.rowsPerFile, 1000, 100_000_000);
      const { simulate, writeSimulation } = await import('../../revoker/simulate/index.js');
      const simulation = simulate(options);
      const countKinds = (): Record<string, number> => {
        const counts: Record<string, number> = {};
        for (const { kind } of simulation.labels()) counts[kind] = (counts[kind] ?? 0) + 1;
        return counts;
      };
      if (flags.dryRun) {
        const sessions = countKinds();
        cli.result({ dryRun: true, sessions }, () =>
          cli.table(['kind', { title: 'sessions', align: 'right' }], Object.entries(sessions)),
        );
        return;
      }
      await checkEmpty(folder);
      const progress = cli.progress(1000, 'simulating');
      let shown = 0;
      const written = await writeSimulation(simulation, {
        format: flags.format,
        folder,
        rowsPerFile,
        ...(flags.gzip ? { gzip: true } : {}),
        onProgress: (done) => {
          const now = Math.floor(done * 1000);
          progress.tick(now - shown);
          shown = now;
        },
      });
      progress.done();
      const labels = simulation.labels();
      const sessions = countKinds();
      const abusers = labels.filter((label) => label.abuser).length;
      cli.result({ ...written, abusers, sessions }, () =>
        [
          `${written.rows} rows in ${written.files.length} file${written.files.length === 1 ? '' : 's'} under ${folder}`,
          `${labels.length} sessions, ${abusers} of them abused; labels in ${written.labels}`,
          '',
          cli.table(['kind', { title: 'sessions', align: 'right' }], Object.entries(sessions)),
          '',
          `Read it with: portcullis detect run ${shellWord(folder)} --address-database ${shellWord(written.addresses)}` +
            (flags.format === 'realtime' ? ` --fields ${shellWord(written.fields)}` : ''),
        ].join('\n'),
      );
    });
}
