import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFileRecords, createMemoryRecords, type AddressRecordStore } from './address-records.js';
import { createFileRollout, createMemoryRollout, stagesOf, type RolloutRecordStore } from './rollout-record.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waf-records-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const addressStores: [string, () => AddressRecordStore][] = [
  ['in memory', () => createMemoryRecords()],
  ['in a file', () => createFileRecords(join(folder, 'addresses.json'))],
];
describe.each(addressStores)('address records %s', (_name, make) => {
  const record = (key: string, until?: number) => ({ key, addedAt: 1, ...(until === undefined ? {} : { until }) });

  test('of two ends the later stays; none is later than any', async () => {
    const store = make();
    await store.put([record('a', 10), record('b', 10), record('c')]);
    await store.put([record('a', 5), record('b'), record('c', 99)]);
    expect(await store.all()).toEqual([record('a', 10), record('b'), record('c')]);
  });

  test('forgets only what is due at that time', async () => {
    const store = make();
    await store.put([record('a', 10), record('b', 11), record('c')]);
    await store.forgetDue(['a', 'b', 'c', 'unknown'], 10);
    expect((await store.all()).map((each) => each.key)).toEqual(['b', 'c']);
  });

  test('an end can be brought forward', async () => {
    const store = make();
    await store.put([record('a')]);
    await store.end(['a', 'unknown'], 7);
    expect(await store.all()).toEqual([record('a', 7)]);
  });
});

test('many writers to one file lose nothing', async () => {
  const path = join(folder, 'addresses.json');
  const writers = Array.from({ length: 12 }, () => createFileRecords(path));
  await Promise.all(
    writers.flatMap((store, writer) =>
      Array.from({ length: 5 }, (_, i) => store.put([{ key: `${writer}-${i}`, addedAt: 1 }])),
    ),
  );
  expect((await createFileRecords(path).all()).length).toBe(60);
});

test('a lock left by a process that died is taken over', async () => {
  const path = join(folder, 'addresses.json');
  writeFileSync(`${path}.lock`, '');
  utimesSync(`${path}.lock`, new Date(0), new Date(0));
  await createFileRecords(path).put([{ key: 'a', addedAt: 1 }]);
  expect(readFileSync(path, 'utf8')).toContain('"a"');
});

test('a file that is no list is refused, not overwritten', async () => {
  const path = join(folder, 'addresses.json');
  writeFileSync(path, '{oops');
  await expect(createFileRecords(path).put([{ key: 'a', addedAt: 1 }])).rejects.toMatchObject({
    code: 'record_conflict',
  });
  expect(readFileSync(path, 'utf8')).toBe('{oops');
});

const rolloutStores: [string, () => RolloutRecordStore][] = [
  ['in memory', () => createMemoryRollout()],
  ['in a file', () => createFileRollout(join(folder, 'rollout.json'))],
];
describe.each(rolloutStores)('the rollout record %s', (_name, make) => {
  test('a write over somebody else’s is refused', async () => {
    const store = make();
    const read = await store.read('acl');
    await store.write(read);
    await expect(store.write(read)).rejects.toMatchObject({ code: 'record_conflict' });
  });

  test('the last decision about a rule holds', async () => {
    const store = make();
    const decision = { rule: 'a', at: '', by: '', why: '' };
    const written = await store.write({
      ...(await store.read('acl')),
      decisions: [
        { ...decision, stage: 'enforce' },
        { ...decision, stage: 'count' },
        { ...decision, rule: 'b', stage: 'enforce' },
      ],
    });
    const stageOf = stagesOf(written, 'count');
    expect(['a', 'b', 'c'].map(stageOf)).toEqual(['count', 'enforce', 'count']);
  });

  test('search strings come back as bytes', async () => {
    const store = make();
    const rule = { Name: 'r', Statement: { ByteMatchStatement: { SearchString: Buffer.from('ä') } } } as never;
    const version = {
      version: 1,
      status: 'applied' as const,
      at: '',
      by: '',
      summary: [],
      before: { rules: [], bodies: {} },
      after: { rules: [rule], bodies: {} },
    };
    await store.write({ ...(await store.read('acl')), versions: [version] });
    const back = (await store.read('acl')).versions[0]?.after.rules[0]?.Statement?.ByteMatchStatement?.SearchString;
    expect(back).toBeInstanceOf(Uint8Array);
    expect(Buffer.from(back ?? []).toString()).toBe('ä');
  });
});
