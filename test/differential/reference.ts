import { createHash, createHmac } from 'node:crypto';
import type { CborMap } from '@portcullis/tokens/core/cbor';
import { decide, idText, type GateHost, type KeyRecord, type Verdict } from '@portcullis/tokens/core/gate';
import { CATPOR, CATR, CATREPLAY, CTI, SESSION } from '@portcullis/tokens/core/labels';
import type { FoundToken } from '@portcullis/tokens/core/placement';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import {
  viewerRequestEvent,
  type FunctionEvent,
  type RequestParts,
  type StoreDouble,
} from '../../scripts/engine/index.js';
import type { FunctionPlan } from '../../scripts/build/plan.js';

/** What a request comes to. Texts may hold tokens, which two engines may write differently. */
export interface Summary {
  readonly verdict: string;
  /** The request passed on, or the answer. */
  readonly outcome: unknown;
  readonly logs: readonly unknown[];
}

type Header = { value: string };

/** The store as the function sees it: whether a key is there or its read failed is asked for, never guessed. */
function readerOf(store: StoreDouble): (key: string) => Promise<string | undefined> {
  const fails = (patterns: true | readonly string[] | undefined, key: string): boolean =>
    patterns === true ||
    (patterns ?? []).some((one) => one === key || (one.endsWith('*') && key.startsWith(one.slice(0, -1))));
  return (key) => {
    const tooLong = Buffer.byteLength(key) > 512;
    const present = Object.hasOwn(store.entries, key);
    if (!tooLong && !fails(store.getFails, key) && present) return Promise.resolve(store.entries[key]);
    if (tooLong || fails(store.existsFails, key) || present) return Promise.reject(new Error('store'));
    return Promise.resolve(undefined);
  };
}

/** Node in the place of the function's runtime, around the same core. */
function nodeHost(store: StoreDouble, now: number, random: number): GateHost {
  return {
    read: readerOf(store),
    mac: (secret, pieces) => {
      const hmac = createHmac('sha256', secret);
      for (const piece of pieces) hmac.update(piece);
      return hmac.digest();
    },
    digest: (text) => createHash('sha256').update(text).digest(),
    now: () => now / 1000,
    random: () => random,
  };
}

/**
 * What the function is to make of a request, from its documentation (`docs/architecture.md`), the core's verdict and the
 * plan that the function is compiled from: written apart from the function's own adapters.
 */
export async function reference(
  parts: RequestParts,
  store: StoreDouble,
  now: number,
  random: number,
  { build: { policy: compiledIn, settings }, features }: FunctionPlan,
): Promise<{ readonly summary: Summary; readonly verdict: Verdict | undefined }> {
  const event: FunctionEvent = viewerRequestEvent(parts);
  const request = event.request as FunctionEvent['request'] & { rawQueryString: () => string };
  const id = event.context.requestId;
  const host = nodeHost(store, now, random);
  // A build with one place in the path has it in words of its own; a build with every feature reads the list.
  const { pathBefore: before, pathKeep: keep } = compiledIn;
  const policy = before === undefined || keep === undefined ? compiledIn : { ...compiledIn, path: [{ before, keep }] };
  delete request.headers['x-portcullis-handover'];
  if (features.startPath) delete request.headers['x-portcullis-start'];

  const shared = (headers: Record<string, Header>): Record<string, Header> => {
    const origin = request.headers['origin'];
    const all: Record<string, Header> = { ...headers, 'cache-control': { value: 'no-store' } };
    // Where any page may read, the answer is the same for all.
    if (settings.corsOrigins) {
      if (!origin || origin.value === '') return all;
      all['vary'] = { value: 'Origin' };
      if (!settings.corsOrigins.includes(origin.value)) return all;
    }
    all['access-control-allow-origin'] = { value: settings.corsOrigins && origin ? origin.value : '*' };
    all['access-control-expose-headers'] = { value: settings.exposed };
    if (settings.corsCredentials) all['access-control-allow-credentials'] = { value: 'true' };
    return all;
  };
  const refused = (reason: string, verdict?: Verdict): unknown => {
    const status = settings.status[reason] ?? 401;
    const headers = shared({
      'content-type': { value: 'application/json' },
      'x-portcullis-reason': { value: reason },
      ...(status === 401 ? { 'www-authenticate': { value: 'Bearer' } } : {}),
      ...(status === 503 ? { 'retry-after': { value: settings.retryAfter } } : {}),
    });
    const own = verdict?.answer;
    for (const [name, value] of Object.entries(own?.headers ?? {})) headers[name.toLowerCase()] ??= { value };
    return { statusCode: own?.status ?? status, headers, body: JSON.stringify({ error: reason, id }) };
  };
  if (request.method === 'OPTIONS')
    return {
      summary: {
        verdict: 'answered',
        outcome: {
          statusCode: 204,
          headers: shared({ ...settings.preflight }),
        },
        logs: [],
      },
      verdict: undefined,
    };

  const original = request.uri;
  const verdict = await decide(request, event.viewer.ip, host, policy);
  const logs = logged(verdict, id, policy.mode, features.onUnknown, features.allowClients);
  const { reason } = verdict;
  if (reason && verdict.mode === 'enforce') {
    if (!verdict.slate) return { summary: { verdict: reason, outcome: refused(reason, verdict), logs }, verdict };
    request.uri = verdict.slate;
  }
  // Renewals are viewer-response's: it is handed every token that was found genuine and asks for one.
  if (verdict.genuine?.[CATR]) {
    const { place, name, text } = verdict.found as FoundToken;
    const query = request.rawQueryString();
    const handed = `${place} ${name ?? ''} ${text} ${original}${query && `?${query}`}`;
    const secret = Buffer.from((verdict.record as KeyRecord).k as string, 'base64url');
    const seal = createHmac('sha256', secret).update(`handover ${id}${handed}`).digest('base64url');
    request.headers['x-portcullis-handover'] = { value: `${handed} ${seal}` };
  }
  const { method, uri, querystring, headers, cookies } = request;
  const admitted = headers['x-portcullis-handover'] ? 'to be renewed' : 'admitted';
  return {
    summary: {
      verdict: reason ? `let pass: ${reason}` : admitted,
      outcome: { method, uri, querystring, headers, cookies },
      logs,
    },
    verdict,
  };
}

/** The function's log line, as `docs/architecture.md` has it. */
function logged(verdict: Verdict, id: string, mode: string, onUnknown: boolean, allowClients: boolean): unknown[] {
  const { reason } = verdict;
  const claims = verdict.genuine ?? ({} as CborMap);
  const replay = claims[CATREPLAY];
  const worthy =
    (reason && (mode !== 'off' || verdict.mode !== 'off')) ||
    replay ||
    (onUnknown && verdict.unknown.length > 0) ||
    (allowClients && verdict.allowance !== undefined);
  if (!worthy) return [];
  const token = verdict.token as ParsedToken | undefined;
  const line = {
    id,
    r: reason,
    m: verdict.mode,
    k: token?.kid,
    s: idText(claims[SESSION]),
    t: idText(claims[CTI]),
    ...(onUnknown && verdict.unknown.length > 0 ? { u: verdict.unknown } : {}),
    ...(allowClients ? { w: verdict.allowance } : {}),
    y: replay,
    ...(reason === 'probabilistic_refusal' ? { p: claims[CATPOR] } : {}),
  };
  return [JSON.parse(JSON.stringify(line))];
}
