// Requests with known verdicts, made from the policy: for TestFunction before a function is published, and for the live
// URL afterwards.
import { createSigner, placeToken, type Placement, type Policy, type Signer } from '@portcullis/tokens';
import { samplePath } from './paths.js';
import type { TestKey } from './test-key.js';

export interface TestExpectation {
  readonly verdict: 'pass' | 'refuse';
  /** Any of these, for a refusal. */
  readonly reasons: readonly string[];
}

/** One request, before it becomes an event or goes over the wire. */
export interface TestRequest {
  readonly name: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly (readonly [string, string])[];
  readonly expect: TestExpectation;
}

export interface TestCaseInput {
  readonly key: TestKey;
  /** A path behind a guarded behaviour, without a token. */
  readonly contentPath: string;
  readonly placement: Placement;
  readonly format: 'cat' | 'jwt';
  readonly issuer: string | null;
  readonly audience?: string | undefined;
  /** Sent with every test request. */
  readonly requestHeaders?: Readonly<Record<string, string>> | undefined;
  /** The CloudFront headers that the compiled features read: which claims can be tried. */
  readonly headers: readonly string[];
  readonly now: () => number;
}

export interface TestSuite {
  readonly requests: readonly TestRequest[];
  /** The id of the token to revoke before `revoked` is tried. */
  readonly revokedTokenId: string;
}

const pass: TestExpectation = { verdict: 'pass', reasons: [] };
const refuse = (...reasons: string[]): TestExpectation => ({ verdict: 'refuse', reasons });

/** What CloudFront would say of a viewer in Germany; the forged ones say Antarctica. */
export const honestViewer: Readonly<Record<string, string>> = {
  'cloudfront-viewer-country': 'DE',
  'cloudfront-viewer-country-region': 'BE',
  'cloudfront-viewer-asn': '64500',
  'cloudfront-viewer-latitude': '52.52000',
  'cloudfront-viewer-longitude': '13.40500',
  'cloudfront-viewer-http-version': '2.0',
  'cloudfront-viewer-tls': 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake',
};

/** What a viewer may type to pass for somebody else. */
export const forgedViewer: Readonly<Record<string, string>> = {
  'CloudFront-Viewer-Country': 'AQ',
  'CloudFront-Viewer-Country-Region': 'AQ',
  'CloudFront-Viewer-ASN': '64496',
  'CloudFront-Viewer-Latitude': '-75.25000',
  'CloudFront-Viewer-Longitude': '-0.07000',
  'CloudFront-Viewer-Metro-Code': '999',
  'CloudFront-Viewer-Postal-Code': '00000',
  'CloudFront-Viewer-Http-Version': '3.0',
};

