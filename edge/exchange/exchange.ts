import { randomBytes } from 'node:crypto';
import { placeToken, withQueryParameter, type Placement } from '@portcullis/tokens/placement';
import { tokenCookie } from '@portcullis/tokens/cookies';
import { isBelow, normalisePath } from '@portcullis/tokens/core/uri';
import type { KeyRecord } from '@portcullis/tokens/core/gate';
import { URI } from '@portcullis/tokens/core/placement';
import type { Reason } from '@portcullis/tokens/core/reasons';
import { headerText, type EventRequest } from '@portcullis/tokens/core/request';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { describeToken } from '@portcullis/tokens/decode';
import { PolicyError } from '@portcullis/tokens/errors';
import { ownAnswer, refusalAnswer } from '../answer.js';
import { toEventRequest, type LambdaEvent, type LambdaRequest, type LambdaResponse } from '../event.js';
import { replayId, type OneTimeStore } from '../replay/index.js';
import {
  answerOf,
  createValidator,
  type EdgeVerdict,
  type ValidatorConfig,
  type ValidatorPorts,
} from '../validator.js';
import { isMarker, makeMarker, MARKER, takeMarker } from './marker.js';
import { narrow, NotExchangeable, type Changes } from './narrow.js';
import type { DeliverySettings, ExchangePolicy } from './policy.js';
import { openSeal, type Start } from './seal.js';
import { writeToken } from './write-token.js';

/** What a start handler is made with: plain values, which the build bakes in. */
export interface StartConfig {
  /** Checks the public-key tokens. Its policy is the viewer function's, without what that has decided already. */
  readonly validator: ValidatorConfig;
  /** The path below which playback starts; no slash at the end. */
  readonly path: string;
  /** The HMAC key that seals starts and signs sessions, and older ones that may still seal. */
  readonly kids: readonly [current: string, ...older: string[]];
  readonly policy: ExchangePolicy;
  readonly delivery: DeliverySettings;
}

/** What a start handler does outside itself. */
export interface StartPorts {
  readonly validator?: ValidatorPorts | undefined;
  /** The secret of an HMAC key. Throws when it cannot be had. */
  readonly secretOf: (kid: string) => Promise<Buffer>;
  /** Absent: one-time tokens are refused. */
  readonly oneTime?: OneTimeStore | undefined;
  readonly randomBytes?: ((count: number) => Buffer) | undefined;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  /** Takes one line for each start; default: `console.log`, which Lambda sends to CloudWatch. */
  readonly log?: ((line: string) => void) | undefined;
}

/** The log line of a start (`docs/lambda-edge.md`); it never holds a token. */
interface StartRecord {
  readonly id: string;
  /** What came of it. */
  readonly start: 'exchanged' | 'passed' | 'refused';
  readonly r?: string;
  readonly k?: string;
  readonly s?: string;
  readonly t?: string;
}

/** A start under way. */
interface Attempt {
  readonly request: LambdaRequest;
  readonly event: EventRequest;
  readonly id: string;
  readonly domain: string;
  /** Path as sent, without start path and token. */
  readonly path: string;
  /** The query without marker. */
  readonly query: string;
  readonly marker: string | undefined;
  readonly start: Start;
}

/**
 * Makes the origin-request handler of the start path: it answers every request there, with a redirect to the content
 * under a session token, or a refusal. Nothing on this path is ever fetched from an origin.
 *
 * The viewer-request function stands before it and has checked everything but public-key signatures, proofs, and whether
 * a one-time token was used; a request that it did not seal is answered 503.
 *
 * @example
 * const handler = createStartHandler(config, { secretOf });
 * export { handler };
 */
