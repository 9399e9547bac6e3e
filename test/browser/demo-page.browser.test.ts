import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test as base } from 'vitest';
import { launchChromium } from './chromium.js';
import { DemoPage } from './demo-page.js';
import { runEdge, type RunningEdge } from './program.js';

let edge: RunningEdge;
let browser: Browser;
beforeAll(async () => {
  [edge, browser] = await Promise.all([runEdge(), launchChromium()]);
});
afterAll(async () => {
  await browser?.close();
  expect(await edge?.end()).toBe(0);
});

const test = base.extend<{ demo: DemoPage }>({
  demo: async ({ task: _ }, use) => {
    const demo = await DemoPage.open(browser, edge.addresses.page);
    await use(demo);
    await demo.page.close();
    expect(demo.problems).toEqual([]);
  },
});

describe.concurrent('the demo page', () => {
  test('plays the live stream through the compiled function, more than five seconds of it', async ({ demo }) => {
    await demo.playsOn(6);
    expect(Number(await demo.text('allowed'))).toBeGreaterThan(5);
    expect(await demo.text('refused')).toBe('0');
    expect(await demo.page.evaluate(() => document.querySelector('video')?.videoWidth)).toBeGreaterThan(0);
    expect(await demo.page.locator('#claims tr').count()).toBeGreaterThan(5);
    await demo.screenshot('plays');
  });

  test('stops when its session is revoked from the command line, says why, and plays again when it is let back in', async ({
    demo,
  }) => {
    await demo.playsOn();
    const words = (await demo.text('revoke-command')).split(' ').slice(2, -1);
    expect(words.slice(0, 2)).toEqual(['revoke', 'session']);
    const id = words[2] ?? '';
    await edge.command('revoke', 'session', id, '--reason', 'test', '--yes');
    expect(await demo.refusal()).toEqual({
      code: '403',
      reason: 'revoked',
      title: 'Revoked: this session was cut off',
      paused: true,
    });
    await demo.screenshot('revoked');
    // No way round it: a renewed token is not to be had either.
    await demo.page.click('#renew');
    await demo.page.waitForSelector('#note:not([hidden])');
    expect(await demo.text('note')).toContain('Revoked');
    await edge.command('unrevoke', 'session', id, '--reason', 'test over', '--yes');
    await demo.playsOn();
  });

  test('is refused when the token expires, and plays on with a renewed one of the same session', async ({ demo }) => {
    await demo.playsOn();
    const session = await demo.claim('the session, kept');
    await demo.page.click('#expire');
    expect(await demo.refusal()).toMatchObject({ code: '401', reason: 'expired', paused: true });
    expect(await demo.text('countdown')).toBe('expired');
    await demo.page.click('#renew');
    await demo.playsOn();
    expect(await demo.claim('the session, kept')).toBe(session);
  });

  test('says that a token was tampered with, and plays on once that is undone', async ({ demo }) => {
    await demo.playsOn();
    await demo.page.click('#tamper');
    const { code, reason, paused } = await demo.refusal();
    expect([code, paused]).toEqual(['401', true]);
    expect(['bad_signature', 'malformed_token', 'invalid_claim']).toContain(reason);
    expect(await demo.page.locator('#raw-token mark').count()).toBe(1);
    await demo.screenshot('tampered');
    await demo.page.click('#tamper');
    await demo.playsOn();
  });

  test('is refused from another country, and plays on back home', async ({ demo }) => {
    await demo.playsOn();
    await demo.page.click('#move');
    expect(await demo.refusal()).toEqual({
      code: '401',
      reason: 'country_mismatch',
      title: 'Another country',
      paused: true,
    });
    await demo.screenshot('moved');
    await demo.page.click('#move');
    await demo.playsOn();
  });

  test('is refused without a token', async ({ demo }) => {
    await demo.playsOn();
    await demo.page.click('#strip');
    expect(await demo.refusal()).toMatchObject({ code: '401', reason: 'missing_token', paused: true });
    await demo.page.click('#strip');
    await demo.playsOn();
  });

  test('plays with dash.js, and stops and resumes there as well', async ({ demo }) => {
    await demo.page.click('#tab-dash');
    await demo.page.waitForFunction(() => document.querySelector('#answers')?.textContent?.includes('manifest.mpd'));
    await demo.playsOn(4);
    await demo.screenshot('dash');
    await demo.page.click('#move');
    expect(await demo.refusal()).toMatchObject({ reason: 'country_mismatch', paused: true });
    await demo.page.click('#move');
    await demo.playsOn();
  });

  test.for([
    ['cat', 'query'],
    ['cat', 'cookie'],
    ['cat', 'header'],
    ['jwt', 'path'],
    ['jwt', 'query'],
    ['jwt', 'cookie'],
    ['jwt', 'header'],
  ] as const)('plays with a %s in the %s', async ([format, placement], { demo }) => {
    await demo.choose('format', format);
    await demo.choose('placement', placement);
    await demo.playsOn();
    const token = await demo.text('raw-token');
    const path = await demo.page.locator('#answers td.path').first().textContent();
    expect(path?.includes(token.slice(0, 6))).toBe(placement === 'path' || placement === 'query');
  });

  test('offers no renewal where none is compiled in, and says what has it', async ({ demo }) => {
    await demo.playsOn();
    expect(await demo.page.isVisible('select[name=renewal]')).toBe(false);
    expect(await demo.text('no-renewal')).toContain('--config test/local-edge/renewal.config.ts');
  });

  test('is usable on a telephone', async ({ demo }) => {
    await demo.page.setViewportSize({ width: 390, height: 844 });
    await demo.playsOn();
    expect(await demo.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
    await demo.screenshot('telephone');
  });
});
