import { createSigner } from '@portcullis/tokens';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { vending } from './handler.js';

const signer = createSigner({
  issuer: 'cms',
  key: { alg: 'HS256', kid: 'k1', secret: new Uint8Array(32).fill(7) },
  placement: { kind: 'path', mode: 'prefix', prefix: '/live' },
});

const handler = vending({
  signer,
  check: {
    isRefused: async ({ subject }) => {
      if (subject === 'unknown') throw new Error('the ledger does not answer');
      return subject === 'mallory'
        ? { refused: true, reason: 'revoked', scope: 'subject', id: subject }
        : { refused: false };
    },
  },
  hosts: ['cdn.example'],
  tokenSeconds: 600,
});

const ask = (body: unknown, base64 = false) =>
  handler({
    body: base64 ? Buffer.from(JSON.stringify(body)).toString('base64') : JSON.stringify(body),
    isBase64Encoded: base64,
  } as APIGatewayProxyEventV2);

const url = 'https://cdn.example/live/ch1/main.m3u8';

describe('the vending API', () => {
  it.each([false, true])('signs for an account in good standing (base64 body: %s)', async (base64) => {
    const answer = await ask({ url, subject: 'alice' }, base64);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store' });
    expect((JSON.parse(answer.body ?? '') as { url: string }).url).toMatch(
      /^https:\/\/cdn\.example\/live\/[\w-]+\/ch1\/main\.m3u8$/,
    );
  });

  it.each([
    ['a revoked account', { url, subject: 'mallory' }, 403, 'revoked'],
    ['another site', { url: 'https://evil.example/live/x', subject: 'alice' }, 400, 'foreign_host'],
    ['plain HTTP', { url: 'http://cdn.example/live/x', subject: 'alice' }, 400, 'invalid_request'],
    [
      'a path where no token can be placed',
      { url: 'https://cdn.example/other/x', subject: 'alice' },
      400,
      'url_outside_policy',
    ],
    ['no subject', { url }, 400, 'invalid_request'],
    ['no body', undefined, 400, 'invalid_request'],
    ['something more than it knows', { url, subject: 'alice', admin: true }, 400, 'invalid_request'],
  ])('does not sign for %s', async (_, body, status, error) => {
    const answer = await ask(body);
    expect(answer.statusCode).toBe(status);
    expect(JSON.parse(answer.body ?? '')).toMatchObject({ error });
  });

  it('signs nothing when the ledger does not answer', async () => {
    await expect(ask({ url, subject: 'unknown' })).rejects.toThrow('ledger');
  });
});
