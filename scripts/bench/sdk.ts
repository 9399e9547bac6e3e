import { CAT } from '@eyevinn/cat';
import { createHmac, createSecretKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createSigner as createFastSigner, createVerifier as createFastVerifier } from 'fast-jwt';
import { jwtVerify, SignJWT } from 'jose';
import { createSigner, verify, type Policy } from '@portcullis/tokens';
import { rewriteDash, rewriteHls } from '@portcullis/tokens/manifest';
import { assetsFromObject, createVendingService } from '@portcullis/tokens/vending';
import type { BenchFigure } from './figure.js';

/** What a CMS asks for most: one channel, two methods, one country, an account. */
const policy: Policy = {
  paths: '/live/ch1/',
  methods: ['GET', 'HEAD'],
  countries: ['GB'],
  expiresIn: '2h',
  subject: 'u-1234567',
};
const url = 'https://cdn.example/live/ch1/main.m3u8';

/** Microseconds of processor time of one call, the best of several rounds: what else the machine does counts little. */
async function microseconds(run: () => unknown, calls = 20_000, rounds = 5): Promise<number> {
  for (let i = 0; i < calls / 4; i++) await run();
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; i++) await run();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) / calls);
  }
  return best;
}

/** Megabytes of manifest a second. */
async function megabytes(run: () => unknown, length: number): Promise<number> {
  return length / (await microseconds(run, 4, 5));
}

const secret = randomBytes(32);
const key = { alg: 'HS256', kid: 'k1', secret } as const;

async function signing(hmac: number): Promise<BenchFigure[]> {
  const cat = createSigner({ issuer: 'cms', key });
  const jwt = createSigner({ issuer: 'cms', format: 'jwt', key });
  const claims = (): object => {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: 'cms',
      sub: 'u-1234567',
      exp: now + 7200,
      iat: now,
      jti: randomUUID(),
      catv: 1,
      catu: { path: { prefix: '/live/ch1/' } },
      catm: ['GET', 'HEAD'],
      catgeoiso3166: ['GB'],
    };
  };
  const fast = createFastSigner({ key: secret, algorithm: 'HS256', kid: 'k1' });
  const joseKey = createSecretKey(secret);
  const eyevinn = new CAT({ keys: { k1: secret }, expectCwtTag: true });
  const units = async (name: string, run: () => unknown, budget?: number, calls?: number): Promise<BenchFigure> => {
    const time = await microseconds(run, calls);
    return {
      name,
      value: time / hmac,
      unit: 'hmac',
      note: `${time.toFixed(2)} µs`,
      ...(budget === undefined ? {} : { budget }),
    };
  };
  return [
    await units('sdk.signCat.hmacUnits', () => cat.sign(policy), 2.5),
    await units('sdk.signJwt.hmacUnits', () => jwt.sign(policy), 2.5),
    await units('sdk.signPlaybackUrl.hmacUnits', () => cat.signPlaybackUrl(url, policy)),
    await units('sdk.peer.fastJwtSign.hmacUnits', () => fast(claims() as Record<string, unknown>)),
    await units(
      'sdk.peer.joseSign.hmacUnits',
      () =>
        new SignJWT(claims() as Record<string, unknown>).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(joseKey),
      undefined,
      2_000,
    ),
    await units(
      'sdk.peer.eyevinnCatSign.hmacUnits',
      () =>
        eyevinn.generateFromJson(
          {
            iss: 'cms',
            sub: 'u-1234567',
            exp: Math.floor(Date.now() / 1000) + 7200,
            catv: 1,
            catu: { path: { 'prefix-match': '/live/ch1/' } },
            catm: ['GET', 'HEAD'],
          },
          { type: 'mac', alg: 'HS256', kid: 'k1', generateCwtId: true },
        ),
      undefined,
      2_000,
    ),
  ];
}

