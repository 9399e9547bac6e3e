import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  applySync,
  clearBlackout,
  expireBlackouts,
  planSync,
  setBlackout,
  type BlackoutOptions,
} from '../../revoker/blackouts/blackouts.js';
import { parseSchedule, readSchedule } from '../../revoker/blackouts/schedule.js';
import { createRecordSource } from '../../revoker/keys/records.js';
import { storeTarget } from '../../revoker/targets.js';
import { createRevoker } from '../../revoker/writer.js';
import { storeFixture, type StoreFixture } from './store-fixture.js';

let fixture: StoreFixture;
let options: BlackoutOptions;
const about = { by: 'ann', reason: 'rights' };

beforeEach(async () => {
  fixture = await storeFixture();
  const { ledger, now, store } = fixture;
  const secrets = {
    get: () => Promise.resolve(undefined),
    put: () => Promise.resolve(),
    remove: () => Promise.resolve(),
  };
  const records = createRecordSource({ ledger, secrets, secretPrefix: 'portcullis', now });
  const revoker = createRevoker({ ledger, targets: [storeTarget(store, { ledger, now, records })], now });
  options = { ledger, revoker, now };
});
afterEach(() => fixture.close());

const stored = (content: string): unknown => {
  const text = fixture.pairs.get(`b:${content}`);
  return text === undefined ? undefined : JSON.parse(text);
};

describe('blackouts', () => {
  it('are set, replaced and cleared', async () => {
    await setBlackout(
      'match-7',
      { deny: { metro: ['862', '807', '807'] }, slate: '/slate/index.m3u8' },
      about,
      options,
    );
    expect(stored('match-7')).toEqual({ deny: { metro: ['807', '862'] }, slate: '/slate/index.m3u8' });
    await setBlackout('match-7', { allow: { country: ['DE'] }, onUnknown: 'allow' }, about, options);
    expect(stored('match-7')).toEqual({ allow: { country: ['DE'] }, onUnknown: 'allow' });
    expect(await clearBlackout('match-7', about, options)).toMatchObject({ cleared: true });
    expect(stored('match-7')).toBeUndefined();
    expect(await clearBlackout('match-7', about, options)).toMatchObject({ cleared: false });
  });

  it.each([
    ['no place', {}],
    ['both lists', { deny: { country: ['US'] }, allow: { country: ['CA'] } }],
    ['an empty list', { deny: { country: [] } }],
    ['a country in words', { deny: { country: ['Germany'] } }],
    ['a region without its country', { deny: { region: ['CA'] } }],
    ['an end before its start', { deny: { country: ['US'] }, from: 1_800_000_100, until: 1_800_000_000 }],
    ['milliseconds', { deny: { country: ['US'] }, until: 1_800_000_000_000 }],
    ['a slate on another host', { deny: { country: ['US'] }, slate: 'https://example.com/' }],
    ['an unknown field', { deny: { country: ['US'], city: ['Paris'] } }],
    ['more than fits a value', { deny: { postal: Array.from({ length: 200 }, (_, i) => String(10_000 + i)) } }],
  ])('refuse a rule with %s', async (_, rule) => {
    await expect(setBlackout('match-7', rule as never, about, options)).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(fixture.pairs.size).toBe(0);
  });

  it('end when their time is over', async () => {
    await setBlackout('a', { deny: { country: ['US'] }, until: fixture.clock.seconds + 10 }, about, options);
    await setBlackout('b', { deny: { country: ['US'] } }, about, options);
    fixture.clock.seconds += 10;
    expect(await expireBlackouts('gc', options)).toBe(1);
    expect([...fixture.pairs.keys()]).toEqual(['b:b']);
  });
});

const week = { seconds: 7 * 86_400 };

async function sync(rows: object[], name = 'rights', allowShrink = false): Promise<unknown> {
  const plan = await planSync(name, parseSchedule(JSON.stringify(rows)), week, options);
  await applySync(name, plan, { by: 'cron', allowShrink }, options);
  return { set: plan.set.length, remove: plan.remove.length, unchanged: plan.unchanged, manual: plan.manual };
}

