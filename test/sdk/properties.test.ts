import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSigner, decode, explain, verify, type Policy, type ViewerRequest } from '@portcullis/tokens';

const now = 1_800_000_000_000;
const key = { alg: 'HS256', kid: 'k1', secret: new Uint8Array(randomBytes(32)) } as const;
const signers = (['cat', 'jwt'] as const).map((format) =>
  createSigner({ issuer: 'cms', key, clock: () => now, ...(format === 'jwt' ? { format } : { format }) } as Parameters<
    typeof createSigner
  >[0]),
);

/** One restriction of a policy: what it adds, what a request needs to satisfy it, and requests that miss it alone. */
interface Restriction {
  readonly policy: Partial<Policy>;
  readonly fits: Partial<ViewerRequest>;
  readonly misses: readonly [Partial<ViewerRequest>, string][];
}

const segment = fc.stringMatching(/^[a-z0-9_.~-]{1,8}$/).filter((text) => !/^\.+$/.test(text));
const paths: fc.Arbitrary<Restriction> = fc.oneof(
  fc.tuple(segment, segment).map(([a, b]): Restriction => ({
    policy: { paths: `/${a}/` },
    fits: { url: `https://cdn.example/${a}/${b}` },
    misses: [
      [{ url: `https://cdn.example/${a}x/${b}` }, 'uri_mismatch'],
      [{ url: `https://cdn.example/${a}` }, 'uri_mismatch'],
      [{ url: `https://cdn.example/another-folder/${a}/${b}` }, 'uri_mismatch'],
      [{ url: `https://cdn.example/z/../${a}/${b}` }, 'ambiguous_path'],
      [{ url: `https://cdn.example/${a}/%2e%2e/${b}` }, 'ambiguous_path'],
    ],
  })),
  fc.tuple(segment, segment).map(([a, b]): Restriction => ({
    policy: { paths: [{ exact: `/${a}` }, `/${a}/${b}/`] },
    fits: { url: `https://cdn.example/${a}` },
    misses: [
      [{ url: `https://cdn.example/${a}/` }, 'uri_mismatch'],
      [{ url: `https://cdn.example/x${a}` }, 'uri_mismatch'],
      [{ url: `https://cdn.example/${a}/x${b}/` }, 'uri_mismatch'],
    ],
  })),
);
const countries = fc.constantFrom<Restriction>(
  {
    policy: { countries: ['GB', 'IE'] },
    fits: { headers: { 'CloudFront-Viewer-Country': 'IE' } },
    misses: [
      [{ headers: { 'CloudFront-Viewer-Country': 'FR' } }, 'country_mismatch'],
      [{ headers: {} }, 'country_mismatch'],
    ],
  },
  {
    policy: { countries: ['US-CA'] },
    fits: { headers: { 'CloudFront-Viewer-Country': 'US', 'CloudFront-Viewer-Country-Region': 'CA' } },
    misses: [
      [
        { headers: { 'CloudFront-Viewer-Country': 'US', 'CloudFront-Viewer-Country-Region': 'NY' } },
        'country_mismatch',
      ],
      [{ headers: { 'CloudFront-Viewer-Country': 'US' } }, 'country_mismatch'],
      [
        { headers: { 'CloudFront-Viewer-Country': 'CA', 'CloudFront-Viewer-Country-Region': 'US' } },
        'country_mismatch',
      ],
    ],
  },
);
const methods = fc.constant<Restriction>({
  policy: { methods: ['GET', 'HEAD'] },
  fits: { method: 'HEAD' },
  misses: [
    [{ method: 'POST' }, 'method_mismatch'],
    [{ method: 'get' }, 'method_mismatch'],
  ],
});
const networks = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
    .map(([a, b, c, d, e]): Restriction => ({
      policy: { networks: { viewer: `${a}.${b}.${c}.${d}` } },
      fits: { address: `${a}.${b}.${c}.${e}` },
      misses: [
        [{ address: `${a}.${b}.${(c + 1) % 256}.${d}` }, 'network_mismatch'],
        [{ address: '2001:db8::1' }, 'network_mismatch'],
      ],
    })),
  fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([a, b]): Restriction => ({
    policy: { networks: { viewer: `2001:db8:${a.toString(16)}:${b.toString(16)}::1` } },
    fits: { address: `2001:0DB8:${a.toString(16).toUpperCase()}:${b.toString(16)}:ffff::9` },
    misses: [
      [{ address: `2001:db9:${a.toString(16)}:${b.toString(16)}::1` }, 'network_mismatch'],
      [{ address: '203.0.113.9' }, 'network_mismatch'],
    ],
  })),
  fc.integer({ min: 1, max: 4_294_967_295 }).map((asn): Restriction => ({
    policy: { asns: [asn] },
    fits: { headers: { 'CloudFront-Viewer-ASN': String(asn) }, address: '203.0.113.9' },
    misses: [
      [{ headers: { 'CloudFront-Viewer-ASN': String(asn - 1) } }, 'network_mismatch'],
      [{ headers: {} }, 'network_mismatch'],
    ],
  })),
);
const headers = fc
  .stringMatching(/^[ -~]{1,30}$/)
  .filter((text) => text.trim() === text)
  .map((agent): Restriction => ({
    policy: { userAgent: agent },
    fits: { headers: { 'User-Agent': agent } },
    misses: [
      [{ headers: { 'User-Agent': `${agent}x` } }, 'header_mismatch'],
      [{ headers: {} }, 'header_mismatch'],
    ],
  }));