/** The test requests of a policy, with tokens of the test key. */
export async function testSuite(input: TestCaseInput): Promise<TestSuite> {
  const { contentPath, placement, now } = input;
  const folder = contentPath.slice(0, contentPath.lastIndexOf('/') + 1) as `/${string}/`;
  const signerAt = (clock: () => number): Signer =>
    createSigner({
      issuer: input.issuer,
      format: input.format,
      key: { alg: 'HS256', kid: input.key.kid, secret: input.key.secret },
      placement,
      clock,
      jitter: false,
      ...(input.audience === undefined ? {} : { audience: input.audience }),
    });
  const signer = signerAt(now);
  const at = (seconds: number): Date => new Date(now() + seconds * 1000);
  const policy = (more: Partial<Policy> = {}): Policy =>
    ({ paths: { prefix: folder }, expiresAt: at(600), notBefore: 'now', subject: input.key.kid, ...more }) as Policy;
  const requests: TestRequest[] = [];
  const add = (name: string, token: string | undefined, expect: TestExpectation, headers = {}): void => {
    requests.push({ name, ...placed(contentPath, token, placement, { ...input.requestHeaders, ...headers }), expect });
  };

  const valid = await signer.sign(policy());
  add('valid', valid.token, pass);
  add('tampered', tampered(valid.token), refuse('bad_signature', 'malformed_token'));
  const expired = await signerAt(() => now() - 7_200_000).sign(policy({ expiresAt: at(-3600) }));
  add('expired', expired.token, refuse('expired'));
  add('missing', undefined, refuse('missing_token'));
  const elsewhere = await signer.sign(policy({ paths: { prefix: '/elsewhere-portcullis-test/' } }));
  add('another path', elsewhere.token, refuse('uri_mismatch'));
  const revoked = await signer.sign(policy());
  add('revoked', revoked.token, refuse('revoked'));

  const reads = (header: string): boolean => input.headers.includes(header);
  if (reads('CloudFront-Viewer-Country')) {
    const far = await signer.sign(policy({ countries: ['AQ'] }));
    add('wrong country', far.token, refuse('country_mismatch'));
    add('forged country', far.token, refuse('country_mismatch'), forgedViewer);
  }
  if (reads('CloudFront-Viewer-ASN')) {
    const other = await signer.sign(policy({ asns: [64496] }));
    add('wrong network', other.token, refuse('network_mismatch'));
    add('forged network', other.token, refuse('network_mismatch'), forgedViewer);
  }
  if (reads('CloudFront-Viewer-Latitude')) {
    const cell = await signer.sign(policy({ geohash: 'hj5b' }));
    add('wrong place', cell.token, refuse('geo_mismatch'));
    add('forged place', cell.token, refuse('geo_mismatch'), forgedViewer);
  }
  add('valid, forged headers', valid.token, pass, forgedViewer);
  add('tampered, forged headers', tampered(valid.token), refuse('bad_signature', 'malformed_token'), forgedViewer);
  return { requests, revokedTokenId: revoked.tokenId };
}

/** Turns one character in the middle of the signature, which ends the token in both formats. */
export function tampered(token: string): string {
  const at = token.length - 12;
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
}

function placed(
  contentPath: string,
  token: string | undefined,
  placement: Placement,
  headers: Readonly<Record<string, string>>,
): Pick<TestRequest, 'path' | 'query' | 'headers' | 'cookies'> {
  if (token === undefined) return { path: contentPath, query: '', headers, cookies: [] };
  const carried = placeToken(contentPath, token, placement);
  const [path = '', query = ''] = carried.url.split('?');
  const cookies: [string, string][] = placement.kind === 'cookie' ? [[placement.name ?? 'CAT', token]] : [];
  return { path, query, headers: { ...headers, ...carried.headers }, cookies };
}

/** A content path to try a behaviour with. */
export function testContentPath(content: readonly string[]): string {
  return samplePath(content[0] ?? '/*').replace(/[^/]*$/, 'portcullis-test.m4s');
}

/** The event of a test request, as TestFunction takes it. Forged headers are overwritten as CloudFront would. */
export function testEvent(
  request: TestRequest,
  delivered: readonly string[],
  requestId: string,
): Record<string, unknown> {
  const values = (pairs: Iterable<readonly [string, string]>): Record<string, { value: string }> =>
    Object.fromEntries([...pairs].map(([name, value]) => [name, { value }]));
  const names = new Set(delivered.map((name) => name.toLowerCase()));
  const honest = Object.entries(honestViewer).filter(([name]) => names.has(name));
  const own = Object.entries(request.headers)
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => !names.has(name));
  return {
    version: '1.0',
    context: {
      distributionDomainName: 'd111111abcdef8.cloudfront.net',
      distributionId: 'E1EXAMPLE',
      endpoint: 'd111111abcdef8.cloudfront.net',
      eventType: 'viewer-request',
      requestId,
    },
    viewer: { ip: '198.51.100.7' },
    request: {
      method: 'GET',
      uri: request.path,
      querystring: values(
        request.query === '' ? [] : request.query.split('&').map((part) => part.split('=') as [string, string]),
      ),
      headers: values([['host', 'd111111abcdef8.cloudfront.net'], ...honest, ...own]),
      cookies: values(request.cookies),
    },
  };
}
