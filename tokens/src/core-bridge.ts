/**
 * The one place where the SDK touches the edge-safe core: what is inside the core is named for the smallest compiled
 * function, and stays there.
 */
import type { CborMap } from './core/cbor.js';
import { evaluate, type EvaluationPolicy } from './core/evaluate.js';
import { decide, parseToken, type GateHost, type GatePolicy } from './core/gate.js';
import { tokenText, type Placements } from './core/placement.js';
import type { Reason } from './core/reasons.js';
import type { EventRequest } from './core/request.js';
import type { ParsedToken as CoreToken } from './core/token.js';
import { isBelow, normalisePath } from './core/uri.js';

/** A token taken apart, nothing about it checked but its form. */
export interface ParsedToken {
  readonly jwt: boolean;
  /** Undefined where a COSE_Sign1 names none. */
  readonly algorithm: string | undefined;
  /** Printable ASCII as it stands, other bytes in base64url, `''` for none. */
  readonly kid: string;
  /** Claims by claim key; unknown texts of a CAT with a `$` before them. */
  readonly claims: CborMap;
  /** What the MAC or signature is over, in pieces to be joined. */
  readonly signed: readonly (string | Uint8Array)[];
  readonly signature: Uint8Array;
}

/** Takes a token apart. Throws a bare reason, or anything else for a token that is malformed. */
export function parseWithCore(text: string): ParsedToken {
  return fromCore(parseToken(tokenText(text)));
}

function fromCore(token: CoreToken): ParsedToken {
  const { isJwt, algorithm, kid, claims, signed, signature } = token;
  return { jwt: isJwt, algorithm, kid, claims, signed, signature };
}

/** What one request shows. */
export interface Facts {
  readonly event: EventRequest;
  /** What {@link readablePath} makes of the event's path, where that is known already. */
  readonly path?: string;
  readonly address: string;
  /** Seconds since 1970. */
  readonly now: number;
}

/** A claim that refuses, by its claim key. */
export interface Rejection {
  readonly label: number;
  readonly reason: Reason;
}

export { isBelow };
export type { EvaluationPolicy, EventRequest, GateHost, GatePolicy, Placements };

/** The normal form of a path; undefined where it can be read in more than one way. */
export function readablePath(path: string): string | undefined {
  try {
    return normalisePath(path);
  } catch {
    return undefined;
  }
}

/** Whether a path can be read in one way only. */
export function isReadablePath(path: string): boolean {
  return readablePath(path) !== undefined;
}

/** Holds claims against a request. Throws a bare reason, or anything else for a malformed claim. */
export function evaluateWithCore(
  claims: CborMap,
  jwt: boolean,
  facts: Facts,
  policy: EvaluationPolicy,
  digest: (text: string) => Uint8Array,
): readonly Rejection[] {
  return evaluate(
    { claims, isJwt: jwt },
    {
      http: facts.event,
      cleanPath: facts.path ?? normalisePath(facts.event.uri),
      now: facts.now,
      address: facts.address,
      host: { digest: digest as (text: string) => Buffer, random: Math.random },
      unknown: [],
    },
    policy,
  );
}

export interface CoreVerdict {
  readonly reason: Reason | undefined;
  readonly token: ParsedToken | undefined;
  readonly rejections: readonly Rejection[];
  /** Normalised, without its token. */
  readonly path: string;
}

/** Decides on a whole request, which is changed: its tokens are taken out. */
export async function decideWithCore(
  event: EventRequest,
  address: string,
  host: GateHost,
  policy: GatePolicy,
): Promise<CoreVerdict> {
  const verdict = await decide(event, address, host, policy);
  return {
    reason: verdict.reason === '' ? undefined : verdict.reason,
    token: verdict.token ? fromCore(verdict.token) : undefined,
    rejections: verdict.rejections,
    path: verdict.cleanPath,
  };
}
