import { has, isList, isText, must } from './basics.js';
import { fromBase64, isBytes, toBase64 } from './bytes.js';
import { isBlackedOut, type BlackoutRecord } from './blackout.js';
import type { CborMap, CborValue } from './cbor.js';
import { conditionalAnswer, type ConditionalAnswer } from './conditional-answer.js';
import { parseCat } from './cose.js';
import {
  evaluate,
  rejectionValue,
  type EvaluationHost,
  type EvaluationPolicy,
  type Rejection,
  type RequestFacts,
} from './evaluate.js';
import { embeddedRightly, withoutToken } from './exceptions.js';
import { parseJwt } from './jwt.js';
import * as claim from './labels.js';
import { MAX_KID_LENGTH, MAX_TOKENS, MAX_TOKEN_LENGTH } from './limits.js';
import { takeTokens, type FoundToken, type Placements } from './placement.js';
import type { Reason } from './reasons.js';
import { headerText, type EventRequest } from './request.js';
import { bucketKey, findRevocation } from './revocation.js';
import type { ParsedToken } from './token.js';
import { isBelow, normalisePath } from './uri.js';

export type Mode = 'off' | 'log' | 'enforce';

/** A key record of the store, `k:<kid>`. */
export interface KeyRecord {
  readonly alg: string;
  /** An HMAC secret in base64url; for public keys, whatever the host's `verify` takes. */
  readonly k?: string;
  /** The bytes of `k`; the gate's own, whatever a record says under this name. */
  secret?: Buffer;
  readonly iss?: readonly string[];
  readonly paths?: readonly string[];
  readonly mode?: Mode;
  /** When `mode` ends, in seconds since 1970; from then on the mode is `enforce`. */
  readonly until?: number;
}

/** What the host does for the gate. */
export interface GateHost extends EvaluationHost {
  /**
   * The value of a key in the store, undefined where there is none. Rejects with anything when that cannot be told; a host
   * that has `missing` may reject for a key that is not there, too.
   */
  readonly read: (key: string) => string | undefined | Promise<string | undefined>;
  /** Asked where `read` failed: resolves when the key is not there. Rejects, with no text, when that cannot be told. */
  readonly missing?: (key: string) => Promise<unknown>;
  /** HMAC-SHA-256 of the pieces. */
  readonly mac: (secret: Buffer, pieces: (string | Buffer)[]) => Buffer;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Checks a public-key signature; absent where the host cannot. */
  readonly verify?: (record: KeyRecord, token: ParsedToken) => boolean | Promise<boolean>;
  /** Whether `read` knows keys alone: then nothing is looked up that could be revoked. */
  readonly keysAlone?: boolean | undefined;
  /** Opens an encrypted token: what was in it; undefined where it is not encrypted. Throws a reason, or anything else for a malformed one. */
  readonly decrypt?: (text: string) => Promise<string> | undefined;
  /** The thumbprint of the key whose possession was proved for this token, see `RequestFacts`. Throws like `decrypt`. */
  readonly prove?: (attempt: Verdict) => Promise<string | undefined>;
}

/** A client that may come without a token until a day: its user agent begins with or contains a text. */
export interface AllowedClient {
  readonly prefix?: string | undefined;
  readonly contains?: string | undefined;
  /** Paths it may have; whole segments. */
  readonly paths: readonly string[];
  /** When the allowance ends, seconds since 1970. */
  readonly until: number;
}

/** Pages that may embed the player: by the token's issuer, by the content id, or for all (`'*'`). */
export interface EmbedOrigins {
  readonly issuer?: string | undefined;
  readonly content?: string | undefined;
  /** `https://www.example.com`; nothing after the host. */
  readonly origins: readonly string[];
  /** Whether a request with neither Origin nor Referer passes (native players send none). */
  readonly allowNone: boolean;
}

