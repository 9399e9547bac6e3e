import { cachedValue } from '../cached-value.js';
import type { LambdaEvent, LambdaResponse } from '../event.js';
import { createStartHandler, type StartConfig, type StartPorts } from '../exchange/index.js';
import { proofsIn } from '../proof-store.js';
import { dynamoDbOnce, type OneTimeSettings } from '../replay/index.js';
import { secretsManagerReader, type ReadSecret } from '../secrets-manager.js';

/** Everything that the start handler is built with: plain values. */
export interface StartSettings {
  readonly config: StartConfig;
  /** Where the HMAC keys lie: `<prefix>/keys/<kid>`, as `portcullis keys add` puts them there. */
  readonly secrets: { readonly prefix: string; readonly region: string; readonly endpoint?: string | undefined };
  readonly oneTime?: OneTimeSettings | undefined;
}

/** Parts that tests and the local edge bring themselves. */
export interface StartOverrides extends Partial<StartPorts> {
  readonly readSecret?: ReadSecret | undefined;
}

/** Seconds after which an HMAC key is looked up again; it serves for ever while Secrets Manager does not answer. */
const keyRefresh = 300;

/**
 * The start handler with its keys in Secrets Manager and its used tokens in DynamoDB.
 *
 * @example
 * export const handler = startHandler(settings);
 */
export function startHandler(
  settings: StartSettings,
  overrides: StartOverrides = {},
): (event: LambdaEvent) => Promise<LambdaResponse> {
  const { readSecret = secretsManagerReader(), ...ports } = overrides;
  const { prefix, region, endpoint } = settings.secrets;
  const keys = new Map(
    settings.config.kids.map((kid) => [
      kid,
      cachedValue(async () => keyOf(await readSecret({ secret: keySecretName(prefix, kid), region, endpoint }), kid), {
        refreshAfter: keyRefresh,
        now: ports.now,
      }),
    ]),
  );
  const once = settings.oneTime && dynamoDbOnce(settings.oneTime);
  return createStartHandler(settings.config, {
    secretOf: (kid) => {
      const key = keys.get(kid);
      return key ? key() : Promise.reject(new Error('This key is not one of the configured ones.'));
    },
    oneTime: once,
    ...ports,
    validator: {
      readSecret: ({ secret, region: place }) => readSecret({ secret, region: place }),
      // A proof is good once, wherever it comes.
      replay: once && proofsIn(once),
      ...ports.validator,
    },
  });
}

/** The secret's name as the keyring chooses it (`revoker/keys/secrets.ts`). */
function keySecretName(prefix: string, kid: string): string {
  return `${prefix}/keys/${/^[\w+=@-][\w+=.@-]*$/.test(kid) ? kid : `b64-${Buffer.from(kid).toString('base64url')}`}`;
}

function keyOf(text: string, kid: string): Buffer {
  const key = JSON.parse(text) as { kid?: unknown; alg?: unknown; k?: unknown };
  if (key.kid !== kid || key.alg !== 'HS256' || typeof key.k !== 'string' || !/^[\w-]{43,}$/.test(key.k))
    // The parser's own words would quote the secret.
    throw new Error(`The secret of key ${kid} does not hold {"kid","alg":"HS256","k"}.`);
  return Buffer.from(key.k, 'base64url');
}
