import { z } from 'zod';
import { WafRulesError } from './errors.js';

/** A request as WAF would see it. Strings hold bytes: one character from U+0000 to U+00FF each. */
export interface SimulatedRequest {
  /** Epoch milliseconds; rate limits run on it. */
  readonly time: number;
  readonly method: string;
  /** The path as sent: not decoded, not normalised. */
  readonly path: string;
  /** The query string as sent, without `?`. */
  readonly query: string;
  /** In the order sent; names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly address: string;
  /** ISO 3166-1 alpha-2; undefined where nobody told. */
  readonly country: string | undefined;
  /** Subdivision without the country: `CA` of US-CA. */
  readonly region: string | undefined;
  readonly asn: number | undefined;
  readonly ja3: string | undefined;
  readonly ja4: string | undefined;
  /** The browser already passed WAF's challenge or CAPTCHA. */
  readonly challengePassed: boolean;
  /**
   * Headers the source would have recorded, when it records some only (an access log). A rule that reads another
   * header, or a fact that is undefined above, cannot be decided then. Undefined: the source is complete.
   */
  readonly knownHeaders: ReadonlySet<string> | undefined;
}

/** Text as the bytes of its UTF-8 form, one character per byte; ASCII stays as it is. */
export function toBytes(text: string): string {
  // eslint-disable-next-line no-control-regex -- asks whether the text is ASCII
  return /^[\u0000-\u007f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

const headerValue = z.union([z.string(), z.array(z.string())]);

const requestSchema = z.strictObject({
  time: z.union([z.number(), z.string()]).optional(),
  method: z.string().min(1).default('GET'),
  /** Path and query together, as an alternative to the two. */
  uri: z.string().optional(),
  path: z.string().optional(),
  query: z.string().optional(),
  headers: z.union([z.record(z.string(), headerValue), z.array(z.tuple([z.string(), z.string()]))]).default({}),
  body: z.string().default(''),
  address: z.string().min(1),
  country: z.string().optional(),
  region: z.string().optional(),
  asn: z.number().int().optional(),
  ja3: z.string().optional(),
  ja4: z.string().optional(),
  challengePassed: z.boolean().default(false),
});

/** A request as a person writes it in a JSON lines file. */
export type RequestInput = z.input<typeof requestSchema>;

/**
 * Reads a request description.
 *
 * @throws WafRulesError `invalid_request`, naming the field and what was expected
 * @example parseRequest({ uri: '/live/ch1.m3u8?CAT=…', address: '203.0.113.9', country: 'US' })
 */
export function parseRequest(input: unknown, defaultTime = 0): SimulatedRequest {
  const result = requestSchema.safeParse(input);
  if (!result.success) {
    const problems = result.error.issues.map((each) => `${each.path.join('.') || 'request'}: ${each.message}`);
    throw new WafRulesError('invalid_request', problems.join('; '), { problems });
  }
  const request = result.data;
  const uri = request.uri ?? '';
  const mark = uri.indexOf('?');
  const path = request.path ?? (mark < 0 ? uri : uri.slice(0, mark));
  if (!path.startsWith('/')) {
    throw new WafRulesError('invalid_request', 'uri or path: expected a path that begins with /', { path });
  }
  const headers: [string, string][] = [];
  const pairs = Array.isArray(request.headers)
    ? request.headers
    : Object.entries(request.headers).flatMap(([name, value]) =>
        (Array.isArray(value) ? value : [value]).map((each): [string, string] => [name, each]),
      );
  for (const [name, value] of pairs) headers.push([toBytes(name.toLowerCase()), toBytes(value)]);
  const time = typeof request.time === 'string' ? Date.parse(request.time) : (request.time ?? defaultTime);
  if (Number.isNaN(time)) throw new WafRulesError('invalid_request', `time: "${request.time}" is not a date`);
  return {
    time,
    method: request.method,
    path: toBytes(path),
    query: toBytes(request.query ?? (mark < 0 ? '' : uri.slice(mark + 1))),
    headers,
    body: toBytes(request.body),
    address: request.address,
    country: request.country,
    region: request.region,
    asn: request.asn,
    ja3: request.ja3,
    ja4: request.ja4,
    challengePassed: request.challengePassed,
    knownHeaders: undefined,
  };
}
