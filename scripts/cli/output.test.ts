import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createCli } from './output.js';

const hostile = 'id\u001b[2J\u009b31m\u007f\u0085';

function written(json: boolean, write: (cli: ReturnType<typeof createCli>) => void): string {
  const stdout = new PassThrough();
  write(createCli({ json, configPath: 'none' }, { stdin: new PassThrough(), stdout, stderr: stdout }));
  return String(stdout.read());
}

test('no text of a log drives the terminal, and lines stay lines', () => {
  const text = written(false, (cli) => cli.result({}, () => `${hostile}\n\tnext`));
  expect(text).toBe('id·[2J·31m··\n\tnext\n');
});

test('JSON escapes every control character, and reads back as it was', () => {
  const text = written(true, (cli) => cli.result({ id: hostile }, () => ''));
  const controls = [...text].filter((character) => character < ' ' || (character > '~' && character < '\u00a0'));
  expect(controls).toEqual(['\n']);
  expect(JSON.parse(text)).toEqual({ id: hostile });
});
