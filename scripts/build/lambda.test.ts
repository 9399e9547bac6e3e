import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, describe, expect, it } from 'vitest';
import { signCat } from '@portcullis/tokens';
import { context, lambdaRequest } from '../../test/edge/requests.js';
import type { LambdaEvent, LambdaResult } from '../../edge/event.js';
import { parseConfig } from '../config/index.js';
import {
  compileLambda,
  LAMBDA_BUNDLE_BYTES,
  LAMBDA_RESPONSE_BYTES,
  LAMBDA_ZIP_BYTES,
  lambdaProblems,
  writeLambdas,
  zipLambda,
} from './lambda.js';
import { lambdaPlans } from './lambda-plans.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-lambda-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'cms' }] };
const configured = (lambda: object, rest: object = {}) => parseConfig({ ...rest, lambda });
const everything = configured(
  {
    hosts: ['cdn.example'],
    keys: [
      { kind: 'jwks', jwks },
      { kind: 'url', url: 'https://id.example/jwks.json', iss: ['id'] },
      { kind: 'secret', secret: 'portcullis/shared', region: 'us-east-1' },
    ],
    proof: {},
    guard: {},
    start: { kid: 'edge', oneTime: { table: 'once', regions: ['us-east-1'] } },
  },
  { profile: 'full', contentId: '^/live/([^/]+)' },
);

type Handler = (event: LambdaEvent) => Promise<LambdaResult>;
const load = (file: string): Handler => (createRequire(import.meta.url)(file) as { handler: Handler }).handler;

describe('a Lambda@Edge package', () => {
  it('holds one minified file that decides, with its configuration baked in', async () => {
    const built = await writeLambdas(lambdaPlans(everything), folder);
    expect(built.map(({ name, event }) => [name, event])).toEqual(
      expect.arrayContaining([
        ['start', 'origin-request'],
        ['guard', 'viewer-request'],
      ]),
    );
    for (const { name, bytes, zipBytes, problems } of built) {
      const zipped = readFileSync(join(folder, `${name}.zip`));
      const files = unzipSync(zipped);
      expect(Object.keys(files)).toEqual(['index.js']);
      expect(Buffer.from(files['index.js'] as Uint8Array)).toEqual(readFileSync(join(folder, name, 'index.js')));
      expect([problems, zipped.length, bytes < LAMBDA_BUNDLE_BYTES]).toEqual([[], zipBytes, true]);
      // Nothing of the SDK is in it.
      expect(bytes).toBeLessThan(80_000);
    }
    const handler = load(join(folder, 'guard', 'index.js'));
    const token = await signCat(
      { exp: Math.floor(Date.now() / 1000) + 60, catu: { path: { prefix: '/live/' } } },
      { alg: 'ES256', kid: 'cms', privateKey },
    );
    const ask = (uri: string): Promise<LambdaResult> =>
      handler({
        Records: [{ cf: { config: { ...context, eventType: 'viewer-request' }, request: lambdaRequest({ uri }) } }],
      });
    expect(await ask(`/${token}/live/ch1/a.ts`)).toMatchObject({ uri: '/live/ch1/a.ts' });
    expect(await ask(`/${token}/vod/a.ts`)).toMatchObject({ status: '401' });
    expect(await ask('/live/ch1/a.ts')).toMatchObject({
      status: '401',
      body: '{"error":"missing_token","id":"request-1"}',
    });
  });

  it('is the same, byte for byte, whenever and wherever it is made', async () => {
    const [plan] = lambdaPlans(configured({ keys: [{ kind: 'jwks', jwks }], guard: {} }));
    const code = await compileLambda(plan as NonNullable<typeof plan>);
    const again = await compileLambda(plan as NonNullable<typeof plan>);
    expect(again).toBe(code);
    const here = Buffer.from(zipLambda(code)).toString('base64');
    const script = `
      const { zipSync } = require('fflate');
      const zipped = zipSync({ 'index.js': [new TextEncoder().encode('x'), { level: 9, mtime: new Date(1980, 0, 1), os: 3, attrs: 0o644 << 16 }] });
      process.stdout.write(Buffer.from(zipped).toString('base64'));`;
    const zones = ['UTC', 'Pacific/Auckland', 'America/Los_Angeles'].map((TZ) =>
      execFileSync(process.execPath, ['-e', script], { env: { ...process.env, TZ }, encoding: 'utf8' }),
    );
    expect(new Set(zones).size).toBe(1);
    expect(Buffer.from(zipLambda(code)).toString('base64')).toBe(here);
    // No path of the machine that built it.
    expect(code).not.toContain(process.cwd());
  });

  it('carries no secret, and loads the AWS SDK only when it needs it', async () => {
    const guard = lambdaPlans(everything).find(({ name }) => name === 'guard');
    const code = await compileLambda(guard as NonNullable<typeof guard>);
    expect(code).toContain('portcullis/shared');
    expect(code).toMatch(/require\("@aws-sdk\/client-secrets-manager"\)/);
    expect(code).not.toMatch(/\bimport\(/);
    const script = `const before = Object.keys(require.cache).length; require(${JSON.stringify(join(folder, 'guard', 'index.js'))}); process.stdout.write(String(Object.keys(require.cache).length - before));`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('1');
  });

  it('says what keeps it from being deployed', () => {
    const large = randomBytes(LAMBDA_BUNDLE_BYTES).toString('base64');
    expect(lambdaProblems({ event: 'viewer-request' }, 'ok', 10)).toEqual([]);
    expect(lambdaProblems({ event: 'viewer-request' }, large, 10)).toHaveLength(1);
    expect(lambdaProblems({ event: 'viewer-request' }, 'ok', LAMBDA_ZIP_BYTES['viewer-request'] + 1)).toHaveLength(1);
    expect(lambdaProblems({ event: 'origin-request' }, 'ok', LAMBDA_ZIP_BYTES['viewer-request'] + 1)).toEqual([]);
    expect(lambdaProblems({ event: 'origin-request' }, 'a=process.env.SECRET;b=process.env', 10)).toHaveLength(2);
    // Reserved variables are there.
    expect(lambdaProblems({ event: 'origin-request' }, 'a=process.env.AWS_REGION', 10)).toEqual([]);
  });

  it('answers in fewer bytes than its event may have, whatever a token asks for', async () => {
    const handler = load(join(folder, 'guard', 'index.js'));
    const token = await signCat(
      { exp: 1, catif: { exp: [302, { Location: `https://a.example/${'x'.repeat(2500)}` }] } },
      { alg: 'ES256', kid: 'cms', privateKey },
    );
    const answer = await handler({
      Records: [{ cf: { config: context, request: lambdaRequest({ query: `CAT=${token}` }) } }],
    });
    expect(answer).toMatchObject({ status: '302' });
    expect(JSON.stringify(answer).length).toBeLessThan(LAMBDA_RESPONSE_BYTES['viewer-request'] / 4);
  });

  it('is not built with keys that could never work', () => {
    const wrong = [
      [{ kind: 'jwks', jwks: { key: [] } }],
      [{ kind: 'jwks', jwks: { keys: Array.from({ length: 65 }, () => ({})) } }],
    ];
    for (const keys of wrong) expect(() => lambdaPlans(configured({ keys, guard: {} }))).toThrow(TypeError);
    expect(() => configured({ keys: [{ kind: 'url', url: 'http://id.example/jwks.json' }], guard: {} })).toThrow(
      'https',
    );
    expect(() => configured({ guard: {} })).toThrow('keys');
    expect(lambdaPlans(configured({}))).toEqual([]);
    expect(lambdaPlans(parseConfig({}))).toEqual([]);
  });
});
