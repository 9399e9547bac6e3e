import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode as decodeCbor, type Tag } from 'cbor-x';
import { decode } from '@portcullis/tokens/decode';
import { abuserKinds, defaultSimulation, fieldNames, lookAlikeKinds, simulate, writeSimulation } from './index.js';
import type { LogRow, SimulationOptions } from './index.js';
import { addressRanges, networkOfAddress } from './networks.js';
import { Random } from './random.js';
import { encodeCat, encodeJwt, makeKey } from './tokens.js';

const small = { viewers: 400, minutes: 3, seed: 'test' } satisfies Partial<SimulationOptions>;

function collect(options: Partial<SimulationOptions>): { rows: LogRow[]; simulation: ReturnType<typeof simulate> } {
  const simulation = simulate(options);
  const rows: LogRow[] = [];
  for (const time of simulation.run((row) => rows.push({ ...row }))) void time;
  return { rows, simulation };
}

const tokenOf = (path: string): string | undefined => /^\/live\/([\w.-]{60,})\//.exec(path)?.[1];

/** The session a token names, read with another decoder than the one that wrote it. */
function sessionOf(token: string): string {
  if (token.includes('.')) {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
      sid?: string;
      jti: string;
    };
    return claims.sid ?? claims.jti;
  }
  const bytes = Buffer.from(token, 'base64url');
  expect(bytes[0]).toBe(0xd1);
  const message = decodeCbor(bytes.subarray(1)) as Uint8Array[];
  const text = Buffer.from(message[2] as Uint8Array).toString('hex');
  const handle = /3a00010000(50)([0-9a-f]{32})/.exec(text)?.[2] ?? /0750([0-9a-f]{32})/.exec(text)?.[1];
  return Buffer.from(handle as string, 'hex').toString('base64url');
}

