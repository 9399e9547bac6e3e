// Playback that starts with a public-key token: Lambda@Edge checks it once, and every segment after it carries an HMAC token
// that the compiled function checks by itself.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VendAnswer } from '../../scripts/local-edge/vending.js';
import { decode } from '../../tokens/src/index.js';
import { launchChromium } from './chromium.js';
import { DemoPage } from './demo-page.js';
import { runEdge, type RunningEdge } from './program.js';

let edge: RunningEdge;
let browser: Browser;
beforeAll(async () => {
  [edge, browser] = await Promise.all([runEdge('--lambda'), launchChromium()]);
});
afterAll(async () => {
  await browser?.close();
  expect(await edge?.end()).toBe(0);
});

const lines = async (file: string): Promise<Record<string, unknown>[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
/** How often the Lambda ran. */
const runs = async (): Promise<number> =>
  (await lines(edge.addresses.functionLog)).filter(
    (line) => line['function'] === 'lambda origin-request' && line['result'] !== undefined,
  ).length;
const tokenIn = (path: string): string | undefined => path.split('/').find((part) => /^(eyJ|0[Yo]R|2D3)/.test(part));

test.each(['cat', 'jwt'])(
  'starts with an ES256 %s and plays on HMAC tokens, by one run of the Lambda',
  async (format) => {
    const demo = await DemoPage.open(browser, edge.addresses.page);
    try {
      await demo.playsOn(1);
      if (format !== 'cat') await demo.choose('format', format);
      const before = await runs();
      const asked: string[] = [];
      demo.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
      await demo.choose('start', 'ES256');
      await demo.page.waitForFunction(() => document.querySelector('#raw-token')?.textContent !== '');
      await expect.poll(() => asked.some((path) => path.startsWith('/start/')), { timeout: 60_000 }).toBe(true);
      await demo.playsOn(5);
      expect(await demo.text('refused')).toBe('0');
      expect(await runs()).toBe(before + 1);

      const starts = asked.filter((path) => path.startsWith('/start/'));
      expect(starts.map((path) => decode(tokenIn(path) ?? '').alg)).toEqual(['ES256']);
      // What was asked before the choice belongs to the session before it.
      const after = asked.slice(asked.findIndex((path) => path.startsWith('/start/')) + 1);
      const segments = after.filter((path) => /\.(m4s|mp4)$/.test(path));
      expect(segments.length).toBeGreaterThan(2);
      const carried = segments.map((path) => decode(tokenIn(path) ?? ''));
      expect(new Set(carried.map(({ alg, kid }) => `${alg} ${kid}`))).toEqual(new Set(['HS256 edge']));
      expect(new Set(carried.map((token) => token.format))).toEqual(new Set([format]));
      // The page goes on with the exchanged token, too.
      expect(decode(await demo.text('raw-token'))).toMatchObject({ kid: 'edge', format });
      expect(demo.problems).toEqual([]);
      await demo.screenshot(`starts-with-a-public-key-${format}`);
    } finally {
      await demo.page.close();
    }
  },
);

test('cuts off the session that the exchange carried over', async () => {
  const demo = await DemoPage.open(browser, edge.addresses.page);
  try {
    await demo.choose('start', 'ES256');
    await demo.playsOn(2);
    const id = (await demo.text('revoke-command')).split(' ')[4] ?? '';
    await edge.command('revoke', 'session', id, '--reason', 'test', '--yes');
    expect(await demo.refusal()).toMatchObject({ code: '403', reason: 'revoked' });
  } finally {
    await demo.page.close();
  }
});

test('keeps the session in a cookie where the browser sends it back, and in the path where it does not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-cookie-'));
  const file = join(folder, 'portcullis.config.json');
  const config = {
    placements: { path: 'first', cookie: true },
    lambda: { keys: [{ kind: 'jwks', jwks: { keys: [] } }], start: { kid: 'edge', exchange: { by: 'cookie' } } },
  };
  await writeFile(file, JSON.stringify(config));
  const by = await runEdge('--lambda', '--config', file);
  const page = await browser.newPage();
  try {
    const vend = async (): Promise<VendAnswer> =>
      (await (
        await fetch(by.addresses.vend, { method: 'POST', body: JSON.stringify({ start: 'ES256' }) })
      ).json()) as VendAnswer;
    /** Asks for an address from a page, and then for the playlist of it that comes first. */
    const play = async (from: string, url: string) => {
      await page.goto(from);
      return page.evaluate(async (start) => {
        const first = await fetch(start);
        const line = (await first.text()).split('\n').find((text) => /^[^#].*m3u8/.test(text)) ?? '';
        const next = await fetch(new URL(line, first.url));
        return { url: first.url, statuses: [first.status, next.status], cookies: document.cookie };
      }, url);
    };
    // From a page of the edge's own, cookies come back by themselves: no token in any address, and no script sees it.
    const own = await play(`${by.addresses.edge}/none`, (await vend()).url);
    expect(own.statuses).toEqual([200, 200]);
    expect([tokenIn(new URL(own.url).pathname), new URL(own.url).search, own.cookies]).toEqual([undefined, '', '']);
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ httpOnly: true, secure: true });
    expect(decode(cookie?.value ?? '')).toMatchObject({ alg: 'HS256', kid: 'edge' });
    // Scripts of another origin's page ask without cookies.
    await page.context().clearCookies();
    const other = await play(by.addresses.site, (await vend()).url);
    expect(other.statuses).toEqual([200, 200]);
    expect(decode(tokenIn(new URL(other.url).pathname) ?? '')).toMatchObject({ alg: 'HS256', kid: 'edge' });
    expect(await page.context().cookies()).toEqual([]);
  } finally {
    await page.close();
    expect(await by.end()).toBe(0);
    await rm(folder, { recursive: true, force: true });
  }
});
