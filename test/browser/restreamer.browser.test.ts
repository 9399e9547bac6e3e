import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser } from 'playwright-core';
import { restream } from '../../scripts/local-edge/restreamer.js';
import { launchChromium } from './chromium.js';
import { DemoPage } from './demo-page.js';
import { runEdge, type RunningCommand, type RunningEdge } from './program.js';

let edge: RunningEdge;
let browser: Browser;
let watch: RunningCommand;
beforeAll(async () => {
  [edge, browser] = await Promise.all([runEdge(), launchChromium()]);
  watch = edge.start('detect', 'watch', '--revoke');
  await watch.line(({ watching }) => watching === edge.addresses.accessLog);
});
afterAll(async () => {
  await browser?.close();
  expect(await watch?.end()).toBe(0);
  expect(await edge?.end()).toBe(0);
});

test('one session fetched through forty networks is found in the edge’s own log and refused, and the honest viewer’s page plays on', async () => {
  const demo = await DemoPage.open(browser, edge.addresses.page);
  await demo.playsOn();
  const honest = await demo.claim('the session, kept');
  // Half a minute of it at most, and the minute that is promised.
  const found = await restream({ vend: edge.addresses.vend, signal: AbortSignal.timeout(90_000) });
  expect(found).toMatchObject({ status: 403, reason: 'revoked' });
  const conviction = await watch.line(({ session }) => session === found.session);
  expect(conviction).toMatchObject({ acted: true, actions: [{ scope: 'session', id: found.session }] });
  expect(Date.parse(String(conviction['decidedAt'])) - Date.parse(String(conviction['firstSeen']))).toBeLessThanOrEqual(
    60_000,
  );
  await demo.playsOn(6);
  expect(await demo.text('refused')).toBe('0');
  await demo.screenshot('beside-a-restreamer');
  await demo.page.close();
  expect(demo.problems).toEqual([]);
  const { entries } = (await edge.command('revocations', 'list')) as { entries: { scope: string; id: string }[] };
  expect(entries).toContainEqual(expect.objectContaining({ scope: 'session', id: found.session }));
  expect(entries.map(({ id }) => id)).not.toContain(honest);
  expect(watch.lines.map(({ session }) => session)).not.toContain(honest);
});

test('the page stops while its viewer’s address is blocked by WAF, says so, and plays on when it is lifted', async () => {
  const demo = await DemoPage.open(browser, edge.addresses.page);
  await demo.playsOn();
  const { ip } = edge.addresses.viewer;
  await edge.command('revoke', 'ip', ip, '--for', '5m', '--reason', 'test', '--yes');
  expect(await demo.refusal()).toEqual({
    code: '403',
    reason: 'address_blocked',
    title: 'Address blocked',
    paused: true,
  });
  await demo.screenshot('address-blocked');
  await edge.command('unrevoke', 'ip', ip, '--reason', 'test over', '--yes');
  await demo.playsOn();
  await demo.page.close();
  expect(demo.problems).toEqual([]);
});
