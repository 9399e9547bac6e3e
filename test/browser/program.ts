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
    async end() {
      start.child.kill('SIGTERM');
      const code = await ended;
      await rm(folder, { recursive: true, force: true });
      return code;
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
