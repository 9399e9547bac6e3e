import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSigner } from '@portcullis/tokens';
import { parseToken } from '@portcullis/tokens/core/gate';
import type { LambdaEvent, LambdaResult } from '../../edge/event.js';
import { LAMBDA_BUNDLE_BYTES, writeLambdas } from '../build/lambda.js';
import { lambdaPlans } from '../build/lambda-plans.js';
import { parseConfig } from '../config/index.js';
import type { BenchFigure } from './figure.js';

/**
 * The time that one round in twenty stays below: what the code itself takes. The middle one has on a shared machine what its
 * neighbours take from the caches, too, and that several times as much for code that runs through many places as for arithmetic.
 */
const undisturbed = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 20)] as number;

/** Milliseconds of a fresh Node to load a bundle, beside what it takes to start; the best of 25: it is the machine that varies. */
function loadTime(file: string): number {
  const script = `const start = process.hrtime.bigint(); require(${JSON.stringify(file)}); console.log(Number(process.hrtime.bigint() - start) / 1e6);`;
  const time = (): number => Number(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }));
  return Math.min(...Array.from({ length: 25 }, time));
}

/** Microseconds of one call. */
async function microseconds(run: () => unknown): Promise<number> {
  const start = process.hrtime.bigint();
  await run();
  return Number(process.hrtime.bigint() - start) / 1000;
}

/** The handler as it is deployed: its size, the time to load it, and what it costs to decide on a public-key token. */
export async function bench(): Promise<BenchFigure[]> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256' };
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-lambda-'));
  try {
    const plans = lambdaPlans(
      parseConfig({
        profile: 'full',
        lambda: {
          hosts: ['cdn.example'],
          keys: [{ kind: 'jwks', jwks: { keys: [jwk] } }],
          proof: {},
          guard: { event: 'origin-request' },
          start: { kid: 'edge', oneTime: { table: 'once', regions: ['us-east-1'] } },
        },
      }),
    );
    const built = await writeLambdas(plans, folder);
    const bytesOf = (name: string): number => built.find((one) => one.name === name)?.bytes ?? NaN;
    const file = join(folder, 'guard', 'index.js');
    const startFile = join(folder, 'start', 'index.js');
    const { handler } = createRequire(import.meta.url)(file) as {
      handler: (event: LambdaEvent) => Promise<LambdaResult>;
    };
    const signer = createSigner({ issuer: 'cms', key: { alg: 'ES256', kid: 'bench', privateKey } });
    // What a CMS asks for most: one channel, two methods, one country, an account.
    const { token } = await signer.sign({
      paths: '/live/ch1/',
      methods: ['GET', 'HEAD'],
      countries: ['GB'],
      expiresIn: '2h',
      subject: 'u-1234567',
      notBefore: 'now',
    });
    const event: LambdaEvent = {
      Records: [
        {
          cf: {
            config: {
              distributionDomainName: 'd111111abcdef8.cloudfront.net',
              eventType: 'origin-request',
              requestId: 'bench',
            },
            request: {
              clientIp: '203.0.113.9',
              method: 'GET',
              uri: `/${token}/live/ch1/main.m3u8`,
              querystring: '',
              headers: {
                host: [{ key: 'Host', value: 'origin.example' }],
                'user-agent': [{ key: 'User-Agent', value: 'bench' }],
                'cloudfront-viewer-country': [{ key: 'CloudFront-Viewer-Country', value: 'GB' }],
              },
            },
          },
        },
      ],
    };
    const answer = await handler(event);
    if ('status' in answer) throw new Error(`The handler refuses its own benchmark: ${answer.body}`);

    const parsed = parseToken(token);
    const data = Buffer.concat(parsed.signed.map((piece) => Buffer.from(piece as Buffer)));
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const bare = (): boolean => verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, parsed.signature);
    const [whole, alone]: [number[], number[]] = [[], []];
    // By turns, so that whatever else the machine does falls on both.
    for (let i = 0; i < 12_000; i++) {
      const times = [await microseconds(() => handler(event)), await microseconds(bare)] as const;
      // The first ones are for the compiler.
      if (i < 4_000) continue;
      whole.push(times[0]);
      alone.push(times[1]);
    }
    const [wholeTime, bareTime] = [undisturbed(whole), undisturbed(alone)];
    return [
      { name: 'lambda.bundleBytes', value: bytesOf('guard'), unit: 'bytes', budget: LAMBDA_BUNDLE_BYTES },
      { name: 'lambda.loadMs', value: loadTime(file), unit: 'ms', budget: 20, note: 'require() in a fresh Node' },
      { name: 'lambda.start.bundleBytes', value: bytesOf('start'), unit: 'bytes', budget: LAMBDA_BUNDLE_BYTES },
      { name: 'lambda.start.loadMs', value: loadTime(startFile), unit: 'ms', budget: 20 },
      {
        name: 'lambda.es256.signatureUnits',
        value: wholeTime / bareTime,
        unit: 'signature',
        budget: 1.3,
        note: `the handler with an ES256 CAT ${wholeTime.toFixed(1)} µs, node:crypto's verify alone ${bareTime.toFixed(1)} µs`,
      },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