const hosts = fc.constant<Restriction>({ policy: { hosts: ['cdn.example', 'cdn2.example'] }, fits: {}, misses: [] });
const geohash = fc.constant<Restriction>({
  policy: { geohash: ['u4pr', 'gcpv'] },
  fits: { headers: { 'CloudFront-Viewer-Latitude': '51.52', 'CloudFront-Viewer-Longitude': '-0.12' } },
  misses: [
    [{ headers: { 'CloudFront-Viewer-Latitude': '48.85', 'CloudFront-Viewer-Longitude': '2.35' } }, 'geo_mismatch'],
    [{ headers: {} }, 'geo_mismatch'],
  ],
});
const alpn = fc.constant<Restriction>({
  policy: { alpn: ['h2', 'h3'] },
  fits: {
    headers: {
      'CloudFront-Viewer-Http-Version': '2.0',
      'CloudFront-Viewer-TLS': 'TLSv1.3:TLS_AES_128_GCM_SHA256:connectionReused',
    },
  },
  misses: [
    [{ headers: { 'CloudFront-Viewer-Http-Version': '1.1', 'CloudFront-Viewer-TLS': 'TLSv1.3:x:y' } }, 'alpn_mismatch'],
    [{ headers: { 'CloudFront-Viewer-Http-Version': '2.0' } }, 'alpn_mismatch'],
  ],
});

const policies = fc
  .tuple(paths, fc.subarray([0, 1, 2, 3, 4, 5, 6]), countries, methods, networks, headers, hosts, geohash, alpn)
  .map(([path, chosen, ...others]) => [path, ...others.filter((_, i) => chosen.includes(i))]);

/** The request that every restriction admits. */
function fitting(restrictions: readonly Restriction[], except?: number): ViewerRequest {
  const merged: { url: string; headers: Record<string, string>; method?: string; address?: string } = {
    url: 'https://cdn.example/',
    headers: {},
  };
  restrictions.forEach(({ fits }, i) => {
    if (i === except) return;
    const { headers: lines, ...rest } = fits;
    Object.assign(merged, rest);
    Object.assign(merged.headers, lines);
  });
  return merged;
}

