import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  functionHosts,
  viewerRequestEvent,
  viewerResponseEvent,
  type FunctionEvent,
  type FunctionRequest,
  type FunctionResponse,
  type RequestParts,
} from '../../scripts/engine/index.js';
import { keyRecord } from '../engine/token-maker.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { cat, NOW, PATH, secretOf } from './requests.js';

const hosts = await functionHosts();
const { file: viewerRequest, folder } = await compiledFolder(neutralConfig('full'));
const viewerResponse = join(folder, 'viewer-response.js');
const HANDOVER = 'x-portcullis-handover';

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

const forged: RequestParts = { uri: `/${renewable(secretOf('somebody else'))}${PATH}`, requestId: 'request' };
const genuine: RequestParts = { uri: `/${renewable(secretOf('main'))}${PATH}`, requestId: 'request' };
const records = { on: keyRecord(secretOf('main')), off: keyRecord(secretOf('main'), { mode: 'off' }) };

describe.each(hosts)('renewal in $name', (host) => {
  const run = (file: string, events: FunctionEvent[], record: string) =>
    host.run(
      file,
      events.map((event) => ({ event })),
      { store: { entries: { 'k:main': record } }, now: NOW * 1000 },
    );

  test.skipIf(host.missing)('hands over what was checked, and nothing else', async () => {
    const handed = async (record: string) =>
      (await run(viewerRequest, [viewerRequestEvent(forged), viewerRequestEvent(genuine)], record)).map(
        ({ result }) => [
          (result as { statusCode?: number }).statusCode,
          (result as FunctionRequest).headers[HANDOVER] !== undefined,
        ],
      );
    expect(await handed(records.on)).toEqual([
      [401, false],
      [undefined, true],
    ]);
    // Without a check both pass as they came.
    expect(await handed(records.off)).toEqual([
      [undefined, false],
      [undefined, false],
    ]);
  });

  test.skipIf(host.missing)('signs no token that was not checked: not a forged one while the mode is off', async () => {
    /** Shown the request as sent, and as viewer-request left it. */
    const answers = async (parts: RequestParts, record: string) => {
      const sent = viewerResponseEvent(parts);
      const [left] = await run(viewerRequest, [viewerRequestEvent(parts)], record);
      const changed = { ...(left!.result as FunctionRequest), rawQueryString: () => '' };
      // A function writes on what it is given.
      const { response } = viewerResponseEvent(parts);
      const events = [sent, { ...sent, request: changed, response } as FunctionEvent];
      return (await run(viewerResponse, events, record)).map(({ result }) => {
        const { statusCode, headers } = result as FunctionResponse;
        return [statusCode, headers?.['location']?.value.startsWith('/') ?? false];
      });
    };
    // The genuine one is redirected to its successor; without a check nothing is signed.
    expect(await answers(genuine, records.on)).toEqual([
      [307, true],
      [307, true],
    ]);
    const kept = [
      [200, false],
      [200, false],
    ];
    expect(await answers(genuine, records.off)).toEqual(kept);
    expect(await answers(forged, records.off)).toEqual(kept);
  });
});
