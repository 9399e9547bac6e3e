import { fileURLToPath } from 'node:url';
import type { Browser, Response } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test as base } from 'vitest';
import { decode } from '@portcullis/tokens/decode';
import { launchChromium } from './chromium.js';
import { DemoPage } from './demo-page.js';
import { runEdge, type RunningEdge } from './program.js';

const settings = ['original', 'modified'] as const;
const edges = new Map<(typeof settings)[number], RunningEdge>();
let browser: Browser;
beforeAll(async () => {
  const config = fileURLToPath(new URL('../local-edge/renewal.config.ts', import.meta.url));
  const run = async (setting: (typeof settings)[number]): Promise<unknown> =>
    edges.set(setting, await runEdge('--config', config, '--viewer-response-request', setting));
  [browser] = await Promise.all([launchChromium(), ...settings.map(run)]);
});
afterAll(async () => {
  await browser?.close();
  for (const edge of edges.values()) expect(await edge.end()).toBe(0);
});

/** The renewed tokens that answers bring, in headers or cookies, each once. */
class Renewals {
  readonly tokens: string[] = [];
  private pending: Promise<void> = Promise.resolve();

  constructor(demo: DemoPage) {
    demo.page.on('response', (response) => {
      this.pending = this.pending.then(() => this.note(response)).catch(() => undefined);
    });
  }

  private async note(response: Response): Promise<void> {
    const headers = await response.allHeaders();
    const named = headers['cta-common-access-token'] ?? headers['common-access-token'];
    const cookie = /(?:^|\n)CAT=([^;\n]+)/.exec(headers['set-cookie'] ?? '')?.[1];
    const token = named === undefined ? cookie : /[\w.-]+/.exec(named)?.[0];
    // The vending service gives cookies, too: those are no renewals.
    const vended = new URL(response.url()).pathname === '/vend';
    if (token !== undefined && !vended && !this.tokens.includes(token)) this.tokens.push(token);
  }
}

const test = base.extend<{ open: (setting: (typeof settings)[number]) => Promise<DemoPage> }>({
  open: async ({ task: _ }, use) => {
    const opened: DemoPage[] = [];
    await use(async (setting) => {
      const demo = await DemoPage.open(browser, (edges.get(setting) as RunningEdge).addresses.page);
      opened.push(demo);
      return demo;
    });
    for (const demo of opened) {
      await demo.page.close();
      expect(demo.problems).toEqual([]);
    }
  },
});

/** Waits for what the page tells only in passing. */
async function until(demo: DemoPage, what: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await what())) {
    if (await demo.page.locator('#banner').isVisible()) throw new Error(`Refused: ${await demo.text('banner-reason')}`);
    await demo.page.waitForTimeout(200);
  }
}