export interface GatePolicy extends EvaluationPolicy, Placements {
  /** The mode for requests whose key says none. */
  readonly mode: Mode;
  /** Paths that need no token; whole segments. */
  readonly publicPaths?: readonly string[] | undefined;
  /** The part of a path that names its content, as the first group; for content revocations and blackouts. */
  readonly contentId?: RegExp | undefined;
  /** Whether the record `m:` gives the mode for requests without a token: one more read for each of those. */
  readonly modeRecord?: boolean | undefined;
  /** The mode of blackouts, which hold even when tokens are off. */
  readonly blackoutMode?: Mode | undefined;
  readonly allowedClients?: readonly AllowedClient[] | undefined;
  readonly embedOrigins?: readonly EmbedOrigins[] | undefined;
  /** Who signs at the edge: the `iss` of renewed tokens and of those that `catif` makes. */
  readonly issuer?: string | undefined;
  /** The key that renewals are signed with, by kid; undefined: the one the token was signed with. */
  readonly renewalKid?: string | undefined;
  /** The path below which public-key tokens are taken, whose signature Lambda@Edge checks. No slash at the end. */
  readonly startPath?: string | undefined;
  /** The HMAC key, by kid, whose MAC tells Lambda@Edge that a start passed here. */
  readonly startKid?: string | undefined;
  /** Takes tokens at the start whose kid the store does not know, for keys that only Lambda@Edge has. */
  readonly startUnknown?: boolean | undefined;
}

/** What the gate decided, with the facts that it decided on. */
export interface Verdict extends RequestFacts {
  /** `''`: admitted. */
  reason: Reason | '';
  mode: Mode;
  /** The token decided on: the one admitted, else the first. */
  token?: ParsedToken | undefined;
  found?: FoundToken | undefined;
  record?: KeyRecord | undefined;
  /** The claims of a token whose signature held. */
  genuine?: CborMap;
  /** The claims that did not hold; only where the token was genuine and well-formed. */
  rejections: readonly Rejection[];
  /** The index of the client allowance that let the request pass. */
  allowance?: number;
  /** The path that a blacked-out playlist request is answered from. */
  slate?: string | undefined;
  /** What the token's `catif` answers, when it applies. */
  answer?: ConditionalAnswer | undefined;
}

/**
 * Whether two MACs are equal; how long that takes depends on neither. Six bytes at a time, the most that a number holds
 * exactly, and some of them twice.
 */
const sameMac = (a: Buffer, b: Buffer): boolean => {
  let difference = a.length !== 32;
  for (let i = 32; i && a.length === 32;) {
    i = i > 6 ? i - 6 : 0;
    difference = a.readUIntBE(i, 6) !== b.readUIntBE(i, 6) || difference;
  }
  return !difference;
};

/** Takes the text of a token (see `tokenText`) of bounded length apart. Throws when it is none. */
export const parseToken = (text: string): ParsedToken => {
  if (FEATURES.jwt && (!FEATURES.cat || text[0] === 'e')) return parseJwt(text);
  const input = fromBase64(text);
  // Anything but base64url, as the dots of a JWT, is left out or ends the bytes: either way there are too few.
  if (!FEATURES.cat || text.length % 4 === 1 || input.length !== (text.length * 3) >> 2) throw 0;
  return parseCat(input);
};

/**
 * A token taken apart; undefined where it is none, which the attempt then says. Nothing is thrown to an async function that
 * has yet to wait: njs lets later turns of its loops lose their variables to the first one's after that.
 */
const takeApart = (attempt: Verdict, text: string | undefined): ParsedToken | undefined => {
  try {
    const token = parseToken(text as string);
    must((!FEATURES.rare || isText(token.kid)) && token.kid.length <= MAX_KID_LENGTH);
    return token;
  } catch (_) {
    if (!FEATURES.encrypted || text !== undefined) attempt.reason = 'malformed_token';
  }
  return undefined;
};

const notOpened = (attempt: Verdict, thrown: unknown): undefined => {
  attempt.reason = isText(thrown) ? (thrown as Reason) : 'malformed_token';
};

async function opened(attempt: Verdict, opening: Promise<string>): Promise<string | undefined> {
  try {
    const text = await opening;
    attempt.encrypted = true;
    return text;
  } catch (thrown) {
    return notOpened(attempt, thrown);
  }
}

/**
 * What was in a token that may be encrypted; undefined where it cannot be opened, which the attempt then says. Most are not
 * encrypted, and wait for nothing.
 */
const openEncrypted = (
  attempt: Verdict,
  decrypt: GateHost['decrypt'] & object,
): string | undefined | Promise<string | undefined> => {
  const text = (attempt.found as FoundToken).text;
  try {
    const opening = decrypt(text);
    return opening ? opened(attempt, opening) : text;
  } catch (thrown) {
    return notOpened(attempt, thrown);
  }
};

/** An id as revocations and logs have it: a JWT's text as it stands, a CAT's bytes in base64url; undefined if there is none. */
export const idText = (value: CborValue | undefined): string | undefined =>
  FEATURES.cat && isBytes(value) ? toBase64(value) : (value as string | undefined);

