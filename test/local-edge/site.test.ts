import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectRevoker, revokerConfigSchema, type RevokerConnection } from '../../revoker/index.js';
import { runProgram } from '../../scripts/cli/program.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';

let edge: LocalEdge;
let connection: RevokerConnection;
beforeAll(async () => {
  edge = await startLocalEdge({ functionsFolder: fileURLToPath(new URL('./functions/plain', import.meta.url)) });
  const { kvs, dynamodb, secrets } = edge.addresses;
  connection = await connectRevoker({
    config: revokerConfigSchema.parse({
      stores: [{ name: 'local', arn: kvs.arn, endpoint: kvs.endpoint }],
      ledger: { table: `${dynamodb.tablePrefix}ledger`, endpoint: dynamodb.endpoint },
    }),
    secretsFolder: secrets,
  });
});
afterAll(async () => {
  connection?.close();
  await edge?.close();
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly cookies: readonly string[];
}

async function post(url: string, body: unknown): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    cookies: response.headers.getSetCookie(),
  };
}

const vend = (body: unknown): Promise<Answer> => post(edge.addresses.vend, body);

test.each([
  ['path', 'cat'],
  ['query', 'jwt'],
  ['cookie', 'cat'],
  ['header', 'jwt'],
])('vends a playback URL with the token in the %s (%s)', async (placement, format) => {
  const { status, body, cookies } = await vend({ content: 'ch7', placement, format, expiresIn: 60, countries: ['US'] });
  expect(status).toBe(200);
  const { url, token } = body as { url: string; token: string };
  expect(url.startsWith(edge.addresses.edge)).toBe(true);
  expect(url).toContain('/live/ch7/master.m3u8');
  expect(url.includes(token)).toBe(placement === 'path' || placement === 'query');
  expect(cookies.some((cookie) => cookie.includes(token))).toBe(placement === 'cookie');
  expect(JSON.stringify(body['headers']).includes(token)).toBe(placement === 'header');
  expect(body['claims']).toMatchObject({ catgeoiso3166: ['US'], iss: 'demo' });
  expect(body['kid']).toBe('demo');
});

test.each([
  ['no JSON', '{', 'The body is not JSON'],
  ['a content id that would leave its folder', { content: '../x' }, 'content: letters, digits'],
  ['a field that does not exist', { contents: 'ch1' }, 'contents'],
  ['a lifetime of none', { expiresIn: 0 }, 'expiresIn'],
  ['too much', { subject: 'x'.repeat(70_000) }, 'over 64 KB'],
])('answers 400 to %s, and says what is wrong', async (_, body, message) => {
  const answer = await vend(body);
  expect(answer.status).toBe(400);
  expect(answer.body['message']).toContain(message);
});

test('answers 422 to what the signer refuses', async () => {
  const answer = await vend({ countries: ['Atlantis'] });
  expect(answer.status).toBe(422);
  expect(answer.body['message']).toContain('countries');
});

test('vends nothing more for a revoked session or account, and vends again once that is lifted', async () => {
  const { session } = (await vend({ subject: 'alice' })).body as { session: string };
  const about = { by: 'test', reason: 'test' };
  await connection.revoker.revoke(
    [
      { scope: 'session', id: session, reason: 'test' },
      { scope: 'subject', id: 'mallory', reason: 'test' },
    ],
    about,
  );
  expect(await vend({ session })).toMatchObject({ status: 403, body: { error: 'revoked' } });
  expect(await vend({ subject: 'mallory' })).toMatchObject({ status: 403, body: { error: 'revoked' } });
  expect(await vend({ subject: 'alice' })).toMatchObject({ status: 200 });
  await connection.revoker.lift([{ scope: 'session', id: session }], about);
  expect(await vend({ session })).toMatchObject({ status: 200 });
});

