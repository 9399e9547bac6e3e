import { createHash, createHmac } from 'node:crypto';
import type { ConditionalAnswer } from '@portcullis/tokens/core/conditional-answer';
import { decide, type GatePolicy, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import type { FoundToken } from '@portcullis/tokens/core/placement';
import type { Reason } from '@portcullis/tokens/core/reasons';
import type { EventRequest, EventValue } from '@portcullis/tokens/core/request';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { describeToken, type DecodedToken } from '@portcullis/tokens/decode';
import { ANSWER_BYTES, answerBytes, refusalAnswer, type AnswerSettings } from './answer.js';
import { isEncrypted, openToken } from './decryption.js';
import { toEventRequest, toLambdaRequest, type LambdaRequest, type LambdaResponse } from './event.js';
import { createKeyRing, type KeySource, type KeyPorts } from './keys.js';
import {
  createProver,
  type ProofContext,
  type Prover,
  type ProofResult,
  type ProofSettings,
  type ReplayStore,
} from './proof.js';
import { isGenuine, type EdgeKey } from './signature.js';
import { misspelling } from './spelling.js';

/** What a validator is made with: plain values, which the build bakes into the handler. */
export interface ValidatorConfig {
  /** Where the handler runs. On viewer-request, headers of CloudFront's are not believed, since a viewer can type them. */
  readonly eventType: 'viewer-request' | 'origin-request';
  /** The evaluator's policy, the same as the viewer functions'. */
  readonly policy: GatePolicy;
  readonly settings: AnswerSettings;
  /** Where keys come from, looked through in this order. */
  readonly keys: readonly KeySource[];
  /**
   * The hosts that viewers ask for (`cdn.example`; `http://localhost:8080` to try things out), for the `htu` of proofs and the `host` of `catu`: on origin-request
   * the `Host` header is mostly the origin's. Absent: the distribution's own domain, and the `Host` header.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Proof of possession (RFC 9449). Absent: tokens that demand one are refused. */
  readonly proof?: ProofSettings | undefined;
}

/** What a validator does outside itself; each has a default for production. */
export interface ValidatorPorts extends KeyPorts {
  /**
   * The value of a record (`k:<kid>`, `r<n>`, `b:<content id>`, see `docs/kvs-layout.md`) where a store can be read
   * from here; undefined where there is none. Throws when that cannot be told. Default: there are no records.
   */
  readonly read?: ((key: string) => Promise<string | undefined>) | undefined;
  /** Where the ids of proofs are kept for their window. Default: this environment's memory. */
  readonly replay?: ReplayStore | undefined;
  /** 0 ≤ n < 1. */
  readonly random?: (() => number) | undefined;
}

/** What is known about a request besides itself. */
export interface ValidationContext {
  readonly requestId: string;
  readonly distributionDomainName?: string | undefined;
  /** A token that stands in the request no more: viewer-request moved it into a header that was checked. */
  readonly given?: FoundToken | undefined;
  /** The scheme of `Authorization` that the given token came with; with `dpop`, its proofs must name it. */
  readonly scheme?: 'bearer' | 'dpop' | undefined;
  /** The host that the viewer asked, where it is known from viewer-request. */
  readonly host?: string | undefined;
  /** The path as the viewer sent it, with its token, where it is known from viewer-request. */
  readonly originalUri?: string | undefined;
}

/** The core's verdict, and what only Lambda@Edge knows. */
export interface EdgeVerdict extends Verdict {
  readonly requestId: string;
  /** The key that the token's signature held with. */
  readonly key?: EdgeKey | undefined;
  /** What came of the proof of possession; absent where no genuine token asked for one. */
  readonly proof?: ProofResult | undefined;
  /** The request as Lambda@Edge handed it over. */
  readonly original: LambdaRequest;
  readonly config: ValidatorConfig;
}

/** Decides on one request. Never rejects: whatever goes wrong becomes a refusal with `store_error` or `internal_error`. */
export type Validator = (request: LambdaRequest, context: ValidationContext) => Promise<EdgeVerdict>;

/**
 * Makes a validator, once per execution environment: keys are fetched and prepared once, and kept.
 *
 * @example
 * const validate = createValidator(config);
 * const verdict = await validate(event.Records[0].cf.request, event.Records[0].cf.config);
 * return answerOf(verdict) ?? requestOf(verdict);
 */
export function createValidator(config: ValidatorConfig, ports: ValidatorPorts = {}): Validator {
  const milliseconds = ports.now ?? Date.now;
  const now = (): number => milliseconds() / 1000;
  const keyRing = createKeyRing(config.keys, ports);
  const createProof = config.proof && createProver(config.proof, { now, replay: ports.replay });
  const random = ports.random ?? Math.random;
  const keysAlone = ports.read === undefined;
  // On viewer-request a missing header is the rule, and must never count as a claim that holds.
  const policy: GatePolicy =
    config.eventType === 'viewer-request' ? { ...config.policy, allowUnknown: undefined } : config.policy;

  return async (request, context) => {
    const event = toEventRequest(request, { eventType: config.eventType, host: hostOf(config, context) });
    const { authorization, dpop } = event.headers;
    if (dpop && createProof) delete event.headers['dpop'];
    // By kid: one request may bring several tokens, and `catif` asks for a key, too.
    const keys = new Map<string, EdgeKey>();
    let prove: ReturnType<Prover> | undefined;
    let proof: ProofResult | undefined;
    const verdict = await decide(
      event,
      request.clientIp,
      {
        mac,
        digest,
        now,
        random,
        keysAlone,
        read: (name) => {
          if (!name.startsWith('k:')) return ports.read?.(name);
          const noted = (key: EdgeKey | undefined): string | undefined | Promise<string | undefined> => {
            if (!key) return ports.read?.(name);
            keys.set(key.kid, key);
            return key.record;
          };
          const key = keyRing.find(name.slice(2), 'verify');
          return key instanceof Promise ? key.then(noted) : noted(key);
        },
        verify: (_: KeyRecord, token: ParsedToken) => {
          // A record of the store may be for public keys; the key itself is with a source or nowhere.
          const key = keys.get(token.kid);
          if (!key) throw 'unsupported_algorithm' satisfies Reason;
          return isGenuine(key, token);
        },
        decrypt: (text) => {
          const wrong = misspelling(text);
          if (wrong) throw wrong;
          return isEncrypted(text) ? openToken(text, (kid) => keyRing.find(kid, 'decrypt')) : undefined;
        },
        prove: async (attempt) => {
          prove ??= createProof?.(proofContext(event, { authorization, dpop }, request, config, context));
          proof = prove ? await prove(attempt) : { problem: 'unsupported', algorithms: [] };
          return 'thumbprint' in proof ? proof.thumbprint : undefined;
        },
      },
      policy,
      context.given,
    );
    // One by one: where every microsecond is counted, merging objects takes three of them.
    const known = verdict as { -readonly [name in keyof EdgeVerdict]: EdgeVerdict[name] };
    known.requestId = context.requestId;
    known.original = request;
    known.config = config;
    known.key = verdict.genuine && verdict.token && keys.get(verdict.token.kid);
    known.proof = proof;
    return known;
  };
}

function mac(secret: Buffer, pieces: (string | Buffer)[]): Buffer {
  const hmac = createHmac('sha256', secret);
  for (const piece of pieces) hmac.update(piece);
  return hmac.digest();
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The host to hold claims against, where it is certain; its scheme, if one is written, left out. */
function hostOf({ hosts }: ValidatorConfig, { host }: ValidationContext): string | undefined {
  return host ?? (hosts?.length === 1 ? hosts[0]?.replace(/^https?:\/\//, '') : undefined);
}

/** What a proof is held against. */
function proofContext(
  event: EventRequest,
  taken: { readonly authorization: EventValue | undefined; readonly dpop: EventValue | undefined },
  request: LambdaRequest,
  config: ValidatorConfig,
  context: ValidationContext,
): ProofContext {
  const scheme = event.headers['cloudfront-forwarded-proto']?.value === 'http' ? 'http' : 'https';
  const hosts = context.host === undefined ? (config.hosts ?? ownHosts(event, config, context)) : [context.host];
  return {
    proofs: taken.dpop,
    method: request.method,
    origins: hosts.map((host) => (host.includes('://') ? host : `${scheme}://${host}`)),
    paths: [event.uri, context.originalUri ?? request.uri],
    namesToken: context.scheme === 'dpop',
    scheme: context.scheme ?? schemeOf(taken.authorization?.value),
  };
}

/** The hosts of a distribution that are known without configuration. */
function ownHosts({ headers }: EventRequest, config: ValidatorConfig, context: ValidationContext): string[] {
  const own = context.distributionDomainName;
  // On viewer-request `Host` is one of the distribution's names, since CloudFront answers no other.
  const asked = config.eventType === 'viewer-request' ? headers['host']?.value : undefined;
  return [own, asked].filter((name) => name !== undefined);
}

function schemeOf(authorization: string | undefined): 'bearer' | 'dpop' | undefined {
  const scheme = /^(bearer|dpop) /i.exec(authorization ?? '')?.[1]?.toLowerCase();
  return scheme as 'bearer' | 'dpop' | undefined;
}

/** Whether a verdict lets the request go on: it admits it, or its mode does not enforce. */
export function isAdmitted(verdict: EdgeVerdict): boolean {
  return !verdict.reason || verdict.mode !== 'enforce';
}

/**
 * The answer to a refused request: status, headers and body as the viewer function gives them. Undefined where the
 * request goes on: see {@link requestOf}.
 */
export function answerOf(verdict: EdgeVerdict): LambdaResponse | undefined {
  if (isAdmitted(verdict) || verdict.slate) return undefined;
  const { proof, config } = verdict;
  const refused = (conditional?: ConditionalAnswer): LambdaResponse =>
    refusalAnswer(verdict.reason as Reason, verdict.http, verdict.requestId, config.settings, conditional);
  const wished = refused(verdict.answer);
  // What a token wants answered can be longer than it is itself, for the tokens that are to be made in it: CloudFront would
  // answer 502.
  const answer = verdict.answer && answerBytes(wished) > ANSWER_BYTES[config.eventType] ? refused() : wished;
  if (verdict.reason === 'proof_required' && proof && proof.algorithms.length > 0) {
    // A second challenge, which says what proofs are taken (RFC 9449 7.1).
    answer.headers?.['www-authenticate']?.push({
      key: 'www-authenticate',
      value: `DPoP algs="${proof.algorithms.join(' ')}"`,
    });
  }
  return answer;
}

/** The request to go on with, without its tokens. */
export function requestOf(verdict: EdgeVerdict): LambdaRequest {
  const { http, original, config } = verdict;
  const request = toLambdaRequest(http, original, config.policy, config.eventType);
  return verdict.slate && !isAdmitted(verdict) ? { ...request, uri: verdict.slate } : request;
}

/** What the token of a verdict says, its claims by their JWT names; undefined where none was genuine. */
export function tokenOf(verdict: EdgeVerdict): DecodedToken | undefined {
  const { token, genuine } = verdict;
  if (!token || !genuine) return undefined;
  const { isJwt, algorithm, kid, claims, signed, signature } = token;
  return describeToken({ jwt: isJwt, algorithm, kid, claims, signed, signature });
}