// The record read last; elsewhere than at the edge one key serves many requests in one place.
let knownJson: string | undefined;
let knownRecord: KeyRecord;

/** A key record. Throws when it is not one, or its secret can be guessed: our own fault, not the viewer's. */
export const parseKeyRecord = (json: string): KeyRecord => {
  if (FEATURES.anyEngine && json === knownJson) return knownRecord;
  const record = JSON.parse(json) as KeyRecord;
  record.secret = fromBase64(record.k || '');
  must(
    record.alg &&
      // What is not base64url reads as few bytes or none, which anyone could sign with.
      (((FEATURES.publicKey || FEATURES.startPath) && record.alg !== 'HS256') || record.secret.length > 15) &&
      // A build that cannot hold a key to its issuers and paths must not take one that is bound to some.
      (FEATURES.keyScope
        ? (!record.iss || isList(record.iss)) && (!record.paths || isList(record.paths))
        : !record.iss && !record.paths),
  );
  if (FEATURES.anyEngine) {
    knownJson = json;
    knownRecord = record;
  }
  return record;
};

/** Reads a key; undefined where there is none. Throws when that cannot be told. */
export async function lookUp(host: GateHost, key: string): Promise<string | undefined> {
  try {
    return await host.read(key);
  } catch (_) {
    if (FEATURES.anyEngine && !host.missing) throw 0;
    await (host.missing as (key: string) => Promise<unknown>)(key);
  }
  return undefined;
}

/** The mode that a record asks for, if it does; `enforce` once that has run out, or where it is none we know. */
export const recordedMode = (record: { mode?: Mode; until?: number }, now: number, policy: GatePolicy): Mode =>
  (record.mode === 'log' || record.mode === 'off') && (record.until === undefined || now < record.until)
    ? record.mode
    : record.mode
      ? 'enforce'
      : policy.mode;

// What is collected of one token: synchronous from end to end.
let ids: string[];

const add = (scope: string, id: CborValue): void => {
  if (id) ids.push(scope + ':' + idText(id));
};

/** Everything about a token that may be revoked, as it is hashed: scope and id (`docs/kvs-layout.md`). */
const revocable = (token: ParsedToken, content: string | undefined): string[] => {
  const claims = token.claims;
  ids = [];
  if (FEATURES.revokeToken) add('t', claims[claim.CTI]);
  if (FEATURES.revokeSession) add('s', claims[claim.SESSION]);
  const subject = claims[claim.SUB];
  if (FEATURES.revokeSubject) add('u', subject);
  if (FEATURES.revokeSubjectContent && content && subject) add('x', subject + '\n' + content);
  if (FEATURES.revokeContent) add('c', content);
  const catpor = claims[claim.CATPOR] as CborValue[] | undefined;
  // The ids that `catpor` rejects.
  if (FEATURES.catpor && catpor) add('p', rejectionValue(catpor[1], claims, token.isJwt));
  return ids;
};

/**
 * The entries of a bucket with those of the next key it goes on in. That repeats the last entry of the one before, so that
 * what moved over the border between two reads cannot be missed. Anything but a list of entries is a fault, and throws:
 * 503, not "nobody is revoked".
 */
const withBucket = (entries: string, bucket: string | undefined): string => {
  const list = bucket ? bucket.replace(/^\+/, '') : entries;
  must((bucket || !entries[1]) && list.startsWith(entries.slice(entries.lastIndexOf(','))));
  return entries + list;
};

/** The same for builds that know of no next key. */
const oneBucket = (bucket: string | undefined): string => {
  must(!bucket || bucket[0] === ',');
  return bucket || '';
};

/** Whether evaluation or an answer asks the host for something. */
const NEEDS_HOST = FEATURES.catuHash || FEATURES.catpor || FEATURES.mint || FEATURES.modeRecord || FEATURES.anyEngine;

/**
 * A verdict before anything is known. No closure of `decide`: njs loses what one shares with an async function that assigns
 * it later.
 */
