import { createGuard, type GuardConfig } from '../../edge/guard/index.js';
import { createOriginSecretHandler, type OriginSecretConfig } from '../../edge/origin-secret/index.js';
import type { ReadSecret } from '../../edge/secrets-manager.js';
import type { LineLog } from './access-log.js';
import type { Behavior } from './behaviors.js';
import type { LambdaHandler } from './lambda.js';

/** Lambda@Edge functions of the content's behaviours. */
export interface ContentLambdas {
  /** Guards every request by itself, in place of the viewer functions. */
  readonly guard?: GuardConfig | undefined;
  readonly originSecret?: OriginSecretConfig | undefined;
}

/**
 * What a content behaviour has of the functions and of Lambda@Edge.
 *
 * @throws Error where two handlers would share one event, of which a behaviour has one each.
 */
export function contentBehavior(
  { guard, originSecret }: ContentLambdas,
  ports: { readonly readSecret: ReadSecret; readonly log: LineLog; readonly now: () => number },
): Pick<Behavior, 'guarded' | 'lambdas' | 'uncached'> {
  if (guard?.eventType === 'origin-request' && originSecret)
    throw new Error(
      'A behaviour has one function on origin-request: guard on viewer-request, or leave originSecret out.',
    );
  const { readSecret, log, now } = ports;
  const write =
    (name: string) =>
    (message: string): void =>
      log.write({ timestamp: now() / 1000, function: `lambda ${name}`, message });
  const handlers: Partial<Record<'viewer-request' | 'origin-request', LambdaHandler>> = {};
  if (guard)
    handlers[guard.eventType] = createGuard(guard, {
      readSecret: (place) => readSecret(place),
      now,
      log: write(guard.eventType),
    });
  if (originSecret)
    handlers['origin-request'] = createOriginSecretHandler(originSecret, {
      readSecret,
      now,
      onFault: (error) => write('origin-request')(`origin secret: ${(error as Error).message}`),
    });
  return {
    guarded: !guard,
    ...(guard || originSecret ? { lambdas: handlers } : {}),
    // Whoever comes second would be served unchecked.
    ...(guard ? { uncached: true } : {}),
  };
}