export function createStartHandler(
  config: StartConfig,
  ports: StartPorts,
): (event: LambdaEvent) => Promise<LambdaResponse> {
  const { policy, delivery, kids } = config;
  const { settings } = config.validator;
  const now = (): number => (ports.now ?? Date.now)() / 1000;
  const random = ports.randomBytes ?? randomBytes;
  const log = ports.log ?? ((line: string) => console.log(line));
  const validate = createValidator(config.validator, { ...(ports.now ? { now: ports.now } : {}), ...ports.validator });
  const record = (line: StartRecord): void => log(JSON.stringify(line));

  function refuse(reason: Reason, { event, id }: Pick<Attempt, 'event' | 'id'>, more: Partial<StartRecord> = {}) {
    record({ id, start: 'refused', r: reason, ...more });
    return refusalAnswer(reason, event, id, settings);
  }

  function redirect({ event }: Attempt, location: string, cookie?: string): LambdaResponse {
    const answer = ownAnswer(delivery.status, { location }, event, settings);
    if (cookie === undefined) return answer;
    return { ...answer, headers: { ...answer.headers, 'set-cookie': [{ key: 'Set-Cookie', value: cookie }] } };
  }

  /** The content's own URL with a token in its path. */
  const inPath = ({ path, query }: Attempt, token: string): string =>
    placeToken(withQuery(path, query), token, placementFor(delivery, path)).url;

  async function answerStart(attempt: Attempt): Promise<LambdaResponse> {
    const { start, request, event, id, path, query, marker } = attempt;
    if (!/^(GET|HEAD)$/.test(request.method)) return refuse('method_mismatch', attempt);
    if (start.kind === 'none' || start.kind === 'mac') {
      record({ id, start: 'passed' });
      // A token that came back as a cookie goes along by itself; one that came otherwise goes into the path.
      const alone = start.kind === 'none' || (delivery.by === 'cookie' && marker !== undefined);
      return redirect(attempt, alone ? withQuery(path, query) : inPath(attempt, start.token));
    }
    const verdict = await validate(
      { ...request, uri: path, querystring: query },
      {
        requestId: id,
        distributionDomainName: attempt.domain,
        given: { text: start.token, place: URI, name: '' },
        originalUri: request.uri,
        // How the token came is not told here. Where it may come as Authorization, proofs must name it (RFC 9449 7.1).
        scheme: config.validator.policy.authorization ? 'dpop' : undefined,
      },
    );
    if (verdict.reason) {
      record({ id, start: 'refused', r: verdict.reason, ...(verdict.token ? { k: verdict.token.kid } : {}) });
      if (start.mode !== 'enforce') return redirect(attempt, withQuery(path, query));
      return answerOf(verdict) ?? refusalAnswer(verdict.reason, event, id, settings);
    }
    return exchange(attempt, verdict);
  }

  async function exchange(attempt: Attempt, verdict: EdgeVerdict): Promise<LambdaResponse> {
    const { start, id, path, query, marker } = attempt;
    const token = verdict.token as ParsedToken;
    const said = { k: token.kid };
    const readable = readableOf(token);
    let changes: Changes;
    try {
      changes = narrow(
        readable,
        {
          now: verdict.now,
          path: verdict.cleanPath,
          address: verdict.address,
          country: headerText(verdict.http, 'cloudfront-viewer-country'),
          region: headerText(verdict.http, 'cloudfront-viewer-country-region'),
          asn: headerText(verdict.http, 'cloudfront-viewer-asn'),
          entitled: [start.entitled, ...entitledBy(verdict)],
          newSession: random(16).toString('base64url'),
        },
        policy,
      );
    } catch (error) {
      if (error instanceof NotExchangeable) return refuse(error.reason, attempt, said);
      throw error;
    }
    const secret = await ports.secretOf(kids[0]);
    let fresh: string;
    try {
      fresh = await writeToken(token, readable, changes, policy.format, { kid: kids[0], secret });
    } catch (error) {
      // Too long with what was added, or nothing that the other format can say: no fault of ours that time would heal.
      if (error instanceof PolicyError) return refuse('invalid_claim', attempt, said);
      throw error;
    }
    const binding = { secret, tokenId: replayId(token), address: verdict.address };
    const returned = marker !== undefined && isMarker(marker, now(), binding);
    if (readable['catreplay'] === 1) {
      const reason = await spend(binding.tokenId, id, returned, readable['exp']);
      if (reason) return refuse(reason, attempt, said);
    }
    const { sid = readable['sid'] } = changes.set;
    record({
      id,
      start: 'exchanged',
      ...said,
      ...(typeof sid === 'string' ? { s: sid } : {}),
      ...(typeof readable['jti'] === 'string' ? { t: readable['jti'] } : {}),
    });
    if (delivery.by === 'redirect' || marker !== undefined || !delivery.cookie)
      return redirect(attempt, inPath(attempt, fresh));
    // The same start once more, to see whether the cookie comes back; the token is in the URL for the case that it does not.
    const back = placeToken(
      path + withQueryParameter(query === '' ? '' : `?${query}`, MARKER, makeMarker(now(), binding)),
      start.token,
      placementFor(delivery, path),
    ).url;
    const lifetime = (changes.set['exp'] as number) - verdict.now;
    return redirect(attempt, config.path + back, tokenCookie(fresh, delivery.cookie, '/', lifetime));
  }

  /** Why a one-time token may not be used; undefined: it was spent here and now. */
  async function spend(tokenId: string, by: string, returned: boolean, expiry: unknown): Promise<Reason | undefined> {
    if (!ports.oneTime) return 'replay_refused';
    try {
      const until = typeof expiry === 'number' ? expiry : undefined;
      const spent = returned
        ? await ports.oneTime.spendAgain(tokenId, by)
        : await ports.oneTime.spend(tokenId, by, until);
      return spent ? undefined : 'replay_refused';
    } catch {
      return 'store_error';
    }
  }

  return async ({ Records }) => {
    const { config: about, request } = Records[0].cf;
    const id = about.requestId;
    const event = toEventRequest(request, { eventType: 'origin-request' });
    try {
      let fault: Reason = 'internal_error';
      const start = await openSeal(request, id, (kid) =>
        kids.includes(kid) ? ports.secretOf(kid) : Promise.resolve(undefined),
      ).catch(() => {
        fault = 'store_error';
        return undefined;
      });
      if (!start || !request.uri.startsWith(`${config.path}/`)) return refuse(fault, { event, id });
      const path = request.uri.slice(config.path.length);
      // Where a redirect must not lead: to the start again, or, where a mode let the path pass, to another site (`//…`).
      if (isBelow(path, [config.path]) || !isReadable(path)) return refuse('ambiguous_path', { event, id });
      const { query, marker } = takeMarker(request.querystring);
      return await answerStart({
        request,
        event,
        id,
        domain: about.distributionDomainName,
        path,
        query,
        marker,
        start,
      });
    } catch {
      return refuse('internal_error', { event, id });
    }
  };
}

