import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDetectionConfig } from './config.js';
import { detect } from './run.js';
import { findLogs } from './sources.js';

const head = '#Fields: date time c-ip cs-method cs-uri-stem sc-status\n';
const record = '2026-06-14\t18:30:00\t203.0.113.9\tGET\t/live/x/seg_1.m4s\t200\n';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-sources-'));
  await mkdir(join(folder, 'deep', 'er'), { recursive: true });
  for (const name of ['a1.log', 'a2.log', 'ab.log', 'x,y.log', 'deep/a3.log', 'deep/er/a4.log'])
    await writeFile(join(folder, name), head + record);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const found = async (pattern: string): Promise<string[]> =>
  (await findLogs([join(folder, pattern)])).sources.flatMap(({ files }) =>
    files.map((file) => file.slice(folder.length + 1)),
  );

describe('patterns', () => {
  it.each([
    ['a?.log', ['a1.log', 'a2.log', 'ab.log']],
    ['a[0-9].log', ['a1.log', 'a2.log']],
    ['a[!0-9].log', ['ab.log']],
    ['{a1,ab}.log', ['a1.log', 'ab.log']],
    ['x,*.log', ['x,y.log']],
    ['**/a[34].log', ['deep/a3.log', 'deep/er/a4.log']],
  ])('%s finds what it says', async (pattern, names) => {
    expect(await found(pattern)).toEqual(names);
  });

  it.each([
    ['a[.log', 'a [ in it has no ] after it'],
    ['a[]', 'a [ in it has no ] after it'],
    ['{a1,ab.log', 'a { in it has no } after it'],
    ['a[z-a].log', 'it is no pattern'],
  ])('%s is an error that says why', async (pattern, message) => {
    await expect(findLogs([join(folder, pattern)])).rejects.toMatchObject({
      code: 'log_source',
      message: expect.stringContaining(message) as string,
    });
  });
});

it('reads a file whose name holds wildcards, and no other in its place', async () => {
  const place = join(folder, 'names');
  await mkdir(place);
  await writeFile(join(place, 'a[1].log'), head + record.repeat(3));
  await writeFile(join(place, 'a1.log'), head + record.repeat(5));
  await writeFile(join(place, 'b*.log'), head + record.repeat(7));
  await writeFile(join(place, 'bb.log'), head + record.repeat(11));
  const options = { config: parseDetectionConfig(), now: Date.UTC(2026, 6, 1) / 1000 };
  const records = async (...names: string[]): Promise<number> =>
    (await detect({ ...options, logs: names.map((name) => join(place, name)) })).reading.records;
  expect(await records('a[1].log')).toBe(3);
  expect(await records('b*.log')).toBe(7);
  expect(await records('')).toBe(26);
  await writeFile(join(place, 'c[1].log.gz'), gzipSync(head + record));
  const { skipped } = await findLogs([place]);
  expect(skipped).toMatchObject([{ why: expect.stringContaining('its name holds') as string }]);
});
