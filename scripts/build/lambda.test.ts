import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
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
import { compileLambda, LAMBDA_BUNDLE_BYTES, LAMBDA_ZIP_BYTES, lambdaProblems, writeLambdas } from './lambda.js';
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
    const hashes = new Set<string>();
    const zone = process.env['TZ'];
    const hours = new Set<number>();
    const place = process.cwd();
    try {
      // East and west of Greenwich, and where the year 1980 began in summer: a ZIP holds local time.
      for (const TZ of ['UTC', 'Pacific/Auckland', 'America/Los_Angeles']) {
        process.env['TZ'] = TZ;
        hours.add(new Date(0).getHours());
        const output = join(folder, TZ);
        process.chdir(tmpdir());
        for (const { zip, sha256 } of await writeLambdas(lambdaPlans(everything), output)) {
          const zipped = readFileSync(zip);
          expect(createHash('sha256').update(zipped).digest('base64')).toBe(sha256);
          hashes.add(sha256);
          for (const text of [place, tmpdir(), folder])
            expect(Buffer.from(unzipSync(zipped)['index.js'] as Uint8Array).includes(text)).toBe(false);
        }
      }
    } finally {
      process.chdir(place);
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
    expect(hours.size).toBe(3);
    // One for each handler.
    expect(hashes.size).toBe(lambdaPlans(everything).length);
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
    expect(lambdaProblems({ event: 'origin-request' }, 'ok', LAMBDA_ZIP_BYTES['origin-request'] + 1)).toHaveLength(1);
  });

  it.each([
    ['a=process.env.SECRET', 'SECRET'],
    ['a=process.env["SECRET"]', 'SECRET'],
    ['a=process["env"].SECRET', 'SECRET'],
    ['b=process.env', '?'],
    ['b={...process.env}', '?'],
    ['var{env:t}=process', '?'],
    ['var{argv:a,env:t}=process;', '?'],
    ['var t=require("node:process").env.SECRET', 'SECRET'],
    ['var{env:t}=require("process")', '?'],
  ])('may not read the environment, which it does not have: %s', (code, name) => {
    const [problem, ...more] = lambdaProblems({ event: 'origin-request' }, code, 10);
    expect([problem, more]).toEqual([`it reads the environment variable ${name}, which Lambda@Edge does not have`, []]);
  });

  it('may read what Lambda itself says there', () => {
    for (const code of ['a=process.env.AWS_REGION', 'a=process.env["AWS_REGION"]', 'a={env:1};b=environment'])
      expect(lambdaProblems({ event: 'origin-request' }, code, 10)).toEqual([]);
  });

  it('may make no answer longer than its event takes', async () => {
    const long = Array.from({ length: 3000 }, (_, i) => `x-${i}-header`.padEnd(14, 'x'));
    const planned = (event: 'viewer-request' | 'origin-request', headers: string[]) =>
      lambdaPlans(configured({ keys: [{ kind: 'jwks', jwks }], guard: { event } }, { cors: { headers } }));
    const problems = (plans: ReturnType<typeof planned>): string[] =>
      plans.flatMap((plan) => lambdaProblems(plan, 'ok', 10));
    expect(problems(planned('viewer-request', long))).toEqual([
      expect.stringMatching(/^an answer has 4\d{4} bytes, over 40960 for viewer-request$/),
    ]);
    expect(problems(planned('origin-request', long))).toEqual([]);
    expect(problems(planned('viewer-request', long.slice(0, 100)))).toEqual([]);
    // In the report, too; and every answer of a usual configuration is far from the limit.
    for (const { answerBytes, answerLimit } of await writeLambdas(lambdaPlans(everything), folder)) {
      expect(answerBytes).toBeGreaterThan(200);
      expect(answerBytes).toBeLessThan(answerLimit / 20);
    }
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