describe.concurrent.each(settings)('renewal where viewer-response is shown the %s request', (setting) => {
  test.for([
    ['hls.js by header, the token in a header', 'hls', 'header', 'header'],
    ['hls.js by cookie, which the page cannot see', 'hls', 'cookie', 'cookie'],
    ['dash.js by itself, from the header', 'dash', 'header', 'header'],
    ...(setting === 'original'
      ? ([
          ['hls.js by header, the token in the path', 'hls', 'path', 'header'],
          ['hls.js by redirect, the token in the path', 'hls', 'path', 'automatic'],
        ] as const)
      : []),
  ] as const)(
    'lets a player go on through three renewals without a stall: %s',
    async ([, player, placement, by], { open }) => {
      const demo = await open(setting);
      if (player === 'dash') await demo.page.click('#tab-dash');
      await demo.choose('placement', placement);
      await demo.choose('expiresIn', '20');
      await demo.choose('renewal', by);
      await demo.playsOn();
      const renewals = new Renewals(demo);
      await demo.watchStalls();
      const from = await demo.position();
      const shown = async (): Promise<number> => Number(/(\d+) renewed/.exec(await demo.text('renewals'))?.[1] ?? 0);
      // Redirects and headers are for the page to count; cookies are seen in the answers alone.
      await until(demo, async () => (placement === 'cookie' ? renewals.tokens.length : await shown()) >= 3);
      // Played beyond the first token's life: by the renewed ones.
      await until(demo, async () => (await demo.position()) > from + 22);
      expect(await demo.stalls()).toEqual([]);
      expect(await demo.text('refused')).toBe('0');
      await demo.screenshot(`renewed-${setting}-${player}-${placement}-${by}`);
    },
  );

  test('ends with the session, and playback with it', async ({ open }) => {
    const demo = await open(setting);
    // What the page itself does not offer: an end that no renewal goes beyond.
    await demo.page.route('**/vend', (route) =>
      route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), sessionEndsIn: 35 }) }),
    );
    const renewals = new Renewals(demo);
    await demo.choose('placement', 'header');
    await demo.choose('expiresIn', '20');
    await demo.choose('renewal', 'header');
    await demo.playsOn();
    expect(await demo.refusal()).toMatchObject({ code: '401', reason: 'session_ended', paused: true });
    expect(renewals.tokens.length).toBeGreaterThan(0);
    const claims = renewals.tokens.map((token) => decode(token).claims);
    const ends = claims.map(({ sxp }) => sxp as number);
    expect(new Set(ends).size).toBe(1);
    for (const { exp } of claims) expect(exp).toBeLessThanOrEqual(ends[0] as number);
    // The last one reaches the end, and none comes after it.
    expect(claims.at(-1)?.['exp']).toBe(ends[0]);
    const known = renewals.tokens.length;
    await demo.page.waitForTimeout(5000);
    expect(renewals.tokens.length).toBe(known);
    expect(await demo.page.locator('#banner').isVisible()).toBe(true);
  });

  test('is not to be had by a forged hand-over', async ({ open }) => {
    const demo = await open(setting);
    await demo.choose('placement', 'header');
    await demo.playsOn();
    const asking = { content: 'ch1', protocol: 'hls', format: 'cat', placement: 'header', expiresIn: 20 };
    const vended = await demo.page.evaluate(
      async (body) => {
        const response = await fetch('vend', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        return (await response.json()) as { token: string; url: string };
      },
      { ...asking, countries: ['US'], renewal: { by: 'header', extendBy: 600, within: 20 } },
    );
    const seal = Buffer.alloc(32, 7).toString('base64url');
    const forged = `header cta-common-access-token ${vended.token} ${seal}`;

    // A viewer who plays with a token that nothing renews, and hands over another that would be.
    const renewals = new Renewals(demo);
    await demo.page.setExtraHTTPHeaders({ 'X-Portcullis-Handover': forged });
    await demo.playsOn(6);
    expect(renewals.tokens).toEqual([]);
    expect(await demo.text('renewals')).toBe('');

    // One who has no token at all, and one whose own is renewed all the same.
    const answers = await demo.page.evaluate(
      async ([url, token]) => {
        const ask = async (headers: Record<string, string>): Promise<[number, string | null, string | null]> => {
          const response = await fetch(url as string, { headers, cache: 'no-store' });
          const { headers: given } = response;
          return [response.status, given.get('x-portcullis-reason'), given.get('cta-common-access-token')];
        };
        return [await ask({}), await ask({ 'CTA-Common-Access-Token': token as string })];
      },
      [vended.url, vended.token],
    );
    expect(answers[0]).toEqual([401, 'missing_token', null]);
    expect(answers[1]?.slice(0, 2)).toEqual([200, null]);
    expect(answers[1]?.[2]).toMatch(/^"[\w-]+"/);
  });
});

test('a stall would be seen', async ({ open }) => {
  const demo = await open('original');
  await demo.playsOn();
  await demo.watchStalls();
  await demo.page.route(/\.(ts|m4s|mp4|aac)(\?|$)/, () => undefined);
  await until(demo, async () => (await demo.stalls()).length > 0);
});
