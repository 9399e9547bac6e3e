import { isIP } from 'node:net';
import { RevokerError } from '../errors.js';

/**
 * What every function of the workflows has around it: one JSON line per event worth knowing, metrics in CloudWatch's
 * embedded format, and errors under names that the workflows' Retry clauses know.
 */

/** What goes away by itself; the workflows try again. */
export class TransientFault extends Error {
  override readonly name = 'TransientFault';
}

/** What no repetition mends: wrong input, a denied permission. The workflows report it and stop. */
export class PermanentFault extends Error {
  override readonly name = 'PermanentFault';
}

export type MetricUnit = 'Count' | 'Milliseconds' | 'Seconds';

/** What a function may say while it works. */
export interface Scope {
  /** Writes one JSON line. No token, no secret, no viewer's address belongs in the fields. */
  log(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Adds to a metric of this invocation. */
  count(metric: string, value?: number, unit?: MetricUnit): void;
}

/** Says nothing; for callers that do not listen. */
export const silent: Scope = { log: () => undefined, count: () => undefined };

/** One function: its event in, its answer out, both JSON. */
export type Handler<Event, Answer> = (event: Event, scope: Scope) => Promise<Answer>;

export interface InvocationContext {
  readonly awsRequestId: string;
}

const transientCodes = new Set([
  'store_unavailable',
  'store_not_ready',
  'ledger_conflict',
  'ledger_unavailable',
  'target_failed',
  'lock_conflict',
  'entity_unavailable',
]);

/** Names and codes of what passes: throttling, a conflict, a fault on the other side, a connection, credentials on their way. */
const transientNames =
  /Throttl|TooManyRequests|LimitExceeded(Exception)?$|ServiceUnavailable|InternalServer|InternalFailure|InternalException|TimeoutError|RequestTimeout|ProvisionedThroughput|OptimisticLock|TransactionConflict|^CredentialsProviderError$|^(ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|EAI_AGAIN)$/;
/** The same in the words of errors that have no telling name. */
const transientWords = /Throttl|TooManyRequests|ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|EAI_AGAIN|socket hang up/;

interface Details {
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly CancellationReasons?: readonly { readonly Code?: string }[];
}

function isPassing(error: Error & Details): boolean {
  const code = typeof error.code === 'string' ? error.code : '';
  if (transientCodes.has(code) || (error.$metadata?.httpStatusCode ?? 0) >= 500) return true;
  if (error.name === 'TransactionCanceledException') {
    const reasons = (error.CancellationReasons ?? []).flatMap(({ Code }) => (Code === 'None' ? [] : [Code ?? '']));
    return reasons.length > 0 && reasons.every((reason) => transientNames.test(reason));
  }
  if ([error.name, code].some((text) => transientNames.test(text)) || transientWords.test(error.message)) return true;
  // fetch tells of a lost connection by "fetch failed", and why in the cause. An error with a code speaks for itself.
  return code === '' && error.cause instanceof Error && isPassing(error.cause);
}

/** Services quote what they choked on: addresses of viewers and e-mail addresses go no further. */
function masked(text: string): string {
  return text.replace(/[^\s"'(),;[\]<>]+/g, (word) => {
    const bare = word.replace(/[.:!?]+$/, '').replace(/\/\d{1,3}$/, '');
    return isIP(bare) > 0 || /.@./.test(bare) ? '…' : word;
  });
}

/** Gives an error the name by which the workflows decide whether to try again. */
export function named(error: unknown): Error {
  if (!(error instanceof Error)) return new PermanentFault(masked(String(error)));
  if (error instanceof TransientFault || error instanceof PermanentFault) return error;
  const { code } = error as Error & Details;
  const text = masked(error instanceof RevokerError ? error.anonymous : error.message);
  const message = `${typeof code === 'string' && code !== '' ? code : error.name}: ${text}`;
  const Fault = isPassing(error) ? TransientFault : PermanentFault;
  return new Fault(message, { cause: error });
}

export interface ObserveOptions {
  readonly write?: (line: string) => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** CloudWatch namespace of the metrics. */
  readonly namespace?: string;
}

/**
 * Makes a Lambda handler of a function. `create` runs at the first invocation and is kept while the environment lives.
 *
 * @example
 * export const handler = observed('Expire', () => expire({ ledger: ledger(), targets: targets() }));
 */
export function observed<Event, Answer>(
  name: string,
  create: () => Handler<Event, Answer> | Promise<Handler<Event, Answer>>,
  options: ObserveOptions = {},
): (event: Event, context: InvocationContext) => Promise<Answer> {
  const write = options.write ?? ((line: string) => process.stdout.write(`${line}\n`));
  const now = options.now ?? Date.now;
  const namespace = options.namespace ?? 'Portcullis';
  let handler: Promise<Handler<Event, Answer>> | undefined;
  return async (event, context) => {
    const started = now();
    const metrics = new Map<string, { value: number; unit: MetricUnit }>();
    const line = (level: string, message: string, fields: Readonly<Record<string, unknown>>): void => {
      const time = new Date(now()).toISOString();
      write(JSON.stringify({ ...fields, time, level, function: name, requestId: context.awsRequestId, message }));
    };
    const scope: Scope = {
      log: (message, fields = {}) => line('info', message, fields),
      count(metric, value = 1, unit = 'Count') {
        metrics.set(metric, { value: (metrics.get(metric)?.value ?? 0) + value, unit });
      },
    };
    try {
      // A set-up that failed is tried again at the next invocation.
      handler ??= Promise.resolve(create());
      const ready = await handler.catch((error: unknown) => {
        handler = undefined;
        throw error;
      });
      return await ready(event, scope);
    } catch (error) {
      const fault = named(error);
      scope.count('faults');
      line('error', fault.message, { fault: fault.name });
      throw fault;
    } finally {
      scope.count('duration', now() - started, 'Milliseconds');
      write(embeddedMetrics(namespace, name, metrics, now()));
    }
  };
}

/** One line in CloudWatch's embedded metric format. */
export function embeddedMetrics(
  namespace: string,
  name: string,
  metrics: ReadonlyMap<string, { readonly value: number; readonly unit: MetricUnit }>,
  time: number,
): string {
  return JSON.stringify({
    _aws: {
      Timestamp: time,
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [['function']],
          Metrics: [...metrics].map(([Name, { unit: Unit }]) => ({ Name, Unit })),
        },
      ],
    },
    function: name,
    ...Object.fromEntries([...metrics].map(([metric, { value }]) => [metric, value])),
  });
}