describe('a mirrored schedule', () => {
  const row = (content: string, more: object = {}): object => ({ content, deny: { country: ['US'] }, ...more });

  it('adds, changes and removes, and does nothing when nothing changed', async () => {
    expect(await sync([row('a'), row('b')])).toMatchObject({ set: 2, remove: 0 });
    const writes = fixture.api.calls.UpdateKeys;
    expect(await sync([row('a'), row('b')])).toMatchObject({ set: 0, remove: 0, unchanged: 2 });
    expect(fixture.api.calls.UpdateKeys).toBe(writes);
    expect(await sync([row('b', { deny: { country: ['CA'] } }), row('c')])).toMatchObject({ set: 2, remove: 1 });
    expect(stored('a')).toBeUndefined();
    expect(stored('b')).toEqual({ deny: { country: ['CA'] } });
  });

  it('leaves alone what a person or another schedule set', async () => {
    await setBlackout('hand', { deny: { metro: ['807'] } }, about, options);
    await sync([row('other')], 'second');
    expect(await sync([row('hand'), row('a')])).toMatchObject({ set: 1, manual: ['hand'] });
    expect(stored('hand')).toEqual({ deny: { metro: ['807'] } });
    await sync([]);
    expect([...fixture.pairs.keys()].sort()).toEqual(['b:hand', 'b:other']);
  });

  it('puts in the store what its window touches: in force, else next; not what is over or far ahead', async () => {
    const { seconds } = fixture.clock;
    await sync([
      row('over', { until: seconds - 1 }),
      row('far', { from: seconds + week.seconds + 10 }),
      row('twice', { from: seconds + 7200, until: seconds + 9000 }),
      row('twice', { from: seconds - 100, until: seconds + 3600 }),
    ]);
    expect([...fixture.pairs.keys()]).toEqual(['b:twice']);
    expect(stored('twice')).toMatchObject({ until: seconds + 3600 });
  });

  it('does not believe a schedule that takes most of it away', async () => {
    await sync(Array.from({ length: 30 }, (_, i) => row(`m${i}`)));
    await expect(sync([row('m1')])).rejects.toThrow(/more likely it is not whole/);
    expect(fixture.pairs.size).toBe(30);
    expect(await sync([row('m1')], 'rights', true)).toMatchObject({ remove: 29 });
  });

  it('reads CSV with quoting, both kinds of list and both kinds of time', () => {
    const text = [
      'content,list,country,metro,from,until,slate',
      '"match, 7",deny,,807 862,2026-12-01T20:00:00Z,2026-12-01T22:00:00+01:00,/slate.m3u8',
      'match-8,allow,DE;AT,,1800000000,,',
      '# rows: 2',
      '',
    ].join('\n');
    expect(parseSchedule(text)).toEqual([
      {
        content: 'match, 7',
        rule: { deny: { metro: ['807', '862'] }, from: 1_796_155_200, until: 1_796_158_800, slate: '/slate.m3u8' },
      },
      { content: 'match-8', rule: { allow: { country: ['DE', 'AT'] }, from: 1_800_000_000 } },
    ]);
  });

  it.each([
    ['JSON that is cut short', '[{"content":"a","deny":{"country":["US"]}}'],
    ['one bad row among good ones', JSON.stringify([row('a'), row('b', { deny: { country: ['Atlantis'] } })])],
    ['a CSV cut in a line', 'content,country\na,US\nb,U'],
    ['a CSV with fewer rows than it says', 'content,country\na,US\n# rows: 2\n'],
    ['a column nobody knows', 'content,contry\na,US\n'],
    ['a row with a cell missing', 'content,country,metro\na,US\n'],
    ['a local time', 'content,country,until\na,US,2026-12-01 20:00\n'],
    ['something else', '<html>Bad gateway</html>\n'],
  ])('is refused whole for %s', (_, text) => {
    expect(() => parseSchedule(text)).toThrow(expect.objectContaining({ code: 'schedule_invalid' }));
  });
});

describe('reading a schedule', () => {
  let server: Server;
  let url = '';
  let answer: (response: import('node:http').ServerResponse) => void;
  beforeEach(async () => {
    server = createServer((_, response) => answer(response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/schedule.json`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('takes a whole answer and no part of one', async () => {
    answer = (response) => response.end('[]');
    expect(await readSchedule(url)).toBe('[]');
    answer = (response) => response.writeHead(503).end('[]');
    await expect(readSchedule(url)).rejects.toThrow(/answered 503/);
    answer = (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('[');
      setTimeout(() => response.destroy(), 20);
    };
    await expect(readSchedule(url)).rejects.toMatchObject({ code: 'schedule_invalid' });
    answer = (response) => {
      response.write('[');
      setTimeout(() => response.destroy(), 20);
    };
    await expect(readSchedule(url)).rejects.toMatchObject({ code: 'schedule_invalid' });
    await expect(readSchedule('http://127.0.0.1:1/')).rejects.toThrow(/Nothing was changed/);
  });

  it('reads files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-schedule-'));
    await writeFile(join(folder, 's.csv'), 'content,country\n');
    expect(await readSchedule(join(folder, 's.csv'))).toBe('content,country\n');
    await expect(readSchedule(join(folder, 'none.csv'))).rejects.toThrow(/could not be read/);
    await rm(folder, { recursive: true });
  });
});
