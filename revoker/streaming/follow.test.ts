import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../lambdas/observe.js';
import { follow, recordOfLine } from './follow.js';
import type { KinesisWindowEvent } from './handler.js';
import { openTail, type LogTail } from './tail.js';

let folder: string;
let file: string;
let tail: LogTail;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-tail-'));
  file = join(folder, 'access.log');
});
afterEach(async () => {
  await tail?.close();
  await rm(folder, { recursive: true, force: true });
});

const texts = async (most = 100): Promise<string[]> => (await tail.next(most)).map(({ text }) => text);

describe('the tail of a log', () => {
  it('gives the lines that are finished, once each, with where they begin', async () => {
    await writeFile(file, 'one\ntwo\nthr');
    tail = await openTail(file, 'beginning');
    expect(await tail.next(100)).toEqual([
      { at: 0, text: 'one' },
      { at: 4, text: 'two' },
    ]);
    expect(await tail.next(100)).toEqual([]);
    await appendFile(file, 'ee\n\nfour\n');
    expect(await tail.next(100)).toEqual([
      { at: 8, text: 'three' },
      { at: 15, text: 'four' },
    ]);
  });

  it('leaves out what was there before, where that is asked for', async () => {
    await writeFile(file, 'old\n');
    tail = await openTail(file, 'end');
    await appendFile(file, 'new\n');
    expect(await texts()).toEqual(['new']);
  });

  it('waits for a file that is not there yet', async () => {
    tail = await openTail(file, 'end');
    expect(await texts()).toEqual([]);
    await writeFile(file, 'first\n');
    expect(await texts()).toEqual(['first']);
  });

  it('reads a file that was moved away to its end, and goes on with the new one', async () => {
    await writeFile(file, 'one\n');
    tail = await openTail(file, 'beginning');
    expect(await texts()).toEqual(['one']);
    await appendFile(file, 'two\n');
    await rename(file, `${file}.1`);
    await writeFile(file, 'three\n');
    expect(await texts()).toEqual(['two', 'three']);
  });

  it('begins again where the file was cut', async () => {
    await writeFile(file, 'a long line\nanother\n');
    tail = await openTail(file, 'beginning');
    expect(await texts()).toHaveLength(2);
    await truncate(file, 0);
    await appendFile(file, 'fresh\n');
    expect(await texts()).toEqual(['fresh']);
  });

  it('passes over endless lines without keeping them, and counts them', async () => {
    await writeFile(file, `before\n${'x'.repeat(5_000_000)}\nafter\n${'y'.repeat(1_100_000)}\nend\n`);
    tail = await openTail(file, 'beginning');
    expect(await texts()).toEqual(['before', 'after', 'end']);
    expect(tail.overlong).toBe(2);
  });

  it('gives no more at once than is asked for, and keeps the rest', async () => {
    await writeFile(file, Array.from({ length: 2500 }, (_, i) => `${i}\n`).join(''));
    tail = await openTail(file, 'beginning');
    expect((await texts(1000)).at(-1)).toBe('999');
    expect((await texts(2000)).at(-1)).toBe('2499');
    expect(await texts(1)).toEqual([]);
  });
});

describe('a line as a record', () => {
  const decoded = (line: string): string =>
    Buffer.from(recordOfLine(line, ['timestamp', 'c-ip', 'asn', 'cs-uri-stem']), 'base64').toString();

  it('lays JSON out in the order of the fields', () => {
    expect(decoded('{"c-ip":"203.0.113.9","timestamp":1.5,"asn":"","cs-uri-stem":"/a b","other":1}')).toBe(
      '1.5\t203.0.113.9\t-\t/a b',
    );
  });

  it.each([
    ['{"timestamp(ms)":"1700000040250","cs(User-Agent)":"Mozilla","C_IP":"203.0.113.9"}', '1700000040.25'],
    ['{"date":"2023-11-14","time":"22:14:00","cs_user_agent":"Mozilla","c-ip":"203.0.113.9"}', '1700000040'],
    ['{"date":"today","time":"-","cs-user-agent":"Mozilla","c-ip":"203.0.113.9"}', '-'],
  ])("knows CloudFront's names of every format: %s", (line, time) => {
    const columns = Buffer.from(recordOfLine(line, ['timestamp', 'c-ip', 'cs-user-agent']), 'base64').toString();
    expect(columns).toBe(`${time}\t203.0.113.9\tMozilla`);
  });

  it('lets no value break the columns', () => {
    expect(decoded('{"timestamp":1,"c-ip":"a\\tb","asn":{"x":1},"cs-uri-stem":"/x\\ny"}')).toBe('1\ta b\t-\t/x y');
  });

  it('takes other lines as they are, also those that only look like JSON', () => {
    expect(decoded('1\t2\t3\t4')).toBe('1\t2\t3\t4');
    expect(decoded('{"timestamp":')).toBe('{"timestamp":');
  });
});