/** Whether a path can be read in one way only. */
function isReadable(path: string): boolean {
  try {
    normalisePath(path);
    return true;
  } catch {
    return false;
  }
}

function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`;
}

/** The first path placement that a path can have. */
function placementFor({ paths }: DeliverySettings, path: string): Extract<Placement, { kind: 'path' }> {
  const found = paths.find(
    (placement) => placement.mode !== 'prefix' || path.startsWith(`${placement.prefix.replace(/\/$/, '')}/`),
  );
  if (!found) throw new RangeError('No path placement fits this path.');
  return found;
}

/** The paths that the key's record at this host entitles it to. */
function entitledBy({ record, cleanPath }: EdgeVerdict): string[] {
  const { paths } = (record ?? {}) as Partial<KeyRecord>;
  const found = paths?.find((path) => isBelow(cleanPath, [path]));
  return found === undefined ? [] : [found];
}

/** The claims that the standard or we know, by JWT name: what else a token says decides nothing, whatever it is called. */
export function readableOf(token: ParsedToken): Readonly<Record<string, unknown>> {
  const { isJwt, algorithm, kid, claims, signed, signature } = token;
  const known = Object.fromEntries(Object.entries(claims).filter(([key]) => !key.startsWith('$')));
  return describeToken({ jwt: isJwt, algorithm, kid, claims: known, signed, signature }).claims;
}
