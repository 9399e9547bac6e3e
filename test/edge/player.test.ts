import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createSigner, proofKeyOf } from '@portcullis/tokens';
import { createValidator } from '../../edge/validator.js';
import { context, lambdaRequest, validatorConfig } from './requests.js';

/** Runs the player's code as the documentation has it: what it sends, and the key it sends it with. */
async function documentedPlayer(startUrl: string): Promise<Record<string, string>> {
  const page = readFileSync(fileURLToPath(new URL('../../docs/lambda-edge.md', import.meta.url)), 'utf8');
  const code = /```js\n([^`]*generateKey[\s\S]*?)```/.exec(page)?.[1];
  let sent: Record<string, string> = {};
  const fetchDouble = (_: string, { headers }: { headers: Record<string, string> }): Promise<void> => {
    sent = headers;
    return Promise.resolve();
  };
  const run = new Function('startUrl', 'fetch', `return (async () => { ${code} })();`) as (
    url: string,
    fetcher: typeof fetchDouble,
  ) => Promise<void>;
  await run(startUrl, fetchDouble);
  return sent;
}

it('a proof made as documented opens a token bound to its key, once', async () => {
  const sent = await documentedPlayer('https://cdn.example/live/ch1/main.m3u8');
  const proof = sent['DPoP'] ?? '';
  const { jwk } = JSON.parse(Buffer.from(proof.split('.')[0] ?? '', 'base64url').toString()) as {
    jwk: Parameters<typeof proofKeyOf>[0];
  };
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = createSigner({ issuer: 'cms', key: { alg: 'ES256', kid: 'cms', privateKey } });
  const { token } = await signer.sign({ paths: '/live/ch1/', expiresIn: '2h', proofKey: await proofKeyOf(jwk) });
  const validate = createValidator(
    validatorConfig({
      keys: [{ kind: 'jwks', jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'cms' }] } }],
      proof: {},
    }),
  );
  const request = lambdaRequest({ query: `CAT=${token}`, headers: sent });
  expect((await validate(request, context)).reason).toBe('');
  expect((await validate(request, context)).reason).toBe('proof_required');
});
