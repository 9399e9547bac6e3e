import type { EntitledKey } from '@portcullis/tokens';
import { keyRecord, revocationPlace } from '../engine/token-maker.js';
import { NOW, secretOf } from '../verdicts/requests.js';

interface Key {
  readonly kid: string;
  readonly issuers?: readonly string[];
  readonly paths?: readonly `/${string}`[];
}

/** The keys of the store: kid, and what its tokens may open. */
export const keys: readonly Key[] = [
  { kid: 'main' },
  { kid: '' },
  { kid: 'edge' },
  { kid: 'tenant-a', issuers: ['tenant-a', 'partner-a'], paths: ['/echo/a', '/vod/a'] },
  { kid: 'tenant-b', issuers: ['tenant-b'], paths: ['/echo/b'] },
  { kid: 'edge-a', issuers: ['edge-a'] },
];

const base64url = (bytes: string): string => Buffer.from(bytes, 'hex').toString('base64url');
const moment = (seconds: number): string => seconds.toString(36);

export const REVOKED_ID = 'ff00ee';
export const BLOCKED_ID = 'b10c';
export const REVOKED_SESSION = Buffer.alloc(16, 7);
/** The certificate that the viewer showed, by its SHA-256 as CloudFront gives it; and its public key. */
export const CERTIFICATE = 'c0ffee'.padEnd(64, '0');
export const TLS_KEY = Buffer.from('the SPKI of a client certificate');

/** Scope, id, and what stands behind the fingerprint. */
const revocations: readonly (readonly [scope: string, id: string, mark?: string])[] = [
  ['t', base64url(REVOKED_ID)],
  ['t', 'revoked-token'],
  ['s', REVOKED_SESSION.toString('base64url')],
  ['u', 'banned'],
  ['u', 'banned-before', `<${moment(NOW - 100)}`],
  ['u', 'mint-anew', `~${moment(NOW - 100)}`],
  ['x', 'half-banned\nch1'],
  ['c', 'withdrawn'],
  ['p', base64url(BLOCKED_ID)],
];

function buckets(): Record<string, string> {
  const entries = new Map<string, string[]>();
  for (const [scope, id, mark = ''] of revocations) {
    const { key, fingerprint } = revocationPlace(scope, id);
    entries.set(key, [...(entries.get(key) ?? []), `,${fingerprint}${mark}`]);
  }
  return Object.fromEntries([...entries].map(([key, list]) => [key, list.sort().join('')]));
}

/** The KeyValueStore of every case. */
export const storeEntries: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    keys.map(({ kid, issuers, paths }) => [
      `k:${kid}`,
      keyRecord(secretOf(kid), { ...(issuers ? { iss: issuers } : {}), ...(paths ? { paths } : {}) }),
    ]),
  ),
  ...buckets(),
  [`x:${CERTIFICATE}`]: TLS_KEY.toString('base64url'),
};

export const nodeKeys: readonly EntitledKey[] = keys.map(
  ({ kid, ...scope }) => ({ alg: 'HS256', secret: secretOf(kid), ...(kid && { kid }), ...scope }) as const,
);
