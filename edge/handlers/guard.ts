import type { LambdaEvent, LambdaResult } from '../event.js';
import { createGuard, type GuardConfig } from '../guard/index.js';
import { secretsManagerReader } from '../secrets-manager.js';

/**
 * The guard with its secrets in Secrets Manager, and its faults in the log.
 *
 * @example
 * export const handler = guardHandler(config);
 */
export function guardHandler(config: GuardConfig): (event: LambdaEvent) => Promise<LambdaResult> {
  return createGuard(config, {
    readSecret: secretsManagerReader(),
    onKeyFault: (fault) => console.log(JSON.stringify({ keyFault: fault })),
  });
}
