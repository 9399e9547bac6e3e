import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalEdgeAddresses } from '../../scripts/local-edge/index.js';
import { projectFolder } from '../../scripts/local-edge/project.js';

const program = process.env['PORTCULLIS_PROGRAM'] ?? join(projectFolder(), 'dist/cli/portcullis.js');

/** The command line as it is installed, with a local edge of its own. */
export interface RunningEdge {
  readonly addresses: LocalEdgeAddresses;
  /** Runs a command with `--local` against this edge; its JSON result. */
  command(...args: string[]): Promise<Record<string, unknown>>;
  /** Starts a command that goes on until it is ended, with `--local` against this edge. */
  start(...args: string[]): RunningCommand;
  end(): Promise<number | null>;
}

/** A command that prints one JSON object a line. */
export interface RunningCommand {
  /** The first object, printed or yet to be, that is as wanted. */
  line(wanted: (value: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** Everything printed so far. */
  readonly lines: readonly Record<string, unknown>[];
  /** Ends it with SIGTERM; its exit code. */
  end(): Promise<number | null>;
}

/** Runs `portcullis start` in an empty folder, everything in memory. */
export async function runEdge(...args: string[]): Promise<RunningEdge> {
  if (!existsSync(program)) throw new Error(`${program} is missing: build it with npm run prepare`);
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-browser-'));
  const start = launch(['--json', 'start', '--port', '0', '--ephemeral', ...args], folder);
  const ended = exitOf(start.child);
  const line = await Promise.race([
    start.firstLine,
    ended.then((code) => Promise.reject(new Error(`portcullis start ended with ${code}: ${start.errors()}`))),
  ]);
  return {
    addresses: JSON.parse(line) as LocalEdgeAddresses,
    async command(...words) {
      const { child, firstLine, errors } = launch(['--json', ...words, '--local'], folder);
      const [code, output] = await Promise.all([exitOf(child), firstLine]);
      if (code !== 0) throw new Error(`portcullis ${words.join(' ')} ended with ${code}: ${output} ${errors()}`);
      return JSON.parse(output) as Record<string, unknown>;
    },
    start: (...words) => running(launch(['--json', ...words, '--local'], folder), words.join(' ')),
    async end() {
      start.child.kill('SIGTERM');
      const code = await ended;
      await rm(folder, { recursive: true, force: true });
      return code;
    },
  };
}

function running({ child, errors }: ReturnType<typeof launch>, name: string): RunningCommand {
  const lines: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  const ended = exitOf(child);
  let over: Error | undefined;
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString('utf8')).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((part) => JSON.parse(part) as Record<string, unknown>));
    for (const look of waiting) look();
  });
  void ended.then((code) => {
    over = new Error(`portcullis ${name} ended with ${code}: ${errors()}`);
    for (const look of waiting) look();
  });
  return {
    lines,
    line: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find(wanted);
          if (found === undefined && over === undefined) return;
          waiting.delete(look);
          if (found === undefined) reject(over as Error);
          else resolve(found);
        };
        waiting.add(look);
        look();
      }),
    end() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('close', (code) => resolve(code)));
}

function launch(
  args: readonly string[],
  folder: string,
): { child: ChildProcess; firstLine: Promise<string>; errors: () => string } {
  const child = spawn(process.execPath, [program, ...args], { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } });
  let output = '';
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const firstLine = new Promise<string>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      if (output.includes('\n')) resolve(output.slice(0, output.indexOf('\n')));
    });
    child.on('close', () => resolve(output.trimEnd()));
  });
  return { child, firstLine, errors: () => errors };
}
