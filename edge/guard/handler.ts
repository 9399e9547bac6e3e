import { config } from 'portcullis:lambda';
import { secretsManagerReader } from '../secrets-manager.js';
import { createGuard, type GuardConfig } from './guard.js';

/** Lambda@Edge's entry: `index.handler`. */
export const handler = createGuard(config as GuardConfig, {
  readSecret: secretsManagerReader(),
  onKeyFault: (fault) => console.log(JSON.stringify({ keyFault: fault })),
});
