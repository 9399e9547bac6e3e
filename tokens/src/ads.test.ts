import { generateKeyPairSync } from 'node:crypto';
import { jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { PolicyError } from './errors.js';
import { createIvsSigner, type IvsPolicy } from './ivs.js';
import { addAdsParameters, mediaTailorPaths, signMediaTailorSession, signMediaTailorUrl } from './media-tailor.js';
import { createSigner } from './signer.js';

const channelArn = 'arn:aws:ivs:us-west-2:123456789012:channel/AbCdEf012345';
const now = 1_800_000_000_000;

describe('Amazon IVS playback tokens', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const ivs = createIvsSigner({ key: { alg: 'ES384', privateKey }, clock: () => now });

  it('carries every claim by its name, under ES384', async () => {
    const { url, token, expiresAt } = await ivs.signPlaybackUrl(
      'https://abc.us-west-2.playback.live-video.net/api/video/v1/x.m3u8?player=1',
      {
        channelArn,
        allowedOrigins: ['https://www.example.com', 'https://*.example.org'],
        strictOriginEnforcement: true,
        singleUseUuid: '123e4567-e89b-12d3-a456-426614174000',
        viewerId: 'v-1',
        viewerSessionVersion: 3,
        maximumResolution: 'HD',
        ads: { optOut: false, playerParams: { device: 'tv' }, reportingMode: 'SERVER' },
        expiresIn: '10m',
      },
    );
    expect(url).toBe(`https://abc.us-west-2.playback.live-video.net/api/video/v1/x.m3u8?player=1&token=${token}`);
    const { payload, protectedHeader } = await jwtVerify(token, publicKey, { currentDate: new Date(now) });
    expect(protectedHeader).toEqual({ alg: 'ES384', typ: 'JWT' });
    expect(payload).toEqual({
      'aws:channel-arn': channelArn,
      'aws:access-control-allow-origin': 'https://www.example.com,https://*.example.org',
      'aws:strict-origin-enforcement': true,
      'aws:single-use-uuid': '123e4567-e89b-12d3-a456-426614174000',
      'aws:viewer-id': 'v-1',
      'aws:viewer-session-version': 3,
      'aws:maximum-resolution': 'HD',
      'aws:ads-opt-out': false,
      'aws:ads-player-params': { device: 'tv' },
      'aws:ads-reporting-mode': 'SERVER',
      exp: 1_800_000_600,
    });
    expect(expiresAt).toEqual(new Date(1_800_000_600_000));
  });

  const base = { channelArn, expiresIn: '10m' } as const;
  it.each<[string, object]>([
    ['channelArn', { channelArn: 'arn:aws:ivs:us-west-2:1:channel/x' }],
    ['allowedOrigins', { allowedOrigins: ['https://a.example/path'] }],
    ['allowedOrigins', { allowedOrigins: ['https://a.example,https://evil.example'] }],
    [
      'allowedOrigins',
      { allowedOrigins: Array.from({ length: 6 }, (_, i) => `https://a${i}.example`), strictOriginEnforcement: true },
    ],
    ['strictOriginEnforcement', { strictOriginEnforcement: true }],
    ['singleUseUuid', { singleUseUuid: 'x' }],
    ['viewerId', { viewerId: 'x'.repeat(41) }],
    ['viewerSessionVersion', { viewerSessionVersion: 1 }],
    ['maximumResolution', { maximumResolution: 'UHD' }],
    ['ads.playerParams', { ads: { playerParams: { a: 'x'.repeat(1000) } } }],
    ['ads.playerParams.a', { ads: { playerParams: { a: 1 } } }],
    ['ads.reportingMode', { ads: { reportingMode: 'BOTH' } }],
    ['expiresIn', { viewerId: 'v', expiresIn: '11m' }],
    ['expiresIn', { expiresAt: now / 1000 + 60 }],
  ])('refuses what IVS would: %s', async (path, change) => {
    const error = await ivs.sign({ ...base, ...change } as IvsPolicy).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PolicyError);
    expect((error as PolicyError).path).toBe(path);
  });
});

describe('MediaTailor', () => {
  const signer = createSigner({
    issuer: 'cms',
    key: { alg: 'HS256', kid: 'k1', secret: new Uint8Array(32).fill(7) },
    placement: { kind: 'query' },
  });
  const configuration = { account: '111122223333', name: 'live-ads', contentPaths: ['/live/ch1/'] } as const;

  it('keeps and adds ads parameters, and passes the token on to the session', async () => {
    const signed = await signMediaTailorUrl(
      signer,
      'https://cdn.example/v1/master/111122223333/live-ads/main.m3u8?ads.region=eu&x=%2f',
      configuration,
      { expiresIn: '2h' },
      { ads: { device: 'smart tv', region: 'us&x=1' } },
    );
    expect(signed.url).toBe(
      `https://cdn.example/v1/master/111122223333/live-ads/main.m3u8?x=%2f&ads.device=smart%20tv&ads.region=us%26x%3D1&CAT=${signed.token}&manifest.CAT=${signed.token}`,
    );
    expect(new URL(signed.url).searchParams.get('ads.region')).toBe('us&x=1');
  });

  it('admits the paths of its configuration and content, and no others', () => {
    const { regex } = mediaTailorPaths(configuration) as { regex: string };
    const expression = new RegExp(regex);
    for (const path of [
      '/v1/master/111122223333/live-ads/main.m3u8',
      '/v1/manifest/111122223333/live-ads/s/0.m3u8',
      '/v1/segment/111122223333/live-ads/s/0/1',
      '/v1/tracking/111122223333/live-ads/s',
      '/live/ch1/a.ts',
    ]) {
      expect(expression.test(path)).toBe(true);
    }
    for (const path of [
      '/v1/master/111122223333/other/main.m3u8',
      '/v1/master/999/live-ads/main.m3u8',
      '/live/ch2/a.ts',
      '/x/live/ch1/a.ts',
      '/v1/master/x/111122223333/live-ads/',
    ]) {
      expect(expression.test(path)).toBe(false);
    }
    expect(() => mediaTailorPaths({ ...configuration, name: '.*' })).toThrow(PolicyError);
    expect(() => mediaTailorPaths({ ...configuration, contentPaths: ['/(a|b)/'] })).toThrow(PolicyError);
  });

  it('starts an explicit session with the token among the manifest parameters', async () => {
    const { body, signed } = await signMediaTailorSession(
      signer,
      configuration,
      { expiresIn: '2h' },
      { ads: { a: 'b' } },
    );
    expect(body).toEqual({ adsParams: { a: 'b' }, manifestParams: { CAT: signed.token } });
  });

  it('refuses names that would break out of the query', () => {
    expect(() => addAdsParameters('https://cdn.example/', { 'a=b&c': 'x' })).toThrow(PolicyError);
  });
});
