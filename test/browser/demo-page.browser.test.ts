import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { launchChromium } from './chromium.js';
import { runEdge, type RunningEdge } from './program.js';

let edge: RunningEdge;
let browser: Browser;
let page: Page;
let problems: string[];

beforeAll(async () => {
  [edge, browser] = await Promise.all([runEdge(), launchChromium()]);
});
afterAll(async () => {
  await browser?.close();
  expect(await edge?.end()).toBe(0);
});
beforeEach(async () => {
  page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
  page.setDefaultTimeout(90_000);
  problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    if (!/^(blob:|data:)/.test(request.url()) && new URL(request.url()).hostname !== '127.0.0.1') {
      problems.push(`asked ${request.url()}`);
    }
  });
  await page.goto(edge.addresses.page);
});
afterEach(async () => {
  await page.close();
  expect(problems).toEqual([]);
});

/** Waits until the player has played some seconds more. */
async function playsOn(seconds = 2): Promise<void> {
  await page.waitForSelector('#health[data-state=playing]');
  const from = await page.evaluate(() => document.querySelector('video')?.currentTime ?? 0);
  await page.waitForFunction(
    ([start, more]) => {
      const video = document.querySelector('video');
      return video !== null && !video.paused && video.currentTime > (start as number) + (more as number);
    },
    [from, seconds],
  );
  expect(await page.locator('#banner').isVisible()).toBe(false);
}

/** Waits for a refusal and gives what the page says of it. */
async function refusal(): Promise<{ code: string; reason: string; title: string }> {
  await page.waitForSelector('#banner:not([hidden])');
  const text = async (id: string): Promise<string> => ((await page.textContent(`#${id}`)) ?? '').trim();
  expect(await page.evaluate(() => document.querySelector('video')?.paused)).toBe(true);
  return { code: await text('banner-code'), reason: await text('banner-reason'), title: await text('banner-title') };
}

async function screenshot(name: string): Promise<void> {
  const folder = process.env['PORTCULLIS_SCREENSHOTS'];
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

async function choose(name: string, value: string): Promise<void> {
  await page.selectOption(`select[name=${name}]`, value);
}

describe('the demo page', () => {
  test('plays the live stream through the compiled function, more than five seconds of it', async () => {
    await playsOn(6);
    expect(Number(await page.textContent('#allowed'))).toBeGreaterThan(5);
    expect(await page.textContent('#refused')).toBe('0');
    expect(await page.evaluate(() => document.querySelector('video')?.videoWidth)).toBeGreaterThan(0);
    expect(await page.locator('#claims tr').count()).toBeGreaterThan(5);
    await screenshot('plays');
  });

  test('says that a token was tampered with, and plays on once that is undone', async () => {
    await playsOn();
    await page.click('#tamper');
    const { code, reason } = await refusal();
    expect(code).toBe('401');
    expect(['bad_signature', 'malformed_token', 'invalid_claim']).toContain(reason);
    expect(await page.locator('#raw-token mark').count()).toBe(1);
    await screenshot('tampered');
    await page.click('#tamper');
    await playsOn();
  });

  test('is refused from another country, and plays on back home', async () => {
    await playsOn();
    await page.click('#move');
    expect(await refusal()).toEqual({ code: '401', reason: 'country_mismatch', title: 'Another country' });
    await screenshot('moved');
    await page.click('#move');
    await playsOn();
  });

  test('is refused without a token', async () => {
    await playsOn();
    await page.click('#strip');
    expect(await refusal()).toMatchObject({ code: '401', reason: 'missing_token' });
    await page.click('#strip');
    await playsOn();
  });

  test('is refused when the token expires, and plays on with a renewed one of the same session', async () => {
    await playsOn();
    const session = await page.locator('#claims tr', { hasText: 'the session, kept' }).locator('b').textContent();
    await page.click('#expire');
    expect(await refusal()).toMatchObject({ code: '401', reason: 'expired' });
    expect(await page.textContent('#countdown')).toBe('expired');
    await page.click('#renew');
    await playsOn();
    expect(await page.locator('#claims tr', { hasText: 'the session, kept' }).locator('b').textContent()).toBe(session);
  });

  test('stops when its session is revoked from the command line, says why, and plays again when it is let back in', async () => {
    await playsOn();
    const words = ((await page.textContent('#revoke-command')) ?? '').split(' ').slice(2, -1);
    expect(words.slice(0, 2)).toEqual(['revoke', 'session']);
    const id = words[2] ?? '';
    await edge.command('revoke', 'session', id, '--reason', 'test', '--yes');
    expect(await refusal()).toEqual({ code: '403', reason: 'revoked', title: 'Revoked: this session was cut off' });
    await screenshot('revoked');
    // No way round it: a renewed token is not to be had either.
    await page.click('#renew');
    await page.waitForSelector('#note:not([hidden])');
    expect(await page.textContent('#note')).toContain('Revoked');
    await edge.command('unrevoke', 'session', id, '--reason', 'test over', '--yes');
    await playsOn();
  });

  test.each([
    ['cat', 'query'],
    ['cat', 'cookie'],
    ['cat', 'header'],
    ['jwt', 'path'],
    ['jwt', 'query'],
    ['jwt', 'cookie'],
    ['jwt', 'header'],
  ])('plays with a %s in the %s', async (format, placement) => {
    await choose('format', format);
    await choose('placement', placement);
    await playsOn();
    const token = (await page.textContent('#raw-token')) ?? '';
    const path = await page.locator('#answers td.path').first().textContent();
    expect(path?.includes(token.slice(0, 6))).toBe(placement === 'path' || placement === 'query');
  });

  test('plays with dash.js, and stops and resumes there as well', async () => {
    await page.click('#tab-dash');
    await page.waitForFunction(() => document.querySelector('#answers')?.textContent?.includes('manifest.mpd'));
    await playsOn(4);
    await screenshot('dash');
    await page.click('#move');
    expect(await refusal()).toMatchObject({ reason: 'country_mismatch' });
    await page.click('#move');
    await playsOn();
  });

  test.each([
    ['hls.js by header, the token in a header', 'hls', 'header', 'header'],
    ['hls.js by header, the token in the path', 'hls', 'path', 'header'],
    ['hls.js by redirect, the token in the path', 'hls', 'path', 'automatic'],
    ['dash.js by itself, from the header', 'dash', 'header', 'header'],
  ])('goes on through three renewals by the edge: %s', async (_, player, placement, renewal) => {
    if (player === 'dash') await page.click('#tab-dash');
    await choose('placement', placement);
    await choose('expiresIn', '8');
    await choose('renewal', renewal);
    await playsOn();
    const id = async (): Promise<string | null> =>
      page.locator('#claims tr', { hasText: 'this token alone' }).locator('b').textContent();
    const first = await id();
    await page.waitForFunction(
      () => Number(/(\d+) renewed/.exec(document.querySelector('#renewals')?.textContent ?? '')?.[1]) >= 3,
    );
    await playsOn();
    expect(await page.textContent('#refused')).toBe('0');
    expect(await id()).not.toBe(first);
    await screenshot(`renewed-${player}-${placement}-${renewal}`);
  });

  test('goes on through renewals in a cookie, which the page cannot see', async () => {
    await choose('placement', 'cookie');
    await choose('expiresIn', '8');
    await choose('renewal', 'cookie');
    await playsOn();
    await page.waitForFunction(() => document.querySelector('#countdown')?.textContent === 'renewed in a cookie');
    await playsOn(10);
    expect(await page.textContent('#refused')).toBe('0');
  });

  test('is usable on a telephone', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await playsOn();
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
    await screenshot('telephone');
  });
});
