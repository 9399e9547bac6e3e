import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RevokerError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import { putRecordOver } from '../ledger/records.js';
import type { KeyValueStore } from '../store/key-value-store.js';
import type { Revoker } from '../writer.js';
import { modeFor, type KeyState, type KeyValue, type Mode, type ModeValue, type PublicAlgorithm } from './records.js';
import { keySecretName, parseSecretKey, signingSecretName, type SecretKey, type SecretStore } from './secrets.js';

export interface KeyringOptions {
  readonly ledger: Ledger;
  readonly secrets: SecretStore;
  readonly revoker: Revoker;
  readonly stores: readonly KeyValueStore[];
  /** First part of every secret's name. Default `portcullis`. */
  readonly secretPrefix?: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: (bytes: number) => Buffer;
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
}

export interface NewKey {
  /** Key id, 1 to 128 printable ASCII characters. Default: the date and some randomness. */
  readonly kid?: string;
  /** Issuers whose tokens it may sign. Absent: any. */
  readonly iss?: readonly string[];
  /** Paths it is entitled to, whole segments. Absent: any. */
  readonly paths?: readonly string[];
  /** An existing secret instead of a new random one, at least 32 bytes. */
  readonly secret?: Uint8Array;
  /** An issuer's public key: the store learns its kid, algorithm, issuers and paths, and nothing signs with it here. */
  readonly publicAlgorithm?: PublicAlgorithm;
}

export interface About {
  readonly by: string;
  readonly reason: string;
}

/** A key as `list` shows it; no secret is in it. */
export interface ListedKey {
  readonly kid: string;
  readonly state: KeyState | 'unmanaged';
  readonly iss?: readonly string[];
  readonly paths?: readonly string[];
  readonly mode?: Mode;
  readonly modeUntil?: number;
  readonly createdAt?: number;
  readonly retireAfter?: number;
  /** Names of the stores that have it. */
  readonly stores: readonly string[];
}

export interface RotateOptions extends About {
  /** The key to take over from. Default: the one that signs now. */
  readonly from?: string;
  /** Longest life of a token, seconds: so long the old key stays. */
  readonly tokenSeconds: number;
  /** Waits until the edge knows the new key; see {@link settle} and `portcullis keys rotate --probe`. */
  readonly waitForEdge: (kid: string) => Promise<void>;
}

export interface Rotation {
  readonly kid: string;
  readonly replaced: string | undefined;
  /** Epoch seconds from which the old key can be retired. */
  readonly retireAfter: number | undefined;
}

/** Clocks of vending servers may differ by so much. */
const leewaySeconds = 60;

export interface Keyring {
  list(): Promise<ListedKey[]>;
  /** Makes a key, keeps its secret, and publishes it to every store. It signs nothing yet. */
  add(key: NewKey, about: About): Promise<KeyValue>;
  /** Signs new tokens with this key from now on. */
  sign(kid: string, about: About & { readonly tokenSeconds: number }): Promise<Rotation>;
  /**
   * Publishes a new key, waits for the edge, then signs with it; the old one stays for tokens that are out. What was
   * interrupted goes on where it stopped.
   */
  rotate(options: RotateOptions): Promise<Rotation>;
  /** Everything signed by the old key is refused from now on: publishes a new key and removes the old in one update. */
  rotateNow(options: About & { readonly from?: string }): Promise<Rotation>;
  /** Takes a key from every store. @throws RevokerError `key_in_use` where tokens signed with it may be alive */
  retire(kid: string, about: About & { readonly force?: boolean }): Promise<KeyValue | undefined>;
  /** Kids whose last token has died. */
  due(): Promise<string[]>;
  /** Sets or takes back a mode for an issuer or for all (`*`). */
  setMode(
    issuer: string,
    mode: Mode,
    about: About & { readonly until?: number },
  ): Promise<{ readonly keys: readonly string[]; readonly targets: Readonly<Record<string, string>> }>;
  modes(): Promise<(ModeValue & { readonly issuer: string })[]>;
  /** The key to sign with now. */
  signingKey(): Promise<SecretKey | undefined>;
}