describe('a simulated event', () => {
  it('is the same row for row with the same seed, and another with another', () => {
    const digest = (rows: LogRow[]): string =>
      createHmac('sha256', 'x')
        .update(rows.map((row) => `${row.time} ${row.address} ${row.path} ${row.query}`).join('\n'))
        .digest('hex');
    const first = digest(collect(small).rows);
    expect(digest(collect(small).rows)).toBe(first);
    expect(digest(collect({ ...small, seed: 'other' }).rows)).not.toBe(first);
  });

  it('labels every kind of abuse and of look-alike in the shares asked for', () => {
    const labels = simulate({ viewers: 6000, abuserShare: 0.02, seed: 3 }).labels();
    const kinds = new Set(labels.map((label) => label.kind));
    for (const kind of [...Object.keys(abuserKinds), ...Object.keys(lookAlikeKinds)]) expect(kinds).toContain(kind);
    const abused = labels.filter((label) => label.abuser).length / labels.length;
    const odd = labels.filter((label) => label.kind in lookAlikeKinds).length / labels.length;
    expect(abused).toBeGreaterThan(0.018);
    expect(abused).toBeLessThan(0.03);
    expect(odd).toBeGreaterThan(0.14);
    expect(odd).toBeLessThan(0.16);
  });

  describe('run once', () => {
    let rows: LogRow[];
    let simulation: ReturnType<typeof simulate>;
    beforeAll(() => {
      ({ rows, simulation } = collect({ ...small, abuserShare: 0.05 }));
    });

    it('puts a real token in every media path, and its session is one of the labels', () => {
      const known = new Set(simulation.labels().map((label) => label.session));
      const tokens = new Set(rows.map((row) => tokenOf(row.path)).filter((token) => token !== undefined));
      expect(tokens.size).toBeGreaterThan(300);
      const garbage = [...tokens].filter((token) => {
        try {
          return !known.has(sessionOf(token));
        } catch {
          return true;
        }
      });
      // Only the scanners' made-up tokens name no session.
      const strays = new Set(rows.filter((row) => row.status === 401).map((row) => tokenOf(row.path)));
      expect(garbage.every((token) => strays.has(token))).toBe(true);
    });

    it('keeps the session while it renews the token', () => {
      const tokens = new Map<string, Set<string>>();
      for (const row of rows) {
        const token = tokenOf(row.path);
        if (!token || row.status !== 200) continue;
        const session = sessionOf(token);
        tokens.set(session, (tokens.get(session) ?? new Set()).add(token));
      }
      const renewed = [...tokens.values()].filter((set) => set.size > 1).length;
      expect(renewed).toBeGreaterThan(tokens.size * 0.2);
    });

    it('logs each session as often as its label says, in order of time to within seconds', () => {
      const counts = new Map<string, number>();
      let latest = 0;
      for (const row of rows) {
        expect(row.time).toBeGreaterThan(latest - 120_000);
        latest = Math.max(latest, row.time);
        const token = tokenOf(row.path);
        if (!token || row.path.endsWith('.txt')) continue;
        try {
          const session = sessionOf(token);
          counts.set(session, (counts.get(session) ?? 0) + 1);
        } catch {
          continue;
        }
      }
      for (const label of simulation.labels()) expect(counts.get(label.session) ?? 0).toBe(label.rows);
    });

    it('shows abuse where it says there is some, and the plain viewer on one address', () => {
      for (const label of simulation.labels()) {
        if (label.abuser) expect(label.abuseFrom).toBeTypeOf('number');
        else expect(label).not.toHaveProperty('abuseFrom');
        if (label.kind === 'viewer') expect(label.addresses).toBeLessThanOrEqual(1);
        if (label.kind === 'leech-farm') expect(label.addresses).toBeGreaterThan(15);
      }
    });

    it("takes every address from the plan's own reserved blocks", () => {
      expect(rows.every((row) => networkOfAddress(row.address) !== undefined)).toBe(true);
      for (const range of addressRanges()) {
        const inside = range.network.includes(':')
          ? range.network.replace('::/32', ':1:2::1')
          : range.network.replace('/12', '');
        const network = networkOfAddress(inside);
        expect([network?.asn, network?.country]).toEqual([range.asn, range.country]);
      }
    });
  });

  it.each([
    ['marker', /^\/~t\/[\w.-]{60,}\/live\/ch\d\//],
    ['first', /^\/[\w.-]{60,}\/live\/ch\d\//],
    ['query', /^\/live\/ch\d\/.*\?CAT=[\w.-]{60,}/],
    ['cookie', /^\/live\/ch\d\/.* CAT=[\w.-]{60,}$/],
  ] as const)('places the token: %s', (placement, pattern) => {
    const { rows } = collect({ viewers: 20, minutes: 1, placement });
    const media = rows.filter((row) => row.path.endsWith('.m4s'));
    expect(media.length).toBeGreaterThan(50);
    for (const row of media) expect(`${row.path}?${row.query} ${row.cookie}`).toMatch(pattern);
  });

  it('logs segments alone, or a sample, when asked', () => {
    const all = collect(small).rows.length;
    const media = collect({ ...small, logged: 'media' }).rows;
    expect(media.every((row) => row.path.endsWith('.m4s'))).toBe(true);
    expect(media.length).toBeLessThan(all * 0.6);
    const sampled = collect({ ...small, sampling: 0.1 }).rows.length;
    expect(sampled / all).toBeGreaterThan(0.08);
    expect(sampled / all).toBeLessThan(0.12);
  });
});

describe('the tokens', () => {
  const random = new Random('tokens');
  const key = makeKey(random);
  const claims = {
    issuer: 'https://play.example.tv',
    subject: 'acct-1',
    pathPrefix: '/live/',
    issuedAt: 1_800_000_000,
    expiresAt: 1_800_000_300,
    sessionEnd: 1_800_020_000,
    tokenId: random.bytes(16),
    session: random.bytes(16),
    countries: ['DE', 'US'],
  };

  it('are COSE_Mac0 with the MAC over the Mac_structure of RFC 9052 6.3', () => {
    const token = Buffer.from(encodeCat(claims, key), 'base64url');
    const [header, , payload, mac] = (decodeCbor(token) as Tag & { value: Uint8Array[] }).value as [
      Uint8Array,
      unknown,
      Uint8Array,
      Uint8Array,
    ];
    const structure = Buffer.concat([
      Buffer.from([0x84, 0x64]),
      Buffer.from('MAC0'),
      Buffer.from([0x40 | header.length]),
      header,
      Buffer.from([0x40, 0x58, payload.length]),
      payload,
    ]);
    expect(payload.length).toBeGreaterThan(23);
    expect(Buffer.from(mac)).toEqual(createHmac('sha256', key.secret).update(structure).digest());
  });

  it.each([
    ['cat', encodeCat],
    ['jwt', encodeJwt],
  ] as const)('are read by the SDK with the same meaning: %s', (format, encode) => {
    const decoded = decode(encode(claims, key));
    expect(decoded).toMatchObject({
      format,
      kid: 'sim-1',
      session: Buffer.from(claims.session).toString('base64url'),
      tokenId: Buffer.from(claims.tokenId).toString('base64url'),
      subject: 'acct-1',
      issuer: 'https://play.example.tv',
      expiresAt: 1_800_000_300,
    });
  });

  it('are JWTs that the same key verifies', () => {
    const [header, payload, signature] = encodeJwt(claims, key).split('.');
    expect(signature).toBe(createHmac('sha256', key.secret).update(`${header}.${payload}`).digest('base64url'));
    expect(JSON.parse(Buffer.from(payload as string, 'base64url').toString())).toMatchObject({
      iss: 'https://play.example.tv',
      exp: 1_800_000_300,
      sid: Buffer.from(claims.session).toString('base64url'),
    });
  });
});

describe('the written log', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portcullis-simulate-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const write = async (name: string, options: Partial<Parameters<typeof writeSimulation>[1]>) =>
    writeSimulation(simulate({ viewers: 60, minutes: 1 }), {
      format: 'standard',
      folder: join(folder, name),
      ...options,
    });

  it('is a standard log with its two header lines and 33 columns', async () => {
    const written = await write('standard', { rowsPerFile: 500 });
    expect(written.files.length).toBeGreaterThan(1);
    let rows = 0;
    for (const file of written.files) {
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      expect(lines[0]).toBe('#Version: 1.0');
      expect(lines[1]).toMatch(/^#Fields: date time x-edge-location sc-bytes c-ip /);
      for (const line of lines.slice(2)) expect(line.split('\t')).toHaveLength(33);
      rows += lines.length - 2;
    }
    expect(rows).toBe(written.rows);
    expect(await readdir(join(folder, 'standard'))).toHaveLength(written.files.length);
  });

  it('is a gzip real-time log whose columns are in the order of the fields file', async () => {
    const written = await write('realtime', { format: 'realtime', gzip: true });
    const fields = (await readFile(written.fields, 'utf8')).trimEnd().split('\n');
    expect(fields).toEqual(fieldNames('realtime'));
    const lines = gunzipSync(await readFile(written.files[0] as string))
      .toString()
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(written.rows);
    for (const line of lines) {
      const cells = line.split('\t');
      expect(cells).toHaveLength(fields.length);
      expect(cells.every((cell) => cell !== '')).toBe(true);
    }
    const column = (name: string): string[] => lines.map((line) => line.split('\t')[fields.indexOf(name)] as string);
    expect(column('cmcd-session-id').some((value) => /^[0-9a-f-]{36}$/.test(value))).toBe(true);
    expect(column('cs-headers').some((value) => value.includes('CMCD-Session%3A'))).toBe(true);
    expect(column('cs-uri-query').some((value) => value.includes('v%3D2'))).toBe(true);
    expect(Number(column('timestamp')[0])).toBeGreaterThan(defaultSimulation.from / 1000 - 1);
  });

  it('is JSON lines', async () => {
    const written = await write('json', { format: 'json' });
    const lines = (await readFile(written.files[0] as string, 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(written.rows);
    expect(Object.keys(JSON.parse(lines[0] as string) as object)).toEqual(fieldNames('json'));
  });

  it('is Parquet that DuckDB reads, with nothing left beside it', async () => {
    const written = await write('parquet', { format: 'parquet' });
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const connection = await (await DuckDBInstance.create()).connect();
    const result = await connection.runAndReadAll(
      `SELECT count(*)::INTEGER AS rows, min(cs_uri_stem) AS path, max(asn) AS asn FROM '${written.files[0]}'`,
    );
    expect(result.getRowObjects()[0]).toMatchObject({
      rows: written.rows,
      path: expect.stringMatching(/^\//) as string,
    });
    connection.closeSync();
    expect(await readdir(join(folder, 'parquet'))).toHaveLength(1);
  });
});
