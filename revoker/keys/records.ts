import type { Ledger, LedgerRecord } from '../ledger/ledger.js';
import { RevokerError } from '../errors.js';
import type { KeyValueStore } from '../store/key-value-store.js';
import { blackoutText, type BlackoutValue } from '../blackouts/rule.js';
import { keySecretName, parseSecretKey, type SecretStore } from './secrets.js';

export const modes = ['off', 'log', 'enforce'] as const;
export type Mode = (typeof modes)[number];

/** How strictly tokens are taken, for one issuer or for all (`*`). Times are epoch seconds. */
export interface ModeValue {
  readonly mode: Mode;
  /** When it falls back to `enforce` by itself. */
  readonly until?: number;
  readonly by: string;
  readonly at: number;
  readonly reason: string;
}

/** `published`: the edge knows it; `signing`: new tokens are signed with it; `retiring`: only old tokens are. */
export type KeyState = 'published' | 'signing' | 'retiring' | 'retired';

/** Algorithms of keys that only Lambda@Edge checks with; the store knows them for the start path (docs/lambda-edge.md). */
export const publicAlgorithms = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA'] as const;
export type PublicAlgorithm = (typeof publicAlgorithms)[number];

/** A signing key in the ledger; its secret is elsewhere, and a public key's is its issuer's. Times are epoch seconds. */
export interface KeyValue {
  readonly kid: string;
  readonly alg: 'HS256' | PublicAlgorithm;
  readonly iss?: readonly string[];
  readonly paths?: readonly string[];
  readonly state: KeyState;
  readonly createdAt: number;
  readonly signingSince?: number;
  /** From then on no token signed with it can be alive. */
  readonly retireAfter?: number;
  /** The key that this one is taking over from. */
  readonly replaces?: string;
  readonly by: string;
  readonly reason: string;
}

/** The mode record that is in force for an issuer list, if one is. */
export function modeFor(
  all: readonly LedgerRecord<ModeValue>[],
  issuers: readonly string[] | undefined,
  now: number,
): ModeValue | undefined {
  const live = all.filter(({ value }) => value.until === undefined || value.until > now);
  const own = live.filter(({ id }) => issuers?.includes(id));
  const candidates = (own.length > 0 ? own : live.filter(({ id }) => id === '*')).map(({ value }) => value);
  // A key that serves two issuers is as strict as the stricter of them.
  return candidates.sort((a, b) => modes.indexOf(b.mode) - modes.indexOf(a.mode))[0];
}

/** The text of `k:<kid>`. */
export function keyRecordText(
  secret: string | undefined,
  key: { readonly alg?: KeyValue['alg']; readonly iss?: readonly string[]; readonly paths?: readonly string[] },
  mode: ModeValue | undefined,
): string {
  const text = JSON.stringify({
    alg: key.alg ?? 'HS256',
    ...(secret === undefined ? {} : { k: secret }),
    ...(key.iss === undefined ? {} : { iss: key.iss }),
    ...(key.paths === undefined ? {} : { paths: key.paths }),
    ...modePart(mode),
  });
  if (Buffer.byteLength(text) > 1024) {
    throw new RevokerError(
      'invalid_request',
      `A key record has at most 1,024 bytes; with these issuers and paths it has ${Buffer.byteLength(text)}.`,
    );
  }
  return text;
}

function modePart(mode: ModeValue | undefined): { mode?: Mode; until?: number } {
  if (!mode) return {};
  return { mode: mode.mode, ...(mode.until === undefined ? {} : { until: mode.until }) };
}

/**
 * What the store's keys outside the buckets must hold: `k:<kid>`, `m:` and `b:<content>`. A key record that the ledger
 * does not know is left as it is, but for its mode. Null: the key must not exist.
 */
export function createRecordSource(options: {
  readonly ledger: Ledger;
  readonly secrets: SecretStore;
  readonly secretPrefix: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): (key: string, store: KeyValueStore) => Promise<string | null> {
  const { ledger, secrets, secretPrefix } = options;

  async function keyText(kid: string, store: KeyValueStore, now: number): Promise<string | null> {
    const record = await ledger.record<KeyValue>('key', kid);
    const allModes = await ledger.records<ModeValue>('mode');
    if (!record) {
      const standing = await store.get(`k:${kid}`);
      return standing === undefined ? null : withMode(kid, standing, allModes, now);
    }
    if (record.value.state === 'retired') return null;
    if (record.value.alg !== 'HS256')
      return keyRecordText(undefined, record.value, modeFor(allModes, record.value.iss, now));
    const name = keySecretName(secretPrefix, kid);
    const secret = await secrets.get(name);
    if (secret === undefined) {
      throw new RevokerError('secret_not_found', `Secret ${name} of key ${kid} is missing.`, {
        hint: `Restore the secret, or retire the key: portcullis keys retire ${kid} --force`,
      });
    }
    return keyRecordText(parseSecretKey(secret, name).k, record.value, modeFor(allModes, record.value.iss, now));
  }

  return async (key, store) => {
    const now = Math.floor((options.now ?? Date.now)() / 1000);
    if (key === 'm:') {
      const mode = modeFor(await ledger.records<ModeValue>('mode'), undefined, now);
      return mode ? JSON.stringify(modePart(mode)) : null;
    }
    if (key.startsWith('k:')) return keyText(key.slice(2), store, now);
    if (key.startsWith('b:')) {
      const record = await ledger.record<BlackoutValue>('blackout', key.slice(2));
      return record ? blackoutText(record.value.rule) : null;
    }
    throw new RevokerError('invalid_request', `${JSON.stringify(key)} is not a key of the store's layout.`);
  };
}

function withMode(kid: string, text: string, all: readonly LedgerRecord<ModeValue>[], now: number): string {
  let standing: Record<string, unknown>;
  try {
    standing = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new RevokerError('invalid_request', `The store's record of key ${kid} is not JSON.`, {
      hint: `Replace it: portcullis keys add --kid ${kid}`,
    });
  }
  const { mode: _mode, until: _until, ...rest } = standing;
  const issuers = Array.isArray(standing['iss']) ? (standing['iss'] as string[]) : undefined;
  return JSON.stringify({ ...rest, ...modePart(modeFor(all, issuers, now)) });
}
