import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DetectionConfigInput, parseDetectionConfig } from '../../revoker/detection/config.js';
import { realTimeFields } from '../../revoker/detection/fields.js';
import { detect, type Detection } from '../../revoker/detection/run.js';
import { silent } from '../../revoker/lambdas/observe.js';
import { memoryAggregates, type StreamVerdict, stream, streamingConfigSchema } from '../../revoker/streaming/index.js';
import { recordReader } from '../../revoker/streaming/record.js';
import { type Made, segment, session, start, token } from './real-time.js';

/*
 * Somebody with a good token of his own writes what he likes into his requests: other sessions' tokens, CMCD, names of
 * files. He must neither bring others into disrepute nor hide. Each attack on the logs at rest and, where it reads the
 * same, on the stream.
 */

let folder: string;
let logs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-attacks-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const victim = 1;
const attacker = 2;
const [victimsToken, attackersToken] = [token(victim), token(attacker)];

/** One playback of a session fetched through several networks. */
function shared(
  fill: number,
  more: (i: number) => Partial<Record<string, string | number>> = () => ({}),
  networks = 9,
): Made[] {
  return Array.from({ length: 30 * networks }, (_, i) => {
    const second = Math.floor(i / networks) * 4;
    return segment(fill, start + second, `203.0.${i % networks}.9`, 1000 + second / 4, more(i));
  });
}

async function atRest(
  made: readonly Made[],
  settings: DetectionConfigInput = {},
  fields: readonly string[] = realTimeFields,
): Promise<Detection> {
  const file = join(folder, `${logs++}.tsv`);
  await writeFile(file, made.map(({ data }) => Buffer.from(data, 'base64').toString('utf8')).join(''));
  return detect({ logs: [file], config: parseDetectionConfig(settings), now: start + 3600, fields });
}

/** What the stream tells: session, and why nothing is done. */
async function streamed(made: readonly Made[]): Promise<[string, string | undefined][]> {
  const told: [string, string | undefined][] = [];
  const handle = stream({
    config: parseDetectionConfig(),
    streaming: streamingConfigSchema.parse({}),
    store: memoryAggregates(),
    act: () => Promise.resolve(),
    told: ({ verdict, waits }: { verdict: StreamVerdict; waits: string | undefined }) =>
      void told.push([verdict.session, waits]),
    now: () => start + 130,
  });
  const Records = made.map(({ data, sequenceNumber }) => ({ kinesis: { data, sequenceNumber } }));
  await handle({ Records, isFinalInvokeForWindow: true, shardId: 'shard-0' }, silent);
  return told;
}

const flagged = ({ verdicts }: Detection): string[] => verdicts.filter((one) => one.flagged).map((one) => one.session);
const ready = ({ plan }: Detection): string[] => plan.ready.map(({ request }) => `${request.scope} ${request.id}`);

describe('the session of somebody else in front of a good token', () => {
  const path = (text: string): string => `/live/${text}/ch1/v5/seg_`;
  const forged: [string, (i: number) => Partial<Record<string, string>>][] = [
    [
      'in the path, the good one in the query',
      (i) => ({
        'cs-uri-stem': `${path(victimsToken)}${1000 + Math.floor(i / 9)}.m4s`,
        'cs-uri-query': `CAT=${attackersToken}`,
      }),
    ],
    [
      'both in the query',
      (i) => ({
        'cs-uri-stem': `/live/ch1/v5/seg_${1000 + Math.floor(i / 9)}.m4s`,
        'cs-uri-query': `CAT=${victimsToken}&a=1&CAT=${attackersToken}`,
      }),
    ],
    [
      'in the query, more often than is looked at',
      (i) => ({
        'cs-uri-stem': `/live/ch1/v5/seg_${1000 + Math.floor(i / 9)}.m4s`,
        'cs-uri-query': `${`CAT=${victimsToken}&`.repeat(6)}CAT=${attackersToken}`,
      }),
    ],
    [
      'in a cookie, twice',
      (i) => ({
        'cs-uri-stem': `/live/ch1/v5/seg_${1000 + Math.floor(i / 9)}.m4s`,
        'cs-cookie': `CAT=${victimsToken};%20CAT=${attackersToken}`,
      }),
    ],
  ];
  it.each(forged)('%s: nothing is done to it before a person has looked', async (_where, more) => {
    const made = shared(attacker, more);
    const found = await atRest(made);
    expect(found.verdicts.map(({ session: id, contested }) => [id, contested])).toEqual([[session(victim), true]]);
    expect(ready(found)).toEqual([]);
    expect(found.plan.held[0]?.why).toContain('tokens of other sessions');
    expect(found.reading.several).toBe(made.length);
    expect(found.subjects.size).toBe(0);
    expect(await streamed(made)).toEqual([[session(victim), expect.stringContaining('tokens of other sessions')]]);
  });

  it('a few times, from as many countries as a rule allows: nothing is done before a person has looked', async () => {
    const honest = Array.from({ length: 200 }, (_, i) => segment(victim, start + i, '192.0.2.9', 1000 + i));
    const fromAbroad = ['DE', 'FR', 'IT', 'ES', 'PL', 'SE'].map((country, i) =>
      segment(victim, start + i, `198.51.${i}.9`, 1000 + i, {
        'c-country': country,
        'cs-uri-query': `CAT=${attackersToken}`,
      }),
    );
    const found = await atRest([...honest, ...fromAbroad], { windowSeconds: 3600 });
    expect(flagged(found)).toEqual([session(victim)]);
    expect(ready(found)).toEqual([]);
  });

  it('is no doubt where the other token is a renewal of the same session', async () => {
    const made = shared(victim, () => ({ 'cs-cookie': `CAT=${token(victim, 7)}` }));
    const found = await atRest(made);
    expect(found.verdicts.map(({ session: id, contested }) => [id, contested])).toEqual([[session(victim), false]]);
    expect(ready(found)).toContain(`session ${session(victim)}`);
    expect(await streamed(made)).toEqual([[session(victim), undefined]]);
  });

  it('junk in front of a good token hides nothing', async () => {
    const made = shared(attacker, (i) => ({
      'cs-uri-stem': `/live/ch1/v5/seg_${1000 + Math.floor(i / 9)}.m4s`,
      'cs-uri-query': `CAT=${String(i).padStart(44, 'x')}&CAT=${attackersToken}`,
    }));
    expect(ready(await atRest(made))).toContain(`session ${session(attacker)}`);
    expect(await streamed(made)).toEqual([[session(attacker), undefined]]);
  });
});

