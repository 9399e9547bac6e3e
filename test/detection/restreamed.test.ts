import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseDetectionConfig } from '../../revoker/detection/index.js';
import { detect } from '../../revoker/detection/run.js';

const jwt = (fill: number, renewal: number): string =>
  `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify({ sid: Buffer.alloc(16, fill).toString('base64url'), jti: `${fill}-${renewal}`, sub: `viewer-${fill}` })).toString('base64url')}.${'S'.repeat(43)}`;

it('finds one session fetched from forty networks in a minute of the local edge’s own access log, across renewals', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-access-'));
  const start = 1_790_000_040;
  const lines: string[] = [];
  const request = (fill: number, at: number, ip: string, segment: number): void =>
    void lines.push(
      JSON.stringify({
        timestamp: at + 0.25,
        'c-ip': ip,
        'c-port': 40000,
        'c-country': 'US',
        asn: '-',
        'sc-status': 200,
        'sc-bytes': 40_000,
        'cs-method': 'GET',
        'cs-uri-stem': `/live/${jwt(fill, Math.floor((at - start) / 20))}/ch1/v1/seg_${segment}.ts`,
        'cs-uri-query': '-',
        'cs-user-agent': 'Mozilla/5.0',
        'x-edge-location': 'LOC50-C1',
        ...(segment % 2 === 0 ? { 'cmcd-session-id': `player-${ip}` } : {}),
      }),
    );
  for (let second = 0; second < 60; second += 2) {
    for (let network = 0; network < 40; network++) request(1, start + second, `203.0.${network}.9`, second / 2);
    request(2, start + second, '198.51.100.7', second / 2);
  }
  const file = join(folder, 'access.log');
  await writeFile(file, `${lines.join('\n')}\n`);
  const now = start + 60;
  const found = await detect({ logs: [file], config: parseDetectionConfig(), now });
  expect(found.reading).toMatchObject({ records: 30 * 41, tokened: 30 * 41, tokens: 6, unreadable: 0 });
  expect(found.verdicts.map((verdict) => verdict.session)).toEqual([Buffer.alloc(16, 1).toString('base64url')]);
  expect(found.plan.ready.map(({ request: { scope, id } }) => ({ scope, id }))).toContainEqual({
    scope: 'session',
    id: Buffer.alloc(16, 1).toString('base64url'),
  });
  await rm(folder, { recursive: true });
});
