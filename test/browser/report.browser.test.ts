import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Browser } from 'playwright-core';
import { readAddressDatabase } from '../../revoker/detection/addresses.js';
import { parseDetectionConfig } from '../../revoker/detection/index.js';
import { htmlReport } from '../../revoker/detection/report.js';
import { detect } from '../../revoker/detection/run.js';
import { simulatedLog, type SimulatedLog } from '../detection/logs.js';
import { launchChromium } from './chromium.js';

let browser: Browser;
let log: SimulatedLog;
let folder: string;
let sessions: number;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portcullis-report-'));
  log = await simulatedLog({ seed: 5, viewers: 150, minutes: 6, abuserShare: 0.05 });
  const config = parseDetectionConfig();
  const addresses = await readAddressDatabase(log.addresses);
  const found = await detect({ logs: [log.folder], config, now: 2_000_000_000, addresses });
  sessions = found.verdicts.length;
  await writeFile(join(folder, 'report.html'), htmlReport(found, config, { madeAt: 2_000_000_000 }));
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await log?.remove();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ['on a screen', 1280, 'light'],
  ['on a dark screen', 1280, 'dark'],
  ['on a telephone', 390, 'light'],
] as const)(
  'the report stands by itself, whole and without sideways scrolling: %s',
  async (name, width, colorScheme) => {
    const page = await browser.newPage({ viewport: { width, height: 844 }, colorScheme });
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => problems.push(message.text()));
    page.on('request', (request) => {
      if (!request.url().startsWith('file:')) problems.push(`asked ${request.url()}`);
    });
    await page.goto(pathToFileURL(join(folder, 'report.html')).href);
    expect(await page.locator('.ranked tbody tr').count()).toBe(sessions);
    const spread = page.locator('section', { has: page.locator('table tbody tr:nth-child(2)') }).first();
    expect(await spread.locator('svg[aria-label="Networks over time"] rect').count()).toBeGreaterThan(10);
    expect(await spread.locator('svg[aria-label="Countries"]').count()).toBe(1);
    expect(await page.locator('section svg[aria-label="Networks over time"]').count()).toBeGreaterThan(1);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
    const screenshots = process.env['PORTCULLIS_SCREENSHOTS'];
    if (screenshots !== undefined)
      await page.screenshot({ path: join(screenshots, `report ${name}.png`.replaceAll(' ', '-')) });
    await page.close();
    expect(problems).toEqual([]);
  },
);