/** Signing keys from birth to retirement, and the modes that travel with them. */
export function createKeyring(options: KeyringOptions): Keyring {
  const { ledger, secrets, revoker, stores } = options;
  const prefix = options.secretPrefix ?? 'portcullis';
  const random = options.random ?? randomBytes;
  const seconds = (): number => Math.floor((options.now ?? Date.now)() / 1000);

  async function signingKey(): Promise<SecretKey | undefined> {
    const name = signingSecretName(prefix);
    const text = await secrets.get(name);
    return text === undefined ? undefined : parseSecretKey(text, name);
  }

  async function keyOf(kid: string): Promise<KeyValue | undefined> {
    return (await ledger.record<KeyValue>('key', kid))?.value;
  }

  async function storedKids(store: KeyValueStore): Promise<string[]> {
    const kids: string[] = [];
    for await (const [key] of store.list()) if (key.startsWith('k:')) kids.push(key.slice(2));
    return kids;
  }

  /** Announced, written, projected; a target that failed is an error here, for a key that is not out must not be used. */
  async function publish(kids: readonly string[], by: string, write: () => Promise<void>): Promise<void> {
    const states = await revoker.project(
      kids.map((kid) => `k:${kid}`),
      { by, write },
    );
    const failed = Object.entries(states).find(([, state]) => state !== 'done');
    if (failed) {
      throw new RevokerError('store_unavailable', `The key could not be written to ${failed[0]}: ${failed[1]}`, {
        hint: 'Run the same command again, or portcullis revocations reconcile, when the store answers.',
      });
    }
  }

  async function prepare(
    key: NewKey,
    about: About,
    replaces?: string,
  ): Promise<{ value: KeyValue; write: () => Promise<void> }> {
    const kid = key.kid ?? defaultKid(seconds(), random);
    if (!/^[\x21-\x7e]{1,128}$/.test(kid)) {
      throw new RevokerError('invalid_request', 'A key id has 1 to 128 printable ASCII characters without spaces.');
    }
    if (key.publicAlgorithm && (key.kid === undefined || key.secret)) {
      throw new RevokerError('invalid_request', "A public key has its issuer's kid, and no secret.");
    }
    if (key.secret && key.secret.length < 32) {
      throw new RevokerError('invalid_request', `A secret has at least 32 bytes, not ${key.secret.length}.`);
    }
    const standing = await keyOf(kid);
    if (standing) {
      throw new RevokerError(
        'key_exists',
        standing.state === 'retired'
          ? `Key ${kid} was retired; key ids are never used twice.`
          : `Key ${kid} exists already (${standing.state}).`,
        { hint: 'Choose another --kid.' },
      );
    }
    const secret: SecretKey = { kid, alg: 'HS256', k: Buffer.from(key.secret ?? random(32)).toString('base64url') };
    const value: KeyValue = {
      kid,
      alg: key.publicAlgorithm ?? 'HS256',
      ...(key.iss?.length ? { iss: key.iss } : {}),
      ...(key.paths?.length ? { paths: key.paths } : {}),
      state: 'published',
      createdAt: seconds(),
      ...(replaces === undefined ? {} : { replaces }),
      by: about.by,
      reason: about.reason,
    };
    return {
      value,
      write: async () => {
        if (!key.publicAlgorithm) await secrets.put(keySecretName(prefix, kid), JSON.stringify(secret));
        if (!(await ledger.putRecord({ kind: 'key', id: kid, version: 1, value }))) {
          throw new RevokerError('key_exists', `Key ${kid} was added by somebody else.`);
        }
        await ledger.audit({ at: seconds(), by: about.by, action: 'key added', about: kid, reason: about.reason });
      },
    };
  }

  async function add(key: NewKey, about: About, replaces?: string): Promise<KeyValue> {
    const { value, write } = await prepare(key, about, replaces);
    await publish([value.kid], about.by, write);
    return value;
  }

  /** What takes over from a key has its issuers and paths. */
  async function successor(from: string | undefined, about: About): Promise<NewKey> {
    if (from === undefined) return {};
    const old = await keyOf(from);
    if (old) return { ...(old.iss ? { iss: old.iss } : {}), ...(old.paths ? { paths: old.paths } : {}) };
    for (const store of stores) {
      const text = await store.get(`k:${from}`);
      if (text === undefined) continue;
      const { iss, paths } = JSON.parse(text) as { iss?: string[]; paths?: string[] };
      return { ...(iss ? { iss } : {}), ...(paths ? { paths } : {}) };
    }
    throw new RevokerError('key_not_found', `There is no key ${from} to take over from (${about.reason}).`);
  }

  async function sign(kid: string, about: About & { tokenSeconds: number; replaces?: string }): Promise<Rotation> {
    const name = keySecretName(prefix, kid);
    const value = await keyOf(kid);
    if (!value || value.state === 'retired')
      throw new RevokerError('key_not_found', `There is no key ${kid} to sign with.`);
    if (value.alg !== 'HS256')
      throw new RevokerError(
        'invalid_request',
        `Key ${kid} is an issuer's public key: nothing is signed with it here.`,
      );
    const secret = await secrets.get(name);
    if (secret === undefined) throw new RevokerError('secret_not_found', `Secret ${name} of key ${kid} is missing.`);
    const before = (await signingKey())?.kid ?? about.replaces;
    const replaced = before === kid ? value.replaces : before;
    await secrets.put(signingSecretName(prefix), JSON.stringify(parseSecretKey(secret, name)));
    const at = seconds();
    await putRecordOver<KeyValue>(ledger, 'key', kid, (key) => key && { ...key, state: 'signing', signingSince: at });
    let retireAfter: number | undefined;
    if (replaced !== undefined && replaced !== kid) {
      const old = await putRecordOver<KeyValue>(ledger, 'key', replaced, (key) => {
        if (!key || key.state === 'retired' || key.state === 'retiring') return undefined;
        return { ...key, state: 'retiring', retireAfter: at + about.tokenSeconds + leewaySeconds };
      });
      retireAfter = old?.retireAfter;
    }
    await ledger.audit({
      at,
      by: about.by,
      action: 'signing switched',
      about: kid,
      reason: about.reason,
      detail: { from: replaced },
    });
    return { kid, replaced, retireAfter };
  }

  /** A new key of an interrupted rotation: published for the same predecessor, never used. */
  async function unfinished(from: string | undefined): Promise<KeyValue | undefined> {
    const keys = await ledger.records<KeyValue>('key');
    return keys
      .map(({ value }) => value)
      .find(({ state, replaces }) => state === 'published' && replaces === (from ?? ''));
  }

  const about = (action: string, kid: string, by: string, reason: string): Promise<void> =>
    ledger.audit({ at: seconds(), by, action, about: kid, reason });

  return {
    async list() {
      const now = seconds();
      const managed = await ledger.records<KeyValue>('key');
      const allModes = await ledger.records<ModeValue>('mode');
      const held = await Promise.all(stores.map(async (store) => [store.name, await storedKids(store)] as const));
      const storesOf = (kid: string): string[] => held.filter(([, kids]) => kids.includes(kid)).map(([name]) => name);
      const modeOf = (iss?: readonly string[]): Pick<ListedKey, 'mode' | 'modeUntil'> => {
        const mode = modeFor(allModes, iss, now);
        return mode ? { mode: mode.mode, ...(mode.until === undefined ? {} : { modeUntil: mode.until }) } : {};
      };
      const known = managed.map(({ value }) => ({
        kid: value.kid,
        state: value.state,
        ...(value.iss ? { iss: value.iss } : {}),
        ...(value.paths ? { paths: value.paths } : {}),
        ...modeOf(value.iss),
        createdAt: value.createdAt,
        ...(value.retireAfter === undefined ? {} : { retireAfter: value.retireAfter }),
        stores: storesOf(value.kid),
      }));
      const others = [...new Set(held.flatMap(([, kids]) => kids))].filter(
        (kid) => !managed.some(({ id }) => id === kid),
      );
      return [...known, ...others.map((kid) => ({ kid, state: 'unmanaged' as const, stores: storesOf(kid) }))];
    },
    add: (key, who) => add(key, who),
    sign,
    async rotate(rotation) {
      const from = rotation.from ?? (await signingKey())?.kid;
      const next = (await unfinished(from)) ?? (await add(await successor(from, rotation), rotation, from ?? ''));
      await rotation.waitForEdge(next.kid);
      return sign(next.kid, { ...rotation, ...(from === undefined ? {} : { replaces: from }) });
    },
    async rotateNow(who) {
      const from = who.from ?? (await signingKey())?.kid;
      const { value, write } = await prepare(await successor(from, who), who, from ?? '');
      await publish(from === undefined ? [value.kid] : [value.kid, from], who.by, async () => {
        await write();
        if (from === undefined) return;
        await retireRecord(from, who);
      });
      return { ...(await sign(value.kid, { ...who, tokenSeconds: 0 })), replaced: from, retireAfter: undefined };
    },
    async retire(kid, { force = false, ...who }) {
      const value = await keyOf(kid);
      const now = seconds();
      if (!force) refuseToRetire(kid, value, now);
      if (value?.state === 'retired') return value;
      await publish([kid], who.by, () => retireRecord(kid, who));
      if (value) await secrets.remove(keySecretName(prefix, kid));
      return keyOf(kid);
    },
    async due() {
      const now = seconds();
      const keys = (await ledger.records<KeyValue>('key')).map(({ value }) => value);
      return keys
        .filter((key) => key.state === 'retiring' && (key.retireAfter ?? Infinity) <= now)
        .map(({ kid }) => kid);
    },
    async setMode(issuer, mode, { by, reason, until }) {
      const at = seconds();
      const value: ModeValue = { mode, by, at, reason, ...(until === undefined ? {} : { until }) };
      const keys = (await this.list()).filter(({ state }) => state !== 'retired');
      const touched: string[] = [];
      for (const { kid, state, iss, stores: held } of keys) {
        const issuers = state === 'unmanaged' ? await unmanagedIssuers(kid, held, stores) : iss;
        if (issuer === '*' || issuers?.includes(issuer)) touched.push(kid);
      }
      if (issuer !== '*' && touched.length === 0) {
        throw new RevokerError('key_not_found', `No key lists the issuer ${issuer}: a mode travels in key records.`, {
          hint: `Add one with portcullis keys add --issuer ${issuer}, or set the mode for all issuers.`,
        });
      }
      const targets = await revoker.project([...touched.map((kid) => `k:${kid}`), ...(issuer === '*' ? ['m:'] : [])], {
        by,
        write: async () => {
          await putRecordOver<ModeValue>(ledger, 'mode', issuer, () => value);
          await ledger.audit({
            at,
            by,
            action: `mode ${mode}`,
            about: issuer,
            reason,
            ...(until === undefined ? {} : { detail: { until } }),
          });
        },
      });
      return { keys: touched, targets };
    },
    async modes() {
      const now = seconds();
      const all = await ledger.records<ModeValue>('mode');
      return all
        .filter(({ value }) => value.until === undefined || value.until > now)
        .map(({ id, value }) => ({ issuer: id, ...value }));
    },
    signingKey,
  };

  async function retireRecord(kid: string, who: About): Promise<void> {
    const now = seconds();
    await putRecordOver<KeyValue>(ledger, 'key', kid, (key) => ({
      // A key that was in the store before the ledger knew it leaves a trace too, and is gone.
      ...(key ?? { kid, alg: 'HS256' as const, createdAt: now }),
      state: 'retired',
      by: who.by,
      reason: who.reason,
    }));
    await about('key retired', kid, who.by, who.reason);
  }
}