describe('requests that the edge never checked', () => {
  it.each([301, 302, '000', 400])('with status %s are no behaviour', async (status) => {
    const made = shared(victim, () => ({ 'sc-status': status }));
    expect((await atRest(made)).verdicts).toEqual([]);
    expect(await streamed(made)).toEqual([]);
  });

  it('name no account and make no audience, however many', async () => {
    const forged = Array.from({ length: 400 }, (_, i) => {
      const claims = { sid: i % 2 === 0 ? session(attacker) : `made-up-${i}`, sub: 'zz-somebody-else' };
      const text = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${'S'.repeat(43)}`;
      return segment(attacker, start + (i % 100), '198.51.100.7', 1000, {
        'cs-uri-stem': `/live/${text}/ch1/v5/seg_1.m4s`,
        'sc-status': 401,
      });
    });
    const found = await atRest([...shared(attacker), ...forged]);
    expect(found.subjects.get(session(attacker))).toBe(`viewer-${attacker}`);
    expect(found.audience.sessions).toBe(1);
  });
});

describe('what a player says', () => {
  it('of the length of its segments changes little for others', async () => {
    const honest = [11, 12, 13, 14].flatMap((fill) =>
      Array.from({ length: 30 }, (_, i) =>
        segment(fill, start + i * 4, `192.0.2.${fill}`, 1000 + i, {
          'cs-uri-query': 'CMCD=br%3D3200%2Cd%3D4000%2Cot%3Dv',
        }),
      ),
    );
    const liar = Array.from({ length: 500 }, (_, i) =>
      segment(15, start + (i % 120), '192.0.2.99', 1000 + i, {
        'cs-uri-query': `CMCD=br%3D3200%2Cd%3D${i % 2 === 0 ? 9_999_999 : 29_999}%2Cot%3Dv`,
      }),
    );
    const { audience } = await atRest([...honest, ...liar]);
    expect(audience.segmentSeconds).toBeCloseTo((4 * 4 + 29.999) / 5, 3);
  });

  it.each(['i', 'c', 'tt', 'm', 'k', 'o'])('CMCD ot=%s hides no sharing', async (type) => {
    const made = shared(attacker, () => ({ 'cs-uri-query': `CMCD=br%3D3200%2Cot%3D${type}` }));
    expect(ready(await atRest(made))).toContain(`session ${session(attacker)}`);
    expect(await streamed(made)).toEqual([[session(attacker), undefined]]);
  });
});

describe('names of files', () => {
  const named = (name: (number: number) => string) =>
    shared(attacker, (i) => ({
      'cs-uri-stem': `/live/${attackersToken}/ch1/v5/${name(1000 + Math.floor(i / 9))}`,
    }));

  it.each<[string, (number: number) => string]>([
    ['an escape in the extension', (number) => `seg_${number}.m4%73`],
    ['an escape that the log has encoded again', (number) => `seg_${number}.m4%2573`],
    ['a parameter behind it', (number) => `seg_${number}.m4s;x=1`],
    ['a word that holds "init"', (number) => `high_definition_${number}.ts`],
  ])('%s: it is the segment that it is', async (_name, name) => {
    expect(ready(await atRest(named(name)))).toContain(`session ${session(attacker)}`);
    expect(await streamed(named(name))).toEqual([[session(attacker), undefined]]);
  });

  it('a number that stands elsewhere in the name is found where the settings say so', async () => {
    const name = (number: number): string => `seg-${number}-v1-a1.ts`;
    expect(flagged(await atRest(named(name)))).toEqual([]);
    const settings = { segmentNumber: 'seg-([0-9]+)-' };
    expect(ready(await atRest(named(name), settings))).toContain(`session ${session(attacker)}`);
    const read = recordReader(realTimeFields, parseDetectionConfig(settings));
    expect(read((named(name)[9] as Made).data, start + 10)).toMatchObject({ position: 1001, track: 'video' });
    for (const wrong of ['seg-[0-9]+-', '(a)(b)', '([0-9]+', '(?=([0-9]+))', '([0-9])\\1', '(?<n>[0-9])'])
      expect(() => parseDetectionConfig({ segmentNumber: wrong }), wrong).toThrow(/one group/);
  });

  it('initialisation segments are no place in the content', () => {
    const read = recordReader(realTimeFields, parseDetectionConfig());
    for (const name of ['init-1.mp4', 'v1_init_2.m4s', 'initialization3.mp4', 'initseg_4.mp4']) {
      const made = segment(attacker, start, '203.0.113.9', 1, {
        'cs-uri-stem': `/live/${attackersToken}/ch1/v5/${name}`,
      });
      expect(read(made.data, start), name).toBeUndefined();
    }
  });

  it('one file in ranges: each range is a place', async () => {
    const fields = [...realTimeFields, 'sc-range-start'];
    const made = shared(attacker, () => ({
      'sc-status': 206,
      'cs-uri-stem': `/live/${attackersToken}/ch1/v5/movie.mp4`,
    })).map((one, i) => {
      const line = Buffer.from(one.data, 'base64').toString('utf8').trimEnd();
      return { ...one, data: Buffer.from(`${line}\t${1_000_000 * Math.floor(i / 9)}\n`).toString('base64') };
    });
    const found = await atRest(made, {}, fields);
    expect(flagged(found)).toEqual([session(attacker)]);
    expect(found.verdicts[0]?.contributions[0]?.signal).toBe('repeatedSegments');
    expect(recordReader(fields, parseDetectionConfig())((made[9] as Made).data, start + 10)).toMatchObject({
      position: 1_000_000,
      track: 'audio',
    });
  });
});

it('an exit of a hosting company is blocked only where nobody else is served through it', async () => {
  const made = shared(attacker, (i) => (i % 9 === 0 ? { asn: 16509 } : {}));
  const settings = { hostingAsns: [16509] };
  expect(ready(await atRest(made, settings))).toContain('network 203.0.0.9/32');
  const neighbour = segment(11, start + 5, '203.0.0.9', 1, { asn: 16509 });
  expect(ready(await atRest([...made, neighbour], settings))).not.toContain('network 203.0.0.9/32');
  // Who was refused there is nobody's neighbour.
  const refused = segment(11, start + 5, '203.0.0.9', 1, { asn: 16509, 'sc-status': 401 });
  expect(ready(await atRest([...made, refused], settings))).toContain('network 203.0.0.9/32');
});

describe('settings under which little is enough', () => {
  it('a rule alone brings a session into the report', async () => {
    const travelling = Array.from({ length: 60 }, (_, i) =>
      segment(victim, start + i * 4, i < 30 ? '203.0.1.9' : '198.51.100.9', 1000 + i, {
        'c-country': i < 30 ? 'US' : 'CA',
      }),
    );
    const strict = { hardRules: { countriesPerWindow: 2 } };
    const windows = { windowSeconds: 3600, weights: { countries: { from: 2, to: 5 } } };
    expect(flagged(await atRest(travelling, { ...strict, ...windows }))).toEqual([session(victim)]);
  });

  it('a threshold below the watch level is the one that counts', async () => {
    const tool = Array.from({ length: 60 }, (_, i) =>
      segment(victim, start + i * 4, '203.0.1.9', 1000 + i, { 'cs-user-agent': 'curl/8.0' }),
    );
    const found = await atRest(tool, { threshold: 20, windowSeconds: 3600 });
    expect(found.verdicts.filter((one) => one.flagged).map((one) => one.score)).toEqual([25]);
  });
});
