import { PassThrough } from 'node:stream';
import { runProgram } from '../../scripts/cli/program.js';

export interface CommandRun {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

/** Runs `portcullis` with these words. */
export async function portcullis(...words: string[]): Promise<CommandRun> {
  let out = '';
  let notes = '';
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')));
  stderr.on('data', (chunk: Buffer) => (notes += chunk.toString('utf8')));
  const code = await runProgram(words, { version: '0', streams: { stdin: new PassThrough(), stdout, stderr } });
  return { code, out, notes };
}
