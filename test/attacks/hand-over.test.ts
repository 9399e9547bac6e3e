import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decode } from '@portcullis/tokens/decode';
import {
  functionHosts,
  viewerRequestEvent,
  viewerResponseEvent,
  type FunctionHost,
  type FunctionRequest,
  type RequestParts,
} from '../../scripts/engine/index.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { cat, jwt, NOW, PATH, secretOf, storeEntries } from '../verdicts/requests.js';

const hosts = await functionHosts();
const { folder, file: viewerRequest } = await compiledFolder(neutralConfig('full'));
const viewerResponse = join(folder, 'viewer-response.js');
const options = { store: { entries: storeEntries }, now: NOW * 1000 };

const map = (...entries: [unknown, unknown][]): Map<unknown, unknown> => new Map(entries);
const byHeader = map([0, 2], [1, 600]);
const session = Buffer.alloc(16, 5);
const token = cat({ exp: NOW + 30, catr: byHeader, session, cti: Buffer.from('first') });
const plain = cat({ exp: NOW + 30 });
const name = 'x-portcullis-handover';
const seal = (secret: Buffer, id: string, text: string): string =>
  createHmac('sha256', secret).update(`handover ${id}${text}`).digest('base64url');

/** The token that viewer-response gives with its answer to a request; undefined where it gives none. */
async function renewed(host: FunctionHost, request: RequestParts): Promise<string | undefined> {
  const [answer] = await host.run(viewerResponse, [{ event: viewerResponseEvent(request) }], options);
  expect(answer?.error).toBeUndefined();
  const { headers = {}, cookies = {} } = answer?.result ?? {};
  // What CloudFront would refuse must not be there.
  expect(Object.values({ ...headers, ...cookies }).every(({ value }) => typeof value === 'string')).toBe(true);
  return (headers['cta-common-access-token']?.value ?? cookies['CAT']?.value)?.replaceAll('"', '');
}

/** The request as viewer-request leaves it, for the case that viewer-response is shown that one. */
async function changed(host: FunctionHost, request: RequestParts): Promise<RequestParts> {
  const [answer] = await host.run(viewerRequest, [{ event: viewerRequestEvent(request) }], options);
  const { uri, headers } = answer?.result as FunctionRequest;
  const kept = Object.entries(headers).map(([header, { value }]): [string, string] => [header, value]);
  return { ...request, uri, headers: Object.fromEntries(kept) };
}

const asked: RequestParts = { uri: `/${token}${PATH}`, requestId: 'request-1' };