describe('for every policy', () => {
  it('sign, then verify accepts what the policy describes and refuses each single deviation, in both formats', async () => {
    await fc.assert(
      fc.asyncProperty(policies, async (restrictions) => {
        const policy = Object.assign(
          { expiresIn: '1h', sessionEndsIn: '2h', notBefore: 'now', subject: 'u' },
          ...restrictions.map((restriction) => restriction.policy),
        ) as Policy;
        const request = fitting(restrictions);
        for (const signer of signers) {
          const { token, claims } = await signer.sign(policy);
          const check = (viewer: ViewerRequest, clock = now): Promise<string> =>
            verify(token, { keys: [key], request: viewer, clock: () => clock }).then(
              () => 'admitted',
              (error: { code: string }) => error.code,
            );
          expect(await check(request)).toBe('admitted');
          expect((await explain(token, { keys: [key], request, clock: () => now })).admitted).toBe(true);
          for (const [i, { misses }] of restrictions.entries()) {
            for (const [miss, reason] of misses) {
              const other = fitting(restrictions, i);
              expect(
                await check({
                  ...other,
                  ...request,
                  ...miss,
                  headers: { ...other.headers, ...(miss.headers ?? request.headers) },
                }),
              ).toBe(reason);
            }
          }
          expect(await check(request, (claims.exp as number) * 1000 - 1)).toBe('admitted');
          expect(await check(request, (claims.exp as number) * 1000)).toBe('expired');
          expect(await check(request, (claims.nbf as number) * 1000 - 1)).toBe('not_yet_valid');
          expect(decode(token).claims).toEqual(JSON.parse(JSON.stringify(claims)));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('no changed character of a token verifies', async () => {
    for (const signer of signers) {
      const { token } = await signer.sign({ paths: '/live/', expiresIn: '1h' });
      await fc.assert(
        fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...'ABab01-_.'), async (at, character) => {
          fc.pre(token[at] !== character);
          const changed = token.slice(0, at) + character + token.slice(at + 1);
          // The last character of a segment may hold bits that nothing reads.
          const same = changed
            .split('.')
            .every((part, i) =>
              Buffer.from(part, 'base64url').equals(Buffer.from(token.split('.')[i] ?? '', 'base64url')),
            );
          const outcome = await verify(changed, { keys: [key], request: { url: '/live/a' }, clock: () => now }).then(
            () => 'admitted',
            () => 'refused',
          );
          if (!same) expect(outcome).toBe('refused');
        }),
        { numRuns: 300 },
      );
    }
  });

  it('lifetimes are never longer than asked for, and spread', async () => {
    const ends = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const { claims } = await (signers[0] as (typeof signers)[0]).sign({ paths: '/', expiresIn: '1h' });
      expect(claims.exp).toBeLessThanOrEqual(now / 1000 + 3600);
      expect(claims.exp).toBeGreaterThan(now / 1000 + 3600 - 301);
      ends.add(claims.exp as number);
    }
    expect(ends.size).toBeGreaterThan(100);
  });
});

describe('a policy that makes no sound token', () => {
  const signer = signers[0] as (typeof signers)[0];
  it.each<[string, object]>([
    ['paths', { paths: '/live', expiresIn: '1h' }],
    ['paths', { expiresIn: '1h' }],
    ['paths.prefix', { paths: { prefix: 'live/' }, expiresIn: '1h' }],
    ['paths.regex', { paths: { regex: '^(a+)+$' }, expiresIn: '1h' }],
    ['paths.regex', { paths: { regex: '(' }, expiresIn: '1h' }],
    ['expiresIn', { paths: '/' }],
    ['expiresIn', { paths: '/', expiresIn: '2 hours' }],
    ['expiresIn', { paths: '/', expiresIn: -1 }],
    ['expiresAt', { paths: '/', expiresAt: new Date(now - 1000) }],
    ['expiresAt', { paths: '/', expiresAt: now }],
    ['expiresAt', { paths: '/', expiresIn: '1h', expiresAt: now / 1000 + 60 }],
    ['countries', { paths: '/', expiresIn: '1h', countries: ['UK'] }],
    ['networks[0]', { paths: '/', expiresIn: '1h', networks: '203.0.113.0/25' }],
    ['networks[0]', { paths: '/', expiresIn: '1h', networks: { viewer: '203.0.113' } }],
    ['networks[0]', { paths: '/', expiresIn: '1h', networks: { viewer: '010.0.0.1' } }],
    ['asns', { paths: '/', expiresIn: '1h', asns: [-1] }],
    ['geohash', { paths: '/', expiresIn: '1h', geohash: 'gcpvj' }],
    ['hosts', { paths: '/', expiresIn: '1h', hosts: 'https://cdn.example' }],
    ['headers', { paths: '/', expiresIn: '1h', headers: { 'a b': 'x' } }],
    ['session', { paths: '/', expiresIn: '1h', session: 'short' }],
    [
      'renewal.attributes',
      { paths: '/', expiresIn: '1h', renewal: { by: 'cookie', extendBy: '1h', attributes: ['Path=/; Domain=evil'] } },
    ],
    ['onExpired.status', { paths: '/', expiresIn: '1h', onExpired: { status: 42 } }],
    ['claims.exp', { paths: '/', expiresIn: '1h', claims: { exp: 1 } }],
  ])('names %s', async (path, policy) => {
    await expect(signer.sign(policy as Policy)).rejects.toMatchObject({ code: 'invalid_policy', path });
  });

  it('warns of what works and is discouraged', async () => {
    const { warnings } = await signer.sign({
      paths: null,
      expiresAt: null,
      subject: 'a@example.com',
      networks: { viewer: '203.0.113.9' },
    });
    expect(warnings.map(({ code }) => code).sort()).toEqual([
      'identifying_subject',
      'network_widened',
      'no_expiry',
      'no_path',
    ]);
    expect(
      (await signer.sign({ paths: { prefix: '/live' }, expiresIn: '30d' })).warnings.map(({ code }) => code).sort(),
    ).toEqual(['long_lifetime', 'prefix_without_slash']);
  });

  it('refuses a URL that its own token would not open', async () => {
    for (const [url, policy] of [
      ['https://cdn.example/vod/a.m3u8', { paths: '/live/', expiresIn: '1h' }],
      ['https://evil.example/live/a.m3u8', { hosts: 'cdn.example', expiresIn: '1h' }],
    ] as const) {
      await expect(signer.signPlaybackUrl(url, policy)).rejects.toMatchObject({ code: 'url_outside_policy' });
    }
    for (const url of [
      'ftp://cdn.example/a',
      'live/a.m3u8',
      '//cdn.example/a',
      'https://cdn.example/a/../b',
      'https://cdn.example/a b',
      '',
    ]) {
      await expect(signer.signPlaybackUrl(url, { expiresIn: '1h' })).rejects.toMatchObject({ code: 'invalid_url' });
    }
  });
});