const undecided = (
  request: EventRequest,
  path: string,
  now: number,
  address: string,
  host: GateHost,
  policy: GatePolicy,
): Verdict => {
  // A member costs njs as much as a comparison of texts: only what the build reads.
  const verdict = (
    FEATURES.catnip
      ? { http: request, cleanPath: path, now: now, reason: 'missing_token', mode: policy.mode, address: address }
      : { http: request, cleanPath: path, now: now, reason: 'missing_token', mode: policy.mode }
  ) as Verdict;
  if (NEEDS_HOST) verdict.host = host;
  if (FEATURES.catif || FEATURES.anyEngine) verdict.rejections = [];
  if (FEATURES.onUnknown) verdict.unknown = [];
  return verdict;
};

/**
 * Decides on a request: takes its tokens out, reads its path, and looks for one token that admits it.
 * The request is changed: what is left is what may be forwarded. Nothing escapes: whatever is thrown becomes a refusal.
 *
 * @param request The request in CloudFront's event form.
 * @param address The viewer's address.
 * @param given A token that was found before and stands in the request no more.
 * @param start Whether public-key tokens pass without their signature being checked, which the verdict then says
 *   (`deferred`): nothing may be served for them but by Lambda@Edge, which checks it. A token whose MAC holds goes first.
 */
