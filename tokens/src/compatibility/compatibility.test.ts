import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { edgeAuthUrl, signEdgeAuth, verifyEdgeAuth } from './akamai-edge-auth.js';
import { matchesGlob } from './akamai-edge-auth-core.js';
import { secureMediaUrl, signSecureMedia, verifySecureMedia, type SecureMediaPolicy } from './secure-media-delivery.js';

const now = 1_800_000_000_000;

describe('Secure Media Delivery v1', () => {
  const key = { uuid: 'k-1', value: 'a v1 secret as text, long enough' };
  const policy: SecureMediaPolicy = {
    paths: ['/live/'],
    exclusions: ['/live/ads/'],
    expiresIn: '2h',
    ip: true,
    country: true,
    region: true,
    session: true,
    headers: ['user-agent'],
    query: ['device'],
  };
  const viewer = {
    address: '2001:db8::9',
    country: 'US',
    region: 'CA',
    session: 'Abc123',
    headers: { 'user-agent': 'Player' },
    query: { device: 'tv' },
  };
  const headers = {
    'cloudfront-viewer-country': 'US',
    'cloudfront-viewer-country-region': 'CA',
    'user-agent': 'Player',
  };
  const token = signSecureMedia(policy, viewer, key, now);
  const request = { uri: `/${token}/live/ch1/a.ts`, address: '2001:0db8:0:0::9', headers, query: { device: 'tv' } };

  it('is a JWT under the secret as text, with the session before it, in the first segment', async () => {
    const [session, ...jwt] = token.split('.');
    expect(session).toBe('Abc123');
    const { payload, protectedHeader } = await jwtVerify(jwt.join('.'), new TextEncoder().encode(key.value), {
      currentDate: new Date(now),
    });
    expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT', kid: 'k-1' });
    expect(payload).toMatchObject({
      paths: ['/live/'],
      exc: ['/live/ads/'],
      exp: 1_800_007_200,
      ip: true,
      ip_ver: 6,
      co: true,
      ssn: true,
    });
    const bound = '2001:0db8:0000:0000:0000:0000:0000:0009:US:CA:Abc123:Player:tv';
    expect(payload['intsig']).toBe(createHmac('sha256', key.value).update(bound).digest('base64url'));
    expect(secureMediaUrl('https://cdn.example/live/ch1/main.m3u8?a=1', token)).toBe(
      `https://cdn.example/${token}/live/ch1/main.m3u8?a=1`,
    );
  });

  it('admits the request it describes, and strips the token', () => {
    expect(verifySecureMedia(request, [key], now)).toEqual({
      admitted: true,
      path: '/live/ch1/a.ts',
      session: 'Abc123',
    });
  });

  it.each([
    ['another address', { address: '2001:db8::a' }, 'network_mismatch'],
    ['another family', { address: '203.0.113.9' }, 'network_mismatch'],
    ['another country', { headers: { ...headers, 'cloudfront-viewer-country': 'GB' } }, 'network_mismatch'],
    ['no country', { headers: { 'user-agent': 'Player' } }, 'country_mismatch'],
    ['another agent', { headers: { ...headers, 'user-agent': 'Other' } }, 'network_mismatch'],
    ['no agent', { headers: { ...headers, 'user-agent': undefined as unknown as string } }, 'network_mismatch'],
    ['another parameter', { query: { device: 'phone' } }, 'network_mismatch'],
    ['another path', { uri: `/${token}/vod/a.ts` }, 'uri_mismatch'],
    ['climbing out of its path', { uri: `/${token}/live/../vod/a.ts` }, 'ambiguous_path'],
    ['another session', { uri: `/x${token}/live/a.ts` }, 'network_mismatch'],
    ['no session', { uri: `/${token.slice(7)}/live/a.ts` }, 'invalid_claim'],
    ['a changed claim', { uri: `/${token.replace(/\.(ey\w{20})\w/, '.$1A')}/live/a.ts` }, undefined],
    ['no token', { uri: '/live/a.ts' }, 'missing_token'],
  ])('refuses %s', (_, change, reason) => {
    const verdict = verifySecureMedia({ ...request, ...change }, [key], now);
    expect(verdict.admitted).toBe(false);
    if (reason) expect(verdict).toEqual({ admitted: false, reason });
  });

  it('ends exactly at exp, and knows only its own keys', () => {
    expect(verifySecureMedia(request, [key], 1_800_007_200_000)).toEqual({ admitted: false, reason: 'expired' });
    expect(verifySecureMedia(request, [{ ...key, uuid: 'other' }], now)).toEqual({
      admitted: false,
      reason: 'unknown_key',
    });
    expect(verifySecureMedia(request, [{ ...key, value: 'another secret' }], now)).toEqual({
      admitted: false,
      reason: 'bad_signature',
    });
  });

  it('skips the bindings on excluded paths, and by fallback where the header is missing', () => {
    expect(
      verifySecureMedia({ ...request, uri: `/${token}/live/ads/1.ts`, address: '203.0.113.9' }, [key], now).admitted,
    ).toBe(true);
    const fallback = signSecureMedia(
      { paths: ['/'], expiresIn: 60, country: true, countryFallback: true },
      viewer,
      key,
      now,
    );
    expect(verifySecureMedia({ uri: `/${fallback}/a`, address: '' }, [key], now).admitted).toBe(true);
  });

  it('refuses the algorithm "none" and foreign algorithms', () => {
    const [, , body] = token.split('.');
    for (const alg of ['none', 'HS512', 'RS256']) {
      const head = Buffer.from(JSON.stringify({ alg, kid: 'k-1' })).toString('base64url');
      expect(verifySecureMedia({ ...request, uri: `/Abc123.${head}.${body}.x/live/a.ts` }, [key], now)).toEqual({
        admitted: false,
        reason: 'unsupported_algorithm',
      });
    }
  });
});

