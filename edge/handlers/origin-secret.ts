import type { LambdaEvent, LambdaResult } from '../event.js';
import { createOriginSecretHandler, type OriginSecretConfig } from '../origin-secret/index.js';
import { secretsManagerReader } from '../secrets-manager.js';

/** The origin-secret handler with its secret in Secrets Manager. */
export function originSecretHandler(config: OriginSecretConfig): (event: LambdaEvent) => Promise<LambdaResult> {
  return createOriginSecretHandler(config, {
    readSecret: secretsManagerReader(),
    onFault: (error) => console.log(JSON.stringify({ originSecretFault: (error as Error).name })),
  });
}
