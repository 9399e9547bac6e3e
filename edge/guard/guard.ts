import { preflightAnswer, refusalAnswer } from '../answer.js';
import { toEventRequest, type LambdaEvent, type LambdaResult } from '../event.js';
import { logLine, type WriteLine } from '../log.js';
import { answerOf, createValidator, requestOf, type ValidatorConfig, type ValidatorPorts } from '../validator.js';

/** What a guard is made with: plain values, which the build bakes into the handler. */
export interface GuardConfig extends ValidatorConfig {
  /** The share of admitted requests that are logged, 0 to 1. */
  readonly sample: number;
}

export interface GuardPorts extends ValidatorPorts {
  /** Default: `console.log`. */
  readonly log?: WriteLine | undefined;
}

/**
 * Guards every request of a behaviour by itself: a handler for viewer-request (the Lambda alone) or origin-request.
 * It forwards the request without its token, or answers it as the viewer function would.
 *
 * @example
 * export const handler = createGuard(config);
 */
export function createGuard(
  config: GuardConfig,
  ports: GuardPorts = {},
): (event: LambdaEvent) => Promise<LambdaResult> {
  const validate = createValidator(config, ports);
  const log = ports.log ?? ((line: string) => console.log(line));
  return async (event) => {
    const { config: context, request } = event.Records[0].cf;
    try {
      // Preflights carry no token.
      if (request.method === 'OPTIONS') {
        const allowed = preflightAnswer(toEventRequest(request, { eventType: config.eventType }), config.settings);
        if (allowed) return allowed;
      }
      const verdict = await validate(request, context);
      const line = logLine(verdict, config.sample, ports.random);
      if (line !== undefined) log(line);
      return answerOf(verdict) ?? requestOf(verdict);
    } catch {
      // Whatever went wrong, nothing passes.
      const asked = toEventRequest(request, { eventType: config.eventType });
      return refusalAnswer('internal_error', asked, context.requestId, config.settings);
    }
  };
}
