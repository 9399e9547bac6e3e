import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';

/** What the page says of a refusal. */
export interface ShownRefusal {
  readonly code: string;
  readonly reason: string;
  readonly title: string;
  readonly paused: boolean;
}

/** The demo page in a browser context of its own, driven as a visitor would. */
export class DemoPage {
  /** Uncaught errors, and requests to anywhere but this machine: there must be none. */
  readonly problems: string[] = [];

  private constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('request', (request) => {
      if (!/^(blob:|data:)/.test(request.url()) && new URL(request.url()).hostname !== '127.0.0.1') {
        this.problems.push(`asked ${request.url()}`);
      }
    });
  }

  static async open(browser: Browser, address: string): Promise<DemoPage> {
    const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
    page.setDefaultTimeout(90_000);
    const demo = new DemoPage(page);
    await page.goto(address);
    return demo;
  }

  async text(id: string): Promise<string> {
    return ((await this.page.textContent(`#${id}`)) ?? '').trim();
  }

  /** The value of the claim whose meaning has these words. */
  claim(meaning: string): Promise<string | null> {
    return this.page.locator('#claims tr', { hasText: meaning }).locator('b').textContent();
  }

  async choose(name: string, value: string): Promise<void> {
    await this.page.selectOption(`select[name=${name}]`, value);
  }

  /** Waits until the player has played some seconds more. */
  async playsOn(seconds = 2): Promise<void> {
    await this.page.waitForSelector('#health[data-state=playing]');
    const from = await this.position();
    await this.page.waitForFunction(
      ([start, more]) => {
        const video = document.querySelector('video');
        if (document.querySelector('#banner')?.hasAttribute('hidden') === false) return true;
        return video !== null && !video.paused && video.currentTime > (start as number) + (more as number);
      },
      [from, seconds],
    );
    if (await this.page.locator('#banner').isVisible()) throw new Error(`Refused: ${await this.text('banner-reason')}`);
  }

  /** Where the video is, in seconds. */
  position(): Promise<number> {
    return this.page.evaluate(() => document.querySelector('video')?.currentTime ?? 0);
  }

  /** From now on, whenever the video has to wait for data: with how many seconds of it left, and at which position. */
  async watchStalls(): Promise<void> {
    await this.page.evaluate(() => {
      const stalls: string[] = [];
      Object.assign(window, { stalls });
      const video = document.querySelector('video') as HTMLVideoElement;
      for (const kind of ['waiting', 'stalled'])
        video.addEventListener(kind, () => {
          const { buffered, currentTime } = video;
          let left = 0;
          for (let i = 0; i < buffered.length; i++)
            if (buffered.start(i) <= currentTime + 0.1) left = Math.max(left, buffered.end(i) - currentTime);
          // With data at hand it is the decoder that is late, not the edge.
          if (left < 0.25) stalls.push(`${kind} at ${currentTime.toFixed(2)} s, ${left.toFixed(2)} s of data left`);
        });
    });
  }

  /** The stalls since `watchStalls`. */
  stalls(): Promise<string[]> {
    return this.page.evaluate(() => (window as unknown as { stalls: string[] }).stalls);
  }

  /** Waits for a refusal. */
  async refusal(): Promise<ShownRefusal> {
    await this.page.waitForSelector('#banner:not([hidden])');
    return {
      code: await this.text('banner-code'),
      reason: await this.text('banner-reason'),
      title: await this.text('banner-title'),
      paused: await this.page.evaluate(() => document.querySelector('video')?.paused === true),
    };
  }

  /** Keeps a picture of the page in the folder that PORTCULLIS_SCREENSHOTS names, if it does. */
  async screenshot(name: string): Promise<void> {
    const folder = process.env['PORTCULLIS_SCREENSHOTS'];
    if (folder === undefined) return;
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }
}