describe('Akamai EdgeAuth', () => {
  const key = '0123456789abcdef0123456789abcdef';
  const viewer = { path: '/live/ch1/a.ts', address: '203.0.113.9' };

  it('is what the format says, byte for byte', () => {
    const token = signEdgeAuth(
      {
        acl: ['/live/*', '/vod/?.ts'],
        expiresAt: 1_800_000_100,
        notBefore: 1_799_999_000,
        ip: '203.0.113.9',
        session: 's1',
        data: 'd',
        salt: 'pepper',
      },
      key,
      now,
    );
    const fields = 'ip=203.0.113.9~st=1799999000~exp=1800000100~acl=/live/*!/vod/?.ts~id=s1~data=d';
    const mac = createHmac('sha256', Buffer.from(key, 'hex')).update(`${fields}~salt=pepper`).digest('hex');
    expect(token).toBe(`${fields}~hmac=${mac}`);
    expect(verifyEdgeAuth(token, viewer, key, { salt: 'pepper', now })).toEqual({
      admitted: true,
      session: 's1',
      data: 'd',
    });
    expect(verifyEdgeAuth(token, viewer, key, { now })).toEqual({ admitted: false, reason: 'bad_signature' });
    expect(edgeAuthUrl('https://cdn.example/live/a.m3u8', token)).toBe(
      `https://cdn.example/live/a.m3u8?hdnts=${token}`,
    );
  });

  it.each([
    ['at its end', { now: 1_800_000_100_000 }, {}, 'expired'],
    ['before its start', { now: 1_799_999_000_000 - 1 }, {}, 'not_yet_valid'],
    ['another path', { now }, { path: '/other/a.ts' }, 'uri_mismatch'],
    ['another address', { now }, { address: '203.0.113.10' }, 'network_mismatch'],
    ['an ambiguous path', { now }, { path: '/live/../x' }, 'ambiguous_path'],
  ])('refuses %s', (_, options, change, reason) => {
    const token = signEdgeAuth(
      { acl: '/live/*', expiresAt: 1_800_000_100, notBefore: 1_799_999_000, ip: '203.0.113.9' },
      key,
      now,
    );
    expect(verifyEdgeAuth(token, { ...viewer, ...change }, key, options)).toEqual({ admitted: false, reason });
  });

  it('binds one URL without showing it, escaped early or not', () => {
    for (const escapeEarly of [false, true]) {
      const token = signEdgeAuth({ path: '/live/a.ts', expiresIn: '1m', escapeEarly }, key, now);
      expect(token).not.toContain('live');
      expect(verifyEdgeAuth(token, { ...viewer, path: '/live/a.ts' }, key, { now }).admitted).toBe(true);
      expect(verifyEdgeAuth(token, { ...viewer, path: '/live/b.ts' }, key, { now })).toEqual({
        admitted: false,
        reason: 'bad_signature',
      });
    }
  });

  it('refuses fields given twice, in a wrong place, unknown or cut', () => {
    const token = signEdgeAuth({ acl: '/live/*', expiresIn: '1m' }, key, now);
    for (const wrong of [
      `acl=/*~${token}`,
      `${token}~acl=/*`,
      `x=1~${token}`,
      token.slice(0, -1),
      token.replace(/~hmac=.*/, ''),
      '',
      '~',
      'hmac=',
    ]) {
      expect(verifyEdgeAuth(wrong, viewer, key, { now })).toMatchObject({ admitted: false, reason: 'malformed_token' });
    }
  });

  it('does not let a value forge another field', () => {
    expect(() => signEdgeAuth({ acl: '/a/*', session: 'x~acl=/*', expiresIn: 60 }, key)).toThrow(/without '~'/);
    expect(() => signEdgeAuth({ acl: '/a/*~acl=/*', expiresIn: 60 }, key)).toThrow(/acl/);
  });

  it('matches patterns as a regular expression would, in bounded time', () => {
    const character = fc.constantFrom('a', 'b', '/', '*', '?');
    fc.assert(
      fc.property(
        fc.array(character, { maxLength: 8 }),
        fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 10 }),
        (pattern, path) => {
          const expression = new RegExp(`^${pattern.map((c) => (c === '*' ? '.*' : c === '?' ? '.' : c)).join('')}$`);
          expect(matchesGlob(pattern.join(''), path.join(''))).toBe(expression.test(path.join('')));
        },
      ),
      { numRuns: 2000 },
    );
    expect(matchesGlob('*a'.repeat(200) + 'b', 'a'.repeat(4000))).toBe(false);
  });
});