async function verifying(hmac: number): Promise<BenchFigure[]> {
  const request = {
    url: `https://cdn.example/live/ch1/seg-00001.ts`,
    method: 'GET',
    headers: { 'cloudfront-viewer-country': 'GB' },
  };
  const cat = await createSigner({ issuer: 'cms', key }).sign(policy);
  const jwt = await createSigner({ issuer: 'cms', format: 'jwt', key }).sign(policy);
  const fast = createFastVerifier({ key: secret, algorithms: ['HS256'], cache: false });
  const joseKey = createSecretKey(secret);
  const eyevinn = new CAT({ keys: { k1: secret }, expectCwtTag: true });
  const theirs = await eyevinn.generateFromJson(
    {
      iss: 'cms',
      exp: Math.floor(Date.now() / 1000) + 7200,
      catv: 1,
      catu: { path: { 'prefix-match': '/live/ch1/' } },
    },
    { type: 'mac', alg: 'HS256', kid: 'k1' },
  );
  const units = async (name: string, run: () => unknown, budget?: number, calls?: number): Promise<BenchFigure> => {
    const time = await microseconds(run, calls);
    return {
      name,
      value: time / hmac,
      unit: 'hmac',
      note: `${time.toFixed(2)} µs`,
      ...(budget === undefined ? {} : { budget }),
    };
  };
  return [
    await units('sdk.verifyCat.hmacUnits', () => verify(cat.token, { keys: [key], request }), 4),
    await units('sdk.verifyJwt.hmacUnits', () => verify(jwt.token, { keys: [key], request })),
    await units('sdk.peer.fastJwtVerify.hmacUnits', () => fast(jwt.token) as unknown),
    await units('sdk.peer.joseVerify.hmacUnits', () => jwtVerify(jwt.token, joseKey), undefined, 2_000),
    await units(
      'sdk.peer.eyevinnCatVerify.hmacUnits',
      () =>
        eyevinn.validate(theirs as string, 'mac', {
          issuer: 'cms',
          url: new URL('https://cdn.example/live/ch1/a.ts'),
        }),
      undefined,
      2_000,
    ),
  ];
}

async function manifests(): Promise<BenchFigure[]> {
  const token = (await createSigner({ issuer: 'cms', key }).sign(policy)).token;
  const segments = Array.from(
    { length: 20_000 },
    (_, i) => `#EXTINF:4.00000,\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\nvideo/1080p/segment_${i}.m4s\n`,
  );
  const playlist = `#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n${segments.join('')}`;
  const absolute = playlist.replaceAll('video/', 'https://cdn.example/live/ch1/video/');
  const timeline = `<MPD><Period><AdaptationSet><SegmentTemplate media="$Time$.m4s" initialization="i.mp4"><SegmentTimeline>${Array.from({ length: 30_000 }, (_, i) => `<S t="${i * 4000}" d="4000" r="2"/>\n`).join('')}</SegmentTimeline></SegmentTemplate></AdaptationSet></Period></MPD>`;
  const query = { manifestUrl: url, token, placement: { kind: 'query' } } as const;
  const path = { manifestUrl: url, token, placement: { kind: 'path', mode: 'prefix', prefix: '/live' } } as const;
  const figure = async (name: string, text: string, run: () => unknown): Promise<BenchFigure> => ({
    name,
    value: await megabytes(run, text.length),
    unit: 'MB/s',
    budget: 50,
    higherIsBetter: true,
  });
  return [
    await figure('sdk.rewriteHls.queryMBps', playlist, () => rewriteHls(playlist, query)),
    await figure('sdk.rewriteHls.absoluteQueryMBps', absolute, () => rewriteHls(absolute, query)),
    await figure('sdk.rewriteHls.absolutePathMBps', absolute, () => rewriteHls(absolute, path)),
    await figure('sdk.rewriteDash.queryMBps', timeline, () => rewriteDash(timeline, query)),
  ];
}

async function vending(): Promise<BenchFigure[]> {
  const handle = createVendingService({
    signer: createSigner({ issuer: 'cms', key }),
    assets: assetsFromObject({ ch1: { url, expiresIn: '10m', countries: ['GB'] } }),
    authenticate: () => ({ id: 'cms', trusted: true }),
    ledger: { isRefused: () => Promise.resolve({ refused: false }) },
  });
  const body = JSON.stringify({ asset: 'ch1', subject: 'u-1234567' });
  const time = await microseconds(
    async () => (await handle(new Request('https://vend.example/playback', { method: 'POST', body }))).text(),
    2_000,
    5,
  );
  return [{ name: 'sdk.vend.requestsPerSecond', value: 1e6 / time, unit: '1/s', budget: 1000, higherIsBetter: true }];
}

async function asymmetric(): Promise<BenchFigure[]> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = createSigner({ issuer: 'cms', key: { alg: 'ES256', kid: 'e1', privateKey } });
  return [
    { name: 'sdk.signCatEs256.microseconds', value: await microseconds(() => signer.sign(policy), 500, 5), unit: 'µs' },
  ];
}

/** What the signing SDK costs, in HMACs of the same run, beside other libraries. */
export async function bench(): Promise<BenchFigure[]> {
  const data = randomBytes(200);
  const hmacKey = createSecretKey(secret);
  const hmac = await microseconds(() => createHmac('sha256', hmacKey).update(data).digest());
  return [
    {
      name: 'sdk.hmac.microseconds',
      value: hmac,
      unit: 'µs',
      note: 'one HMAC-SHA-256 over 200 bytes: the unit of the others',
    },
    ...(await signing(hmac)),
    ...(await verifying(hmac)),
    ...(await manifests()),
    ...(await vending()),
    ...(await asymmetric()),
  ];
}
