import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test as base } from 'vitest';
import { launchChromium } from './chromium.js';
import { DemoPage } from './demo-page.js';
import { runEdge, type RunningEdge } from './program.js';

let edge: RunningEdge;
let browser: Browser;
beforeAll(async () => {
  const config = fileURLToPath(new URL('../local-edge/renewal.config.ts', import.meta.url));
  [edge, browser] = await Promise.all([runEdge('--config', config), launchChromium()]);
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

describe.concurrent('a player whose token the edge renews', () => {
  test.for([
    ['hls.js by header, the token in a header', 'hls', 'header', 'header'],
    ['hls.js by header, the token in the path', 'hls', 'path', 'header'],
    ['hls.js by redirect, the token in the path', 'hls', 'path', 'automatic'],
    ['dash.js by itself, from the header', 'dash', 'header', 'header'],
  ] as const)('goes on through three renewals: %s', async ([, player, placement, renewal], { demo }) => {
    if (player === 'dash') await demo.page.click('#tab-dash');
    await demo.choose('placement', placement);
    await demo.choose('expiresIn', '20');
    await demo.choose('renewal', renewal);
    await demo.playsOn();
    const first = await demo.claim('this token alone');
    await demo.page.waitForFunction(
      () => Number(/(\d+) renewed/.exec(document.querySelector('#renewals')?.textContent ?? '')?.[1]) >= 3,
    );
    await demo.playsOn();
    expect(await demo.text('refused')).toBe('0');
    expect(await demo.claim('this token alone')).not.toBe(first);
    await demo.screenshot(`renewed-${player}-${placement}-${renewal}`);
  });

  test('goes on through renewals in a cookie, which the page cannot see', async ({ demo }) => {
    await demo.choose('placement', 'cookie');
    await demo.choose('expiresIn', '20');
    await demo.choose('renewal', 'cookie');
    await demo.playsOn();
    await demo.page.waitForFunction(() => document.querySelector('#countdown')?.textContent === 'renewed in a cookie');
    await demo.playsOn(10);
    expect(await demo.text('refused')).toBe('0');
  });
});