function refuseToRetire(kid: string, value: KeyValue | undefined, now: number): void {
  const refuse = (why: string, hint: string): never => {
    throw new RevokerError('key_in_use', `Key ${kid} ${why}`, { hint });
  };
  if (!value)
    refuse('is not in the ledger: nobody knows which tokens it signed.', 'Add --force to remove it all the same.');
  if (value?.state === 'signing') refuse('signs new tokens.', 'Rotate first: portcullis keys rotate');
  if (value?.state === 'retiring' && (value.retireAfter ?? Infinity) > now) {
    const moment = value.retireAfter === undefined ? 'later' : new Date(value.retireAfter * 1000).toISOString();
    refuse(`may still have live tokens until ${moment}.`, 'Wait, or add --force to refuse them from now on.');
  }
}

async function unmanagedIssuers(
  kid: string,
  held: readonly string[],
  stores: readonly KeyValueStore[],
): Promise<readonly string[] | undefined> {
  const store = stores.find(({ name }) => held.includes(name));
  const text = await store?.get(`k:${kid}`);
  try {
    const { iss } = JSON.parse(text ?? '{}') as { iss?: unknown };
    return Array.isArray(iss) ? (iss as string[]) : undefined;
  } catch {
    return undefined;
  }
}

function defaultKid(now: number, random: (bytes: number) => Buffer): string {
  const date = new Date(now * 1000).toISOString().slice(0, 10).replaceAll('-', '');
  return `${date}-${random(4).toString('hex')}`;
}

/** A wait of fixed length, for edges that cannot be asked: AWS says that changes arrive "in a few seconds". */
export function settle(
  seconds: number,
  sleep: (milliseconds: number) => Promise<unknown> = pause,
): (kid: string) => Promise<void> {
  return async () => {
    await sleep(seconds * 1000);
  };
}

/**
 * Waits until a new store takes reads and writes; it is `PROVISIONING` for a while after it was created.
 * @throws RevokerError `store_not_ready` when the time is up
 */
export async function waitReady(
  store: KeyValueStore,
  options: { readonly timeoutSeconds?: number; readonly sleep?: (milliseconds: number) => Promise<unknown> } = {},
): Promise<void> {
  const sleep = options.sleep ?? pause;
  const rounds = Math.ceil((options.timeoutSeconds ?? 300) / 5);
  for (let round = 0; ; round += 1) {
    const { status } = await store.describe();
    if (status === 'READY') return;
    if (round >= rounds || status === 'FAILED') {
      throw new RevokerError('store_not_ready', `Store ${store.name} is ${status}.`, {
        hint: 'A new store takes a few minutes; look at it with: aws cloudfront describe-key-value-store',
      });
    }
    await sleep(5000);
  }
}
