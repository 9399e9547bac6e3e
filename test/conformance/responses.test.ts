// What reaches the viewer with an admitted request's answer (CTA-5007-B 4.3.1.5.1): kept by no shared cache.
import { describe, expect, test } from 'vitest';
import { functionHosts, viewerResponseEvent, type HostCase } from '../../scripts/engine/index.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { cat, NOW, PATH } from '../verdicts/requests.js';
import { storeEntries } from './store.js';

const hosts = await functionHosts();
const built = {
  full: await compiledFolder(neutralConfig('full')),
  default: await compiledFolder(neutralConfig('default')),
};

/** What the origin says of keeping its answer, and what the viewer is told. */
const controls: readonly (readonly [origin: string | undefined, viewer: string])[] = [
  [undefined, 'private'],
  ['', 'private'],
  ['max-age=60', 'private, max-age=60'],
  ['public, max-age=60', 'private, max-age=60'],
  ['PUBLIC,max-age=60', 'private, max-age=60'],
  ['max-age=6, s-maxage=60', 'private, max-age=6'],
  ['S-MaxAge=60', 'private'],
  ['private, max-age=60', 'private, max-age=60'],
  ['no-store', 'no-store'],
  ['no-cache', 'private, no-cache'],
];

const asked = (control: string | undefined, vary?: string): HostCase => ({
  event: viewerResponseEvent(
    { uri: `/${cat()}${PATH}` },
    { headers: { 'cache-control': control, vary, 'content-type': 'video/mp2t' } },
  ),
  now: NOW * 1000,
  store: { entries: storeEntries },
});

describe.each(hosts)('CTA-5007-B 4.3.1.5.1 in $name', (host) => {
  test.skipIf(host.missing).each(Object.entries(built))(
    '%s: no shared cache keeps an answer',
    async (_, { folder }) => {
      const results = await host.run(
        `${folder}/viewer-response.js`,
        controls.map(([control]) => asked(control)),
      );
      const told = results.map(({ result }) => result?.headers?.['cache-control']?.value);
      expect(told).toEqual(controls.map(([, viewer]) => viewer));
    },
  );

  test.skipIf(host.missing)('the token is in no header of the answer, and none varies by it', async () => {
    const [answer] = await host.run(`${built.full.folder}/viewer-response.js`, [
      asked('max-age=60', 'Accept-Encoding'),
    ]);
    expect(answer?.result?.headers?.['vary']?.value).toBe('Accept-Encoding');
    expect(JSON.stringify([answer?.result?.headers, answer?.result?.cookies])).not.toMatch(/2D3|access-token/i);
  });
});
