import { existsSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { commandGroups } from './commands.js';
import { CliError, createCli, jsonLine, printable, type Cli, type CliStreams } from './output.js';

export interface ProgramOptions {
  readonly version: string;
  readonly streams?: CliStreams;
}

/** `--json` and `--config` hold wherever they stand, and are known before a command is loaded. */
function globalOptions(args: readonly string[]): { json: boolean; configPath: string; named: boolean } {
  const end = args.indexOf('--');
  const options = end < 0 ? args : args.slice(0, end);
  const at = options.findIndex((arg) => arg === '--config' || arg.startsWith('--config='));
  const config = at < 0 ? undefined : (options[at] as string).split('=').slice(1).join('=') || options[at + 1];
  return { json: options.includes('--json'), configPath: config ?? 'portcullis.config.ts', named: at >= 0 };
}

function makeProgram(version: string): Command {
  return new Command('portcullis')
    .description(
      'Edge security for video on Amazon CloudFront: token validation, revocation, detection and WAF rules.\nNothing here needs an AWS account until you deploy.',
    )
    .version(version, '-V, --version', 'print the version')
    .option('--json', 'print the result as one line of JSON; errors too, on standard error')
    .option('--config <file>', 'the configuration', 'portcullis.config.ts')
    .helpCommand('help [command]', 'explain a command')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      `
Try it on this machine:
  $ npm start                                     # the page plays through the compiled function
  $ portcullis revoke session <id> --local        # the player stops; unrevoke lets it play again
  $ portcullis token explain <url> --local        # which claim refuses it, and why

Against AWS, the same commands without --local; credentials and region come from the usual places.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`,
    );
}

/**
 * Runs one command line.
 *
 * @param args What follows `portcullis`.
 * @returns The exit code: 0 done, 1 refused or failed, 2 wrong usage.
 */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<number> {
  const streams = options.streams ?? process;
  const global = globalOptions(args);
  const cli = createCli(global, streams);
  const program = makeProgram(options.version);
  try {
    // Without a configuration the defaults hold, but one that was named must be there.
    if (global.named && !existsSync(global.configPath)) {
      throw new CliError('no_such_file', `--config: there is no file ${global.configPath}`, { exitCode: 2 });
    }
    await registerCommands(program, cli, args);
    prepare(program, streams, global.json);
    program.hook('preAction', (_program, command) => unmarkIds(command));
    if (args.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(markIds(args), { from: 'user' });
    return 0;
  } catch (error) {
    return reportError(error, global.json, streams);
  }
}

/** Only the group that is called is loaded; for help, and where no group fits, all of them. */
async function registerCommands(program: Command, cli: Cli, args: readonly string[]): Promise<void> {
  const word = args.find((arg, i) => !arg.startsWith('-') && args[i - 1] !== '--config');
  const called = commandGroups.filter(({ words }) => word !== undefined && words.includes(word));
  for (const { heading, load } of called.length > 0 ? called : commandGroups) {
    program.commandsGroup(heading);
    (await load()).register(program, cli);
  }
}

/** Errors come back as exceptions, and output goes where the caller wants it; sub-commands do not inherit that. */
function prepare(command: Command, streams: CliStreams, json: boolean): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => streams.stdout.write(text),
    // The help of a group that was called without a command; an object of JSON says the same.
    writeErr: (text) => void (json || streams.stderr.write(text)),
    // What is wrong with the usage is said once, by reportError.
    outputError: () => undefined,
  });
  for (const child of command.commands) prepare(child, streams, json);
}

/** No argument can hold it, so it marks ids on their way through the parser. */
const idMark = '\u0000';

/**
 * One session id in 64 begins with a hyphen, as base64url may. What looks like one, and not like an option's words, is
 * kept from being read as an option; it is an argument like any other.
 */
function markIds(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  return args.map((arg, i) => {
    const isId = /^-[A-Za-z0-9_-]{15,}$/.test(arg) && !/^--?[a-z]+(-[a-z]+)*$/.test(arg);
    return isId && (end < 0 || i < end) ? `${idMark}${arg}` : arg;
  });
}

function unmarkIds(command: Command): void {
  const unmarked = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(unmarked);
    return typeof value === 'string' && value.startsWith(idMark) ? value.slice(idMark.length) : value;
  };
  command.processedArgs = command.processedArgs.map(unmarked);
  for (const [name, value] of Object.entries(command.opts())) command.setOptionValue(name, unmarked(value));
}

/** Says what went wrong; returns the exit code. */
function reportError(error: unknown, json: boolean, streams: CliStreams): number {
  const { code, message, hint, exitCode } = described(error);
  if (exitCode === 0) return 0;
  if (json) {
    streams.stderr.write(jsonLine({ error: { code, message, ...(hint === undefined ? {} : { hint }) } }));
  } else if (!isHelp(error)) {
    streams.stderr.write(printable(`error: ${message}\n${hint === undefined ? '' : `${hint}\n`}`));
  }
  return exitCode;
}

/** A group was called without a command, and its help has been printed. */
const isHelp = (error: unknown): boolean => error instanceof CommanderError && error.code === 'commander.help';

interface Described {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly exitCode: number;
}

function described(error: unknown): Described {
  if (error instanceof CliError) return error;
  if (error instanceof CommanderError) {
    // Help and version were asked for and printed.
    if (error.exitCode === 0) return { code: error.code, message: '', exitCode: 0 };
    const message = isHelp(error)
      ? 'A command of this group was expected.'
      : error.message.replace(/^error: /, '').replaceAll(idMark, '');
    return { code: 'usage', message, hint: 'portcullis --help explains it.', exitCode: 2 };
  }
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown };
  return {
    code: typeof code === 'string' ? code : 'failed',
    message: typeof message === 'string' && message !== '' ? message : String(error),
    hint: typeof hint === 'string' ? hint : undefined,
    exitCode: 1,
  };
}
