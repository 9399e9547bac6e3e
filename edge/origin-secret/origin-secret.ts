import { cachedValue } from '../cached-value.js';
import type { LambdaEvent, LambdaHeaders, LambdaResult } from '../event.js';
import type { ReadSecret } from '../secrets-manager.js';

/** What an origin-secret handler is made with: plain values, which the build bakes in. */
export interface OriginSecretConfig {
  /** Name or ARN. */
  readonly secret: string;
  readonly region: string;
  readonly endpoint?: string | undefined;
  /** The staging label of the version that is sent; where no version has it, the current one is. */
  readonly stage: string;
  /** Header names, with the member of the secret's JSON that gives each value; `''`: the whole text. */
  readonly headers: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly refreshAfter: number;
}

export interface OriginSecretPorts {
  readonly readSecret: ReadSecret;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
  /** Told of what goes wrong, for a log line. */
  readonly onFault?: ((error: unknown) => void) | undefined;
}

/** Header values that an origin compares: printable ASCII, and long enough not to be guessed. */
const VALUE = /^[\x21-\x7e]{8,4096}$/;

/**
 * Makes an origin-request handler that adds the origin's secret headers, in place of whatever a viewer sent under their
 * names. The value is fetched once, looked up again in the background, waited for where it is twice as old as it should
 * be, and kept through an outage of Secrets Manager; without any value the viewer is answered 503, since the origin would
 * refuse the request.
 *
 * @example
 * const handler = createOriginSecretHandler(config, { readSecret: secretsManagerReader() });
 */
export function createOriginSecretHandler(
  config: OriginSecretConfig,
  ports: OriginSecretPorts,
): (event: LambdaEvent) => Promise<LambdaResult> {
  const headers = cachedValue(() => secretHeaders(config, ports.readSecret), {
    refreshAfter: config.refreshAfter,
    // A rotation counts on it: what was switched this long ago is sent by everybody.
    waitAfter: 2 * config.refreshAfter,
    now: ports.now,
    onFault: ports.onFault,
  });
  return async ({ Records }) => {
    const { request } = Records[0].cf;
    try {
      Object.assign(request.headers, await headers());
    } catch {
      return {
        status: '503',
        statusDescription: 'Service Unavailable',
        headers: { 'cache-control': [{ value: 'no-store' }], 'retry-after': [{ value: '1' }] },
      };
    }
    // Configured on the origin as well, it would be sent twice.
    const { custom, s3 } = request.origin ?? {};
    for (const origin of [custom, s3])
      for (const name of Object.keys(config.headers)) delete origin?.customHeaders[name.toLowerCase()];
    return request;
  };
}

async function secretHeaders(config: OriginSecretConfig, readSecret: ReadSecret): Promise<LambdaHeaders> {
  const { secret, region, endpoint, stage } = config;
  const text = await readSecret({ secret, region, endpoint, stage }).catch((error: unknown) => {
    // Before the first rotation nobody has moved the label.
    if ((error as Error).name === 'ResourceNotFoundException') return readSecret({ secret, region, endpoint });
    throw error;
  });
  return Object.fromEntries(
    Object.entries(config.headers).map(([name, member]) => [
      name.toLowerCase(),
      [{ key: name, value: valueOf(text, member) }],
    ]),
  );
}

/** @throws Error, which does not quote the secret */
function valueOf(text: string, member: string): string {
  let value: unknown = text;
  if (member !== '') {
    try {
      value = (JSON.parse(text) as Record<string, unknown>)[member];
    } catch {
      throw new Error('The secret is no JSON.');
    }
  }
  if (typeof value !== 'string' || !VALUE.test(value))
    throw new Error(`The secret has no value ${member === '' ? '' : `under ${JSON.stringify(member)} `}for a header.`);
  return value;
}
