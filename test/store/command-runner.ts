import { Command } from 'commander';
import { CliError, createCli, type CliStreams } from '../../scripts/cli/output.js';
import { register as blackout } from '../../scripts/commands/blackout.js';
import { register as doctor } from '../../scripts/commands/doctor.js';
import { register as keys } from '../../scripts/commands/keys.js';
import { register as mode } from '../../scripts/commands/mode.js';
import { register as revocations } from '../../scripts/commands/revocations.js';
import { register as revoke } from '../../scripts/commands/revoke.js';

export interface CommandResult {
  readonly exitCode: number;
  readonly output: string;
  readonly notes: string;
  readonly error: Error | undefined;
}

/** Runs one command line of the store's commands in this process, with its output kept. */
export async function runCommand(args: readonly string[], input?: CliStreams['stdin']): Promise<CommandResult> {
  let output = '';
  let notes = '';
  const sink = (add: (text: string) => void): NodeJS.WritableStream =>
    ({
      write(text: string) {
        add(text);
        return true;
      },
    }) as unknown as NodeJS.WritableStream;
  const streams: CliStreams = {
    stdin: input ?? process.stdin,
    stdout: sink((text) => (output += text)),
    stderr: sink((text) => (notes += text)),
  };
  const cli = createCli({ json: args.includes('--json'), configPath: 'none.config.json' }, streams);
  const program = new Command('portcullis').exitOverride().configureOutput({ writeErr: (text) => (notes += text) });
  for (const register of [revoke, revocations, keys, mode, blackout, doctor]) register(program, cli);
  exitQuietly(program);
  try {
    await program.parseAsync(
      args.filter((arg) => arg !== '--json'),
      { from: 'user' },
    );
    return { exitCode: 0, output, notes, error: undefined };
  } catch (error) {
    const exitCode = error instanceof CliError ? error.exitCode : 2;
    return { exitCode, output, notes, error: error as Error };
  }
}

/** Sub-commands do not inherit it once they exist. */
function exitQuietly(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  for (const child of command.commands) exitQuietly(child);
}
