// What others published, through the compiled function in both engines, in Node's vm and in `verify`:
//
//   npx vitest run --project unit test/conformance
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyRequest } from '@portcullis/tokens';
import { afterAll, describe, expect, test } from 'vitest';
import { functionHosts, viewerRequestEvent } from '../../scripts/engine/index.js';
import { keyRecord } from '../engine/token-maker.js';
import { compiledFolder, neutralConfig } from '../verdicts/functions.js';
import { NOW } from '../verdicts/requests.js';
import {
  A4,
  A7,
  annexCases,
  hmacVectors,
  macCases,
  macFlaws,
  otherCoseCases,
  present,
  publishedCwtCases,
  remadeExamples,
  rfc8392Cases,
  wycheproofHmacCases,
  wycheproofJwsCases,
  type PublishedCase,
} from './published.js';

const hosts = await functionHosts();
const { file } = await compiledFolder(neutralConfig('full'));
const families: readonly (readonly [string, readonly PublishedCase[]])[] = [
  ['RFC 8392 appendix A', rfc8392Cases()],
  ...(present
    ? ([
        ['CTA-5007-B annex B', annexCases()],
        ['the COSE working group: CWT', publishedCwtCases()],
        ['the COSE working group: MAC0', macCases()],
        ['the COSE working group: messages that are no CAT', otherCoseCases()],
        ['Wycheproof: JSON Web Signature, HS256', wycheproofJwsCases()],
        ['Wycheproof: HMAC-SHA-256', wycheproofHmacCases()],
      ] as const)
    : []),
];
const published = families.flatMap(([, cases]) => cases);
const targetOf = ({ target = '/echo/x?CAT=TOKEN', token }: PublishedCase): string => target.replace('TOKEN', token);

/** Compared as a whole: what differs is named. */
function expectAll(cases: readonly PublishedCase[], verdictOf: (one: PublishedCase) => string, inNode = false): void {
  const differing = cases.flatMap((one) => {
    const expected = (inNode && one.inNode) || one.expected;
    const verdict = verdictOf(one);
    const equal = expected === 'refused' ? /^[a-z_]+$/.test(verdict) && verdict !== 'admitted' : verdict === expected;
    return equal ? [] : [`${one.name}: ${verdict}, not ${expected}`];
  });
  expect(differing).toEqual([]);
}

test('the vectors are there in number, and each has a name of its own', () => {
  expect(new Set(published.map(({ name }) => name)).size).toBe(published.length);
  if (present) expect(published.length).toBeGreaterThan(450);
});

describe.each(hosts)('in $name', (host) => {
  const verdicts = new Map<PublishedCase, string>();
  test.skipIf(host.missing)('no vector makes the function throw', async () => {
    const results = await host.run(
      file,
      published.map((one) => ({
        event: viewerRequestEvent({ uri: targetOf(one) }),
        now: (one.now ?? NOW) * 1000,
        store: { entries: { [`k:${one.kid ?? ''}`]: keyRecord(one.secret) } },
      })),
    );
    results.forEach(({ result, error }, i) =>
      verdicts.set(
        published[i]!,
        error || !result
          ? `threw ${error?.message}`
          : result.statusCode
            ? (result.headers?.['x-portcullis-reason']?.value ?? `status ${result.statusCode}`)
            : 'admitted',
      ),
    );
    expect([...verdicts.values()].filter((verdict) => /^threw|status|internal|store/.test(verdict))).toEqual([]);
  });
  test.skipIf(host.missing).each(families)('%s', (_, cases) => {
    expectAll(cases, (one) => verdicts.get(one) ?? 'not run');
  });
});

describe('in verify on Node', () => {
  test.each(families)('%s', async (_, cases) => {
    // The SDK takes no secret under 32 bytes (RFC 7518 3.2), and two of Wycheproof's keys are shorter.
    const own = cases.filter(({ secret }) => secret.length >= 32);
    const verdicts = new Map<PublishedCase, string>();
    for (const one of own) {
      const key = one.nodeKey ?? { alg: 'HS256', secret: one.secret, ...(one.kid ? { kid: one.kid } : {}) };
      const { reason } = await verifyRequest(
        { url: targetOf(one) },
        { keys: [key], clock: () => (one.now ?? NOW) * 1000 },
      );
      verdicts.set(one, reason ?? 'admitted');
    }
    expectAll(own, (one) => verdicts.get(one) ?? 'not run', true);
  });
});

describe('the tokens of these tests are made as the standards make them', () => {
  test('RFC 8392 A.4 and A.7, byte for byte', () => {
    expect(remadeExamples()).toEqual({ a4: A4, a7: A7 });
  });
  test.skipIf(!present)('the MACs of the COSE examples hold where they should, over what they show', () => {
    expect(
      macFlaws()
        .filter(({ sound }) => !sound)
        .map(({ file }) => file),
    ).toEqual(['mac-fail-02.json']);
  });
});

describe.each(hosts)('HMAC-SHA-256 of $name itself', (host) => {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-hmac-'));
  const bare = join(folder, 'hmac.js');
  writeFileSync(
    bare,
    `import cf from 'cloudfront';
     async function handler(event) {
       var headers = event.request.headers;
       var hmac = require('crypto').createHmac('sha256', Buffer.from(headers.key.value, 'hex'));
       hmac.update(Buffer.from(headers.message.value, 'hex'));
       return { statusCode: 200, headers: { tag: { value: hmac.digest('hex') } } };
     }`,
  );
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  test.skipIf(host.missing || !present)('agrees with every vector of Wycheproof', async () => {
    const vectors = hmacVectors();
    const results = await host.run(
      bare,
      vectors.map(({ key, message }) => ({
        event: viewerRequestEvent({ headers: { key: key.toString('hex'), message: message.toString('hex') } }),
      })),
    );
    const differing = vectors.filter(({ tag, valid }, i) => {
      const mac = results[i]?.result?.headers?.['tag']?.value.slice(0, 2 * tag.length);
      return (mac === tag.toString('hex')) !== valid;
    });
    expect(differing.map(({ tcId }) => tcId)).toEqual([]);
    expect(vectors.length).toBeGreaterThan(150);
  });
});
