import { describe, expect, test } from 'vitest';
import { functionHosts, viewerRequestEvent, type HostResult } from '../../scripts/engine/index.js';
import { keyRecord } from '../engine/token-maker.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { cat, NOW, PATH, secretOf } from './requests.js';

const hosts = await functionHosts();
const { file } = await compiledFolder(neutralConfig('full'));

/** A token that asks to be renewed by redirect, near its end. */
const renewable = (key: Buffer): string =>
  cat(
    {
      exp: NOW + 10,
      catr: new Map([
        [0, 3],
        [1, 3600],
        [2, 60],
      ]),
    },
    { key },
  );

const statusOf = ({ result }: HostResult): number | undefined =>
  (result as { statusCode?: number } | undefined)?.statusCode;

describe.each(hosts)('renewal in $name', (host) => {
  test.skipIf(host.missing)('signs no token that was not checked: not a forged one while the mode is off', async () => {
    const forged = viewerRequestEvent({ uri: `/${renewable(secretOf('somebody else'))}${PATH}` });
    const genuine = viewerRequestEvent({ uri: `/${renewable(secretOf('main'))}${PATH}` });
    const records = { on: keyRecord(secretOf('main')), off: keyRecord(secretOf('main'), { mode: 'off' }) };
    const answers = async (record: string): Promise<(number | undefined)[]> =>
      (
        await host.run(file, [{ event: forged }, { event: genuine }], {
          store: { entries: { 'k:main': record } },
          now: NOW * 1000,
        })
      ).map(statusOf);
    // The genuine one is redirected to its successor; without a check both pass as they came, and nothing is signed.
    expect(await answers(records.on)).toEqual([401, 307]);
    expect(await answers(records.off)).toEqual([undefined, undefined]);
  });
});