describe.each(hosts)('the hand-over in $name', (host) => {
  test.skipIf(host.missing)('carries a token to a viewer-response that sees the changed request', async () => {
    const request = await changed(host, asked);
    expect(request.uri).toBe(PATH);
    const { claims } = decode((await renewed(host, request)) as string);
    expect(claims).toMatchObject({ exp: NOW + 600, sid: session.toString('base64url') });
    expect(claims['jti']).not.toBe(Buffer.from('first').toString('base64url'));
  });

  test.skipIf(host.missing)('is not needed where viewer-response sees the request as sent', async () => {
    expect(decode((await renewed(host, asked)) as string).claims).toMatchObject({ exp: NOW + 600 });
  });

  test.skipIf(host.missing)('is good for its own request alone, and as it stands', async () => {
    const request = await changed(host, asked);
    const genuine = request.headers?.[name] as string;
    expect(genuine).toContain(token);
    const [place = '', header = '', text = '', mac = ''] = genuine.split(' ');
    const other = cat({ exp: NOW + 30, catr: map([0, 2], [1, 86_400]) });
    const tenant = cat({ exp: NOW + 30, catr: byHeader }, { kid: 'tenant-a', key: secretOf('guessed') });
    const forgeries: Record<string, RequestParts> = {
      'another request': { ...request, requestId: 'request-2' },
      'another token': { ...request, headers: { [name]: [place, header, other, mac].join(' ') } },
      'another place': { ...request, headers: { [name]: ['cookie', header, text, mac].join(' ') } },
      'another header': { ...request, headers: { [name]: [place, 'x-evil', text, mac].join(' ') } },
      'no seal': { ...request, headers: { [name]: [place, header, text].join(' ') } },
      'an empty seal': { ...request, headers: { [name]: [place, header, text, ''].join(' ') } },
      'half a seal': { ...request, headers: { [name]: genuine.slice(0, -20) } },
      'more behind it': { ...request, headers: { [name]: `${genuine} x` } },
      'a seal by a guessed key': {
        ...request,
        headers: { [name]: `header x ${tenant} ${seal(secretOf('guessed'), 'request-1', `header x ${tenant}`)}` },
      },
      'a seal by the empty key': {
        ...request,
        headers: { [name]: `header x ${text} ${seal(Buffer.alloc(0), 'request-1', `header x ${text}`)}` },
      },
      'two of them': { ...request, headers: { [name]: ['x', genuine] } },
      'no token in it': { ...request, headers: { [name]: 'header cta-common-access-token' } },
      'a key that is none': {
        ...request,
        headers: { [name]: `header x ${jwt({ catr: {} }, { kid: '__proto__' })} ${'A'.repeat(43)}` },
      },
      garbage: { ...request, headers: { [name]: '\u0000 \u0000 \u0000 \u0000' } },
    };
    for (const [why, forgery] of Object.entries(forgeries))
      expect([why, await renewed(host, forgery)]).toEqual([why, undefined]);
  });

  test.skipIf(host.missing)('of a viewer is taken away, and renews nothing', async () => {
    const text = `header cta-common-access-token ${token}`;
    const forged = { [name]: `${text} ${seal(Buffer.alloc(32), 'request-1', text)}` };
    const request: RequestParts = { uri: `/${plain}${PATH}`, requestId: 'request-1', headers: forged };
    const passedOn = await changed(host, request);
    expect(passedOn.headers?.[name]).toBeUndefined();
    expect(await renewed(host, passedOn)).toBeUndefined();
    // Shown the request as sent, viewer-response sees the forgery itself.
    expect(await renewed(host, request)).toBeUndefined();
    expect(await renewed(host, { uri: PATH, requestId: 'request-1', headers: forged })).toBeUndefined();
    // And a token that is due is renewed by itself, whatever stands beside it.
    expect(await renewed(host, { ...asked, headers: forged })).toBeDefined();
  });

  test.skipIf(host.missing)('renews nothing that would not be admitted', async () => {
    const claims: Record<string, Record<string, unknown>> = {
      expired: { exp: NOW },
      'of an ended session': { sxp: NOW },
      'of a revoked session': { session: Buffer.alloc(16, 7) },
      'for another path': { catu: map([3, map([1, '/else'])]) },
      'for another method': { catm: ['PUT'] },
    };
    for (const [why, more] of Object.entries(claims)) {
      const uri = `/${cat({ exp: NOW + 30, catr: byHeader, ...more })}${PATH}`;
      expect([why, await renewed(host, { uri })]).toEqual([why, undefined]);
    }
    expect(
      await renewed(host, { uri: `/${cat({ catr: byHeader }, { mac: Buffer.alloc(32) })}${PATH}` }),
    ).toBeUndefined();
  });

  test.skipIf(host.missing)("goes no further than the session's end", async () => {
    for (const [sxp, exp] of [
      [NOW + 100, NOW + 100],
      [NOW + 100.75, NOW + 100],
      [NOW + 9999, NOW + 600],
    ] as const) {
      const uri = `/${cat({ exp: NOW + 30, catr: byHeader, sxp, session })}${PATH}`;
      const { claims } = decode((await renewed(host, { uri })) as string);
      expect(claims).toMatchObject({ exp, sxp, sid: session.toString('base64url') });
    }
  });
});