export async function decide(
  request: EventRequest,
  address: string,
  host: GateHost,
  policy: GatePolicy,
  given?: FoundToken,
  start?: boolean,
): Promise<Verdict> {
  const original = request.uri;
  const now = host.now();
  // The reason that a bare `must` stands for, here and there.
  let stage: Reason = 'ambiguous_path';
  let verdict = undecided(request, '', now, address, host, policy);
  try {
    const taken = takeTokens(request, policy);
    const found = FEATURES.catr && given ? [given] : taken;
    const path = (verdict.cleanPath = normalisePath(request.uri));
    if (FEATURES.publicPaths && policy.publicPaths && isBelow(path, policy.publicPaths)) {
      verdict.mode = 'off';
      throw '';
    }
    const match = FEATURES.contentId && policy.contentId && policy.contentId.exec(path);
    const content = match ? match[1] : undefined;
    let length = 0;
    let answer: ConditionalAnswer | undefined;
    for (let i = 0; i < found.length && (!FEATURES.manyTokens || i <= MAX_TOKENS); i++) {
      const attempt = i ? undecided(request, path, now, address, host, policy) : verdict;
      attempt.found = found[i] as FoundToken;
      let text: string | undefined = attempt.found.text;
      // Of a single token this is its own length.
      if (FEATURES.manyTokens) length += text.length;
      if ((FEATURES.manyTokens && i === MAX_TOKENS) || (FEATURES.manyTokens ? length : text.length) > MAX_TOKEN_LENGTH)
        text = '';
      if (FEATURES.encrypted && host.decrypt && text) {
        const within = openEncrypted(attempt, host.decrypt);
        text = isText(within) ? within : await within;
      }
      const token = (attempt.token = takeApart(attempt, text));
      if (!token) continue;
      try {
        const claims = token.claims;
        stage = 'store_error';
        let key = 'k:' + token.kid;
        let json: string | undefined;
        try {
          if (FEATURES.anyEngine) {
            // Where keys are at hand nothing is waited for.
            const reading = host.read(key);
            json = isText(reading) ? reading : await reading;
          } else json = await host.read(key);
        } catch (_) {
          if (FEATURES.anyEngine && !host.missing) throw 0;
          await (host.missing as (key: string) => Promise<unknown>)(key);
        }
        if (json === undefined && !(FEATURES.startPath && start && policy.startUnknown)) throw 'unknown_key';
        const record = (attempt.record = parseKeyRecord(
          FEATURES.startPath && json === undefined ? '{"alg":"-"}' : (json as string),
        ));
        const below = !FEATURES.keyScope || !record.paths || isBelow(path, record.paths);
        // A record's mode holds on its own paths only: a key in `log` must not open another tenant's content.
        if (FEATURES.modes && below) attempt.mode = recordedMode(record, now, policy);
        if (!FEATURES.modes || attempt.mode !== 'off') {
          // A COSE_Sign1 may name no algorithm; then the key's is meant, which is no secret.
          if (FEATURES.startPath && start && record.alg !== 'HS256') attempt.deferred = true;
          else if (
            token.algorithm !== record.alg &&
            (!FEATURES.publicKey || token.algorithm || token.isJwt || record.alg === 'HS256')
          )
            throw 'unsupported_algorithm';
          else if (FEATURES.publicKey && record.alg !== 'HS256') {
            if (!host.verify) throw 'unsupported_algorithm';
            const genuine = host.verify(record, token);
            if (genuine !== true && !(await genuine)) throw 'bad_signature';
          } else {
            if (record.alg !== 'HS256') throw 'unsupported_algorithm';
            if (!sameMac(token.signature, host.mac(record.secret as Buffer, token.signed))) throw 'bad_signature';
          }
          if (FEATURES.tlsKeyLookup && claims[claim.CATTPK])
            // CloudFront gives functions the certificate's hash, not its key: the store knows the keys of known certificates.
            attempt.tlsKey = await lookUp(host, 'x:' + headerText(request, 'cloudfront-viewer-cert-sha256'));
          if (!FEATURES.startPath || !attempt.deferred) attempt.genuine = claims;
          stage = 'invalid_claim';
          if (FEATURES.proof && host.prove && claims[claim.CNF]) attempt.proofKey = await host.prove(attempt);
          const rejections = evaluate(token, attempt, policy);
          if (FEATURES.keyScope) {
            if (record.iss && !has(record.iss, claims[claim.ISS]))
              rejections.push({ label: claim.ISS, reason: 'issuer_mismatch' });
            if (!below) rejections.push({ label: claim.ISS, reason: 'not_entitled' });
          }
          // What an unchecked token says of its refusal (`catif`) nobody may act on.
          if ((FEATURES.catif || FEATURES.anyEngine) && (!FEATURES.startPath || !attempt.deferred))
            attempt.rejections = rejections;
          stage = 'store_error';
          const ids = FEATURES.publicKey && host.keysAlone ? [] : revocable(token, content);
          for (let j = 0; j < ids.length; j++) {
            const id = ids[j] as string;
            const digest = host.digest(id);
            let entries = FEATURES.overflow ? ',' : '';
            let bucket: string | undefined;
            key = bucketKey(digest);
            do {
              bucket = undefined;
              try {
                bucket = await host.read(key);
              } catch (_) {
                if (FEATURES.anyEngine && !host.missing) throw 0;
                await (host.missing as (key: string) => Promise<unknown>)(key);
              }
              if (FEATURES.overflow) entries = withBucket(entries, bucket);
              if (FEATURES.overflow) key += '+';
            } while (FEATURES.overflow && bucket && bucket[0] === '+');
            const revoked = findRevocation(FEATURES.overflow ? entries : oneBucket(bucket), digest, claims[claim.IAT]);
            if (revoked) throw FEATURES.catpor && id[0] === 'p' ? 'probabilistic_refusal' : revoked;
          }
          if (rejections[0]) throw rejections[0].reason;
        }
        verdict = attempt;
        verdict.reason = '';
        if (!FEATURES.startPath || !attempt.deferred) break;
      } catch (thrown) {
        attempt.reason = isText(thrown) ? (thrown as Reason) : stage;
        if (FEATURES.catif) stage = 'store_error';
        if (FEATURES.catif && attempt.rejections[0] && !answer)
          answer = await conditionalAnswer(attempt, original, policy);
      }
    }
    if (FEATURES.catif) verdict.answer = answer;
    if (FEATURES.blackout || FEATURES.modeRecord) stage = 'store_error';
    if ((FEATURES.allowClients || FEATURES.modeRecord) && !found[0]) await withoutToken(verdict, policy);
    if (
      FEATURES.embedOrigins &&
      !verdict.reason &&
      policy.embedOrigins &&
      !embeddedRightly(verdict, content, policy.embedOrigins)
    )
      verdict.reason = 'origin_mismatch';
    // Blackouts hold whatever lets a request through: tokens in `log` or `off`, or an old client's allowance.
    if (
      FEATURES.blackout &&
      content &&
      policy.blackoutMode !== 'off' &&
      (!verdict.reason || verdict.mode !== 'enforce')
    ) {
      const json = await lookUp(host, 'b:' + content);
      const record = json === undefined ? undefined : (JSON.parse(json) as BlackoutRecord);
      if (record && isBlackedOut(record, request, now)) {
        verdict.reason = 'blackout';
        verdict.mode = policy.blackoutMode || 'enforce';
        if (/\.(m3u8|mpd)$/.test(verdict.cleanPath)) verdict.slate = record.slate;
      }
    }
  } catch (thrown) {
    verdict.reason = isText(thrown) ? (thrown as Reason) : stage;
    // An admitting verdict's own mode must not let a later fault pass.
    if ((FEATURES.blackout || FEATURES.modeRecord) && verdict.reason) verdict.mode = policy.mode;
  }
  return verdict;
}
