import type { EventRequest, EventValue } from './core/request.js';
import { splitUrl, type Placement } from './placement.js';
import type { Placements } from './core/placement.js';

/** A viewer's request, as the edge sees it. */
export interface ViewerRequest {
  /** Absolute URL, or a path from the root; as sent. */
  readonly url: string;
  /** Default GET. */
  readonly method?: string;
  /** Request headers, and those that CloudFront adds (`CloudFront-Viewer-Country`, …); names in any case. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The viewer's address. */
  readonly address?: string;
}

/**
 * An absolute URL as programs have it, or a target as a viewer sent it: the latter may hold anything, which is for the
 * evaluator to refuse, as it does at the edge.
 */
function splitAsSent(url: string): { readonly origin: string; readonly path: string; readonly query: string } {
  if (!url.startsWith('/')) return splitUrl(url);
  const mark = url.indexOf('?');
  return mark < 0
    ? { origin: '', path: url, query: '' }
    : { origin: '', path: url.slice(0, mark), query: url.slice(mark) };
}

/** The request in the form that the evaluator reads. */
export function eventRequest(request: ViewerRequest): EventRequest {
  const { origin, path, query } = splitAsSent(request.url);
  const headers: Record<string, EventValue> = {};
  if (origin !== '') headers['host'] = { value: origin.slice(origin.indexOf('//') + 2) };
  for (const name in request.headers) {
    const value = request.headers[name];
    if (value !== undefined) headers[name.toLowerCase()] = eventValue(value);
  }
  const scheme = origin.slice(0, 5).toLowerCase();
  if (scheme === 'http:' && headers['cloudfront-forwarded-proto'] === undefined)
    headers['cloudfront-forwarded-proto'] = { value: 'http' };
  const raw = query.slice(1);
  return {
    method: request.method ?? 'GET',
    uri: path,
    querystring: {},
    headers,
    cookies: {},
    rawQueryString: () => raw,
  };
}

function eventValue(value: string | readonly string[]): EventValue {
  if (typeof value === 'string') return { value };
  return { value: value[0] ?? '', multiValue: value.map((one) => ({ value: one })) };
}

/** Query parameters and cookies as CloudFront's event has them: for finding tokens in a whole request. */
export function withParameters(event: EventRequest): EventRequest {
  const add = (into: Record<string, EventValue>, name: string, value: string): void => {
    const known = Object.hasOwn(into, name) ? into[name] : undefined;
    if (known) (known.multiValue ??= [{ value: known.value }]).push({ value });
    else into[name] = { value };
  };
  for (const part of event.rawQueryString().split('&')) {
    const equals = part.indexOf('=');
    if (part !== '')
      add(event.querystring, equals < 0 ? part : part.slice(0, equals), equals < 0 ? '' : part.slice(equals + 1));
  }
  const cookie = event.headers['cookie'];
  for (const line of cookie ? (cookie.multiValue ?? [cookie]) : []) {
    for (const part of line.value.split(';')) {
      const equals = part.indexOf('=');
      if (equals > 0) add(event.cookies, part.slice(0, equals).trim(), part.slice(equals + 1).trim());
    }
  }
  delete event.headers['cookie'];
  return event;
}

/** The evaluator's own form of the configured placements. */
export function placementsToFind(placements: readonly Placement[]): Placements {
  const found: {
    path?: { before: string; keep: string }[];
    pathParameter?: string;
    query?: string;
    cookie?: string;
    header?: boolean;
    authorization?: boolean;
  } = {};
  for (const placement of placements) {
    switch (placement.kind) {
      case 'path': {
        const before =
          placement.mode === 'first'
            ? ''
            : placement.mode === 'prefix'
              ? placement.prefix.replace(/\/$/, '')
              : (placement.marker ?? '/~t').replace(/\/$/, '');
        (found.path ??= []).push({ before, keep: placement.mode === 'prefix' ? before : '' });
        break;
      }
      case 'pathParameter':
      case 'query':
      case 'cookie':
        found[placement.kind] = placement.name ?? 'CAT';
        break;
      default:
        found[placement.kind] = true;
    }
  }
  return found;
}