test('token explain --local decides for the viewer of the local edge, and names who revoked what', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-explain-'));
  const before = { file: process.env['PORTCULLIS_LOCAL'], exitCode: process.exitCode };
  process.env['PORTCULLIS_LOCAL'] = join(folder, 'local.json');
  await writeFile(join(folder, 'local.json'), JSON.stringify(edge.addresses));
  const explain = async (...words: string[]): Promise<Record<string, unknown>> => {
    let said = '';
    const stdout = new Writable({ write: (chunk, _, done) => ((said += String(chunk)), done()) });
    const streams = { stdin: process.stdin, stdout, stderr: process.stderr } as never;
    expect(await runProgram(['--json', 'token', 'explain', ...words, '--local'], { version: '0', streams })).toBe(0);
    return JSON.parse(said) as Record<string, unknown>;
  };
  try {
    const { url, session } = (await vend({ countries: ['US'] })).body as { url: string; session: string };
    expect(await explain(url)).toMatchObject({ admitted: true });
    expect(process.exitCode).toBe(before.exitCode);
    const abroad = await explain(url, '--viewer', 'country=DE');
    expect(abroad).toMatchObject({ admitted: false, reason: 'country_mismatch' });
    expect(abroad['checks']).toContainEqual(
      expect.objectContaining({ check: 'catgeoiso3166', holds: false, value: ['US'], actual: { country: 'DE' } }),
    );
    expect(process.exitCode).toBe(1);
    const about = { by: 'alice', reason: 'seen elsewhere' };
    await connection.revoker.revoke([{ scope: 'session', id: session, reason: 'seen elsewhere' }], about);
    const revoked = await explain(url);
    expect(revoked).toMatchObject({ admitted: false, reason: 'revoked' });
    expect(revoked['checks']).toContainEqual(
      expect.objectContaining({
        check: 'revocation',
        holds: false,
        value: { session },
        actual: expect.objectContaining({ by: 'alice', reason: 'seen elsewhere' }) as unknown,
      }),
    );
  } finally {
    process.exitCode = before.exitCode;
    if (before.file === undefined) delete process.env['PORTCULLIS_LOCAL'];
    else process.env['PORTCULLIS_LOCAL'] = before.file;
    await rm(folder, { recursive: true });
  }
});

test('signs with the new key as soon as the keyring rotates to it', async () => {
  await connection.keyring.rotateNow({ by: 'test', reason: 'test' });
  const kid = (await connection.keyring.signingKey())?.kid;
  expect(kid).not.toBe('demo');
  await expect.poll(async () => (await vend({})).body['kid'], { timeout: 20_000 }).toBe(kid);
});

test("serves the SDK's vending service beside it", async () => {
  const { site } = edge.addresses;
  const minted = await post(`${site}/playback`, { asset: 'ch3', subject: 'bob' });
  expect(minted.status).toBe(200);
  expect(minted.body['url']).toContain('/live/ch3/master.m3u8');
  const renewed = await post(`${site}/renew`, { asset: 'ch3', subject: 'bob', token: minted.body['token'] });
  expect(renewed.status).toBe(200);
  expect(renewed.body['session']).toBe(minted.body['session']);
  expect((await post(`${site}/playback`, { asset: '../x', subject: 'bob' })).status).toBe(404);
});

test('serves the page with everything it needs, and nothing from elsewhere', async () => {
  const page = await fetch(edge.addresses.page);
  const text = await page.text();
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(text).not.toMatch(/https?:\/\//);
  for (const [, name] of text.matchAll(/(?:src|href)="([^"#]+)"/g)) {
    const file = await fetch(new URL(name ?? '', edge.addresses.page));
    expect([name, file.status]).toEqual([name, 200]);
    await file.arrayBuffer();
  }
  expect((await fetch(new URL('../demo/none.js', edge.addresses.page))).status).toBe(404);
});

test('tells the page what a token says, and nothing of what is no token', async () => {
  const { token } = (await vend({ expiresIn: 60 })).body as { token: string };
  const decode = new URL('decode', edge.addresses.page).href;
  expect((await post(decode, { token })).body['claims']).toMatchObject({ iss: 'demo' });
  expect((await post(decode, { token: 'x' })).status).toBe(400);
});