describe('following', () => {
  const fields = ['timestamp', 'c-ip'];
  const lineOf = (event: KinesisWindowEvent): string[] =>
    (event.Records ?? []).map(({ kinesis }) => Buffer.from(kinesis.data, 'base64').toString());

  it('carries the state through a window, judges at its end, and once more when it is ended', async () => {
    let milliseconds = 0;
    const stop = new AbortController();
    const events: KinesisWindowEvent[] = [];
    await writeFile(file, 'a\n');
    tail = await openTail(file, 'beginning');
    const sleeps = ['b\n', '', 'c\n', 'd\n'];
    const { records } = await follow({
      tail,
      fields,
      scope: silent,
      windowSeconds: 2,
      shard: 'one',
      signal: stop.signal,
      now: () => milliseconds,
      async sleep() {
        milliseconds += 1000;
        const next = sleeps.shift();
        if (next === undefined) stop.abort();
        else await appendFile(file, next);
      },
      handle(event) {
        events.push(event);
        const seen = [...(event.state?.pending?.['x'] ?? []), ...lineOf(event)];
        return Promise.resolve({
          state: event.isFinalInvokeForWindow ? {} : { pending: { x: seen } },
          batchItemFailures: [],
        });
      },
    });
    expect(records).toBe(4);
    const judged = events.filter(({ isFinalInvokeForWindow }) => isFinalInvokeForWindow);
    expect(judged.map(({ state }) => state?.pending?.['x'] ?? [])).toEqual([['a', 'b'], ['c', 'd'], []]);
    expect(new Set(events.map(({ shardId }) => shardId))).toEqual(new Set(['one']));
  });

  it('hands over the same batch with the same state until it is taken', async () => {
    await writeFile(file, 'a\nb\n');
    tail = await openTail(file, 'beginning');
    const asked: [KinesisWindowEvent['state'], string[]][] = [];
    const errors: string[] = [];
    let failures = 3;
    const { records } = await follow({
      tail,
      fields,
      scope: silent,
      windowSeconds: 60,
      shard: 'one',
      once: true,
      signal: new AbortController().signal,
      sleep: () => Promise.resolve(),
      onRetry: ({ message }) => errors.push(message),
      handle(event) {
        asked.push([event.state, lineOf(event)]);
        if (failures-- > 0) return Promise.reject(new Error('the table is away'));
        return Promise.resolve({ state: { pending: {} }, batchItemFailures: [] });
      },
    });
    expect(records).toBe(2);
    expect(errors).toHaveLength(3);
    expect(asked).toEqual([
      [{}, ['a', 'b']],
      [{}, ['a', 'b']],
      [{}, ['a', 'b']],
      [{}, ['a', 'b']],
      [{ pending: {} }, []],
    ]);
  });

  it('ends with the error where it is ended while nothing is taken', async () => {
    await writeFile(file, 'a\n');
    tail = await openTail(file, 'beginning');
    const stop = new AbortController();
    await expect(
      follow({
        tail,
        fields,
        scope: silent,
        windowSeconds: 60,
        shard: 'one',
        signal: stop.signal,
        sleep: () => Promise.resolve(stop.abort()),
        handle: () => Promise.reject(new Error('the table is away')),
      }),
    ).rejects.toThrow('the table is away');
  });
});
