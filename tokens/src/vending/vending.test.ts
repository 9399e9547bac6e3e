import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as commands from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSigner, type Signer } from '../signer.js';
import { decode } from '../decode.js';
import { checkToken } from '../signature.js';
import {
  assetsFromObject,
  bearerCaller,
  createVendingService,
  gatewayCaller,
  memorySessions,
  type MintRecord,
  type RefusalQuestion,
  type SessionStore,
  type VendingHandler,
  type VendingOptions,
} from '../vending.js';
import { dynamoDbAssets, dynamoDbSessions } from './dynamodb.js';
import { lambdaHandler, type GatewayEvent } from './lambda.js';
import { nodeListener } from './node.js';

const key = { alg: 'HS256', kid: 'k1', secret: new Uint8Array(randomBytes(32)) } as const;
let now = 1_800_000_000_000;
beforeEach(() => {
  now = 1_800_000_000_000;
});
const clock = (): number => now;
const signer: Signer = createSigner({ issuer: 'cms', key, jitter: false, clock });
const backend = { principal: 'arn:aws:sts::123456789012:assumed-role/cms/i-1', address: '203.0.113.9' };
const url = 'https://cdn.example/live/ch1/main.m3u8';
const assets = assetsFromObject({
  ch1: { url, expiresIn: '10m', sessionEndsIn: '1h', countries: ['GB'], hosts: ['cdn.example'] },
  limited: { url, expiresIn: '10m', concurrency: { limit: 3 } },
  replacing: { url, expiresIn: '10m', concurrency: { limit: 3, over: 'replace' } },
  bound: { url, expiresIn: '10m', bindNetwork: true, bindUserAgent: true },
  clips: { url, expiresIn: '10m', clips: { root: '/clips/ch1/', expiresIn: '30m' } },
});

interface Answer {
  status: number;
  body: Record<string, unknown> & { url: string; token: string; session: string; error?: string };
  headers: Headers;
}

function service(change: Partial<VendingOptions> = {}): VendingHandler {
  return createVendingService({
    signer,
    assets,
    ledger: null,
    authenticate: gatewayCaller(['arn:aws:sts::123456789012:assumed-role/cms/*']),
    keys: [key],
    clock,
    ...change,
  });
}

async function post(
  handle: VendingHandler,
  path: string,
  body: unknown,
  context: object = backend,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await handle(
    new Request(`https://vend.example${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: text,
    }),
    context,
  );
  return { status: response.status, body: (await response.json()) as Answer['body'], headers: response.headers };
}

async function claimsOf(token: string): Promise<Record<string, unknown>> {
  await checkToken(token, [key]);
  return decode(token).claims;
}

describe('minting', () => {
  it('answers with a playback URL by the policy of the asset', async () => {
    const { status, body, headers } = await post(service(), '/playback', { asset: 'ch1', subject: 'u1' });
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({
      url: `https://cdn.example/${body.token}/live/ch1/main.m3u8`,
      expiresAt: '2027-01-15T08:10:00.000Z',
      sessionEndsAt: '2027-01-15T09:00:00.000Z',
      renewAfter: 480,
    });
    expect(await claimsOf(body.token)).toMatchObject({
      exp: 1_800_000_600,
      sxp: 1_800_003_600,
      iss: 'cms',
      sub: 'u1',
      catgeoiso3166: ['GB'],
    });
  });

  it('lets nothing in a request widen the policy', async () => {
    const wide = {
      asset: 'ch1',
      subject: 'u1',
      url: 'https://evil.test/',
      path: '/',
      paths: ['/'],
      hosts: ['evil.test'],
      host: 'evil.test',
      expiresIn: '10y',
      lifetime: 1e9,
      exp: 4e9,
      countries: ['US'],
      country: 'US',
      renewal: { extendBy: '1d' },
      claims: { aud: 'x' },
      policy: { paths: null },
      session: 'AAAAAAAAAAAAAAAAAAAAAA',
    };
    const plain = await claimsOf((await post(service(), '/playback', { asset: 'ch1', subject: 'u1' })).body.token);
    const { body } = await post(service(), '/playback?expiresIn=10y&country=US', wide);
    const { jti: tokenId, sid: session, ...same } = await claimsOf(body.token);
    expect(tokenId).not.toEqual(plain['jti']);
    expect(session).not.toEqual('AAAAAAAAAAAAAAAAAAAAAA');
    expect(same).toEqual(
      Object.fromEntries(Object.entries(plain).filter(([label]) => label !== 'jti' && label !== 'sid')),
    );
    expect(body.url).toContain('https://cdn.example/');
  });

  it.each([
    ['no JSON', '{', 400],
    ['a list', '[]', 400],
    ['null', 'null', 400],
    ['no asset', {}, 400],
    ['an asset that is no text', { asset: 1 }, 400],
    ['an asset with control characters', { asset: 'a\u0000' }, 400],
    ['an unknown asset', { asset: 'x', subject: 'u' }, 404],
    ['an inherited name for an asset', { asset: '__proto__', subject: 'u' }, 404],
    ['no subject', { asset: 'ch1' }, 400],
    ['a subject that is too long', { asset: 'ch1', subject: 'x'.repeat(257) }, 400],
    ['an address that is none', { asset: 'ch1', subject: 'u', viewer: { address: 'x' } }, 400],
    ['a network for an address', { asset: 'ch1', subject: 'u', viewer: { address: '10.0.0.0/8' } }, 400],
    ['a viewer that is no object', { asset: 'ch1', subject: 'u', viewer: 'x' }, 400],
    ['a missing address that is bound', { asset: 'bound', subject: 'u' }, 400],
    ['a body that is too large', `{"asset":"${'x'.repeat(20_000)}"}`, 413],
  ])('refuses %s with a clear body', async (_, body, status) => {
    const answer = await post(service(), '/playback', body);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({
      error: expect.any(String),
      message: expect.any(String),
      id: expect.any(String),
    });
    expect(answer.body.token).toBeUndefined();
  });

  it('knows its endpoints, methods and media types', async () => {
    const handle = service();
    expect((await post(handle, '/other', {})).status).toBe(404);
    expect((await post(handle, '/constructor', {})).status).toBe(404);
    expect((await handle(new Request('https://vend.example/playback'))).status).toBe(405);
    expect((await post(handle, '/playback', '<a/>', backend, { 'content-type': 'text/xml' })).status).toBe(415);
    expect((await post(handle, '/playback', { asset: 'ch1' }, {})).status).toBe(401);
    expect(
      (
        await post(
          handle,
          '/playback',
          { asset: 'ch1' },
          { principal: 'arn:aws:sts::999999999999:assumed-role/cms/i-1' },
        )
      ).status,
    ).toBe(401);
  });

  it('binds what the asset binds: the widened network and the user agent', async () => {
    const { body } = await post(service(), '/playback', {
      asset: 'bound',
      subject: 'u',
      viewer: { address: '203.0.113.9', userAgent: 'Player/1' },
    });
    const claims = await claimsOf(body.token);
    expect(claims['catnip']).toMatchObject(['203.0.113.0/24']);
    expect(claims['cath']).toMatchObject({ 'user-agent': { exact: 'Player/1' } });
  });

  it('answers web players on the list, and no others, with CORS headers', async () => {
    const handle = service({ allowedOrigins: ['https://tv.example'] });
    const preflight = await handle(
      new Request('https://vend.example/playback', { method: 'OPTIONS', headers: { origin: 'https://tv.example' } }),
    );
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://tv.example',
    ]);
    const foreign = await post(handle, '/playback', { asset: 'ch1', subject: 'u' }, backend, {
      origin: 'https://evil.test',
    });
    expect([foreign.headers.get('access-control-allow-origin'), foreign.headers.get('vary')]).toEqual([null, 'Origin']);
  });

  it('logs every mint and refusal with ids, and never a token', async () => {
    const records: MintRecord[] = [];
    const handle = service({ log: (record) => records.push(record) });
    const { body } = await post(handle, '/playback', { asset: 'ch1', subject: 'u1' });
    await post(handle, '/renew', { asset: 'ch1', token: body.token });
    await post(handle, '/renew', { asset: 'ch1', token: `${body.token}x` });
    expect(records.map(({ event }) => event)).toEqual(['minted', 'renewed', 'refused']);
    expect(records[0]).toMatchObject({
      session: body.session,
      tokenId: expect.any(String),
      caller: backend.principal,
      asset: 'ch1',
      subject: 'u1',
    });
    expect(JSON.stringify(records)).not.toContain(body.token.slice(0, 60));
  });
});

describe('a viewer that shows its identity token', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authenticate = bearerCaller({
    keys: { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'id1' }] },
    issuer: 'https://id.example',
    audience: 'playback',
    backendScope: 'backend',
  });
  const identity = (
    claims: object,
    alg = 'ES256',
    signingKey: Parameters<SignJWT['sign']>[0] = privateKey,
  ): Promise<string> =>
    new SignJWT({
      iss: 'https://id.example',
      aud: 'playback',
      sub: 'viewer-1',
      exp: Math.floor(Date.now() / 1000) + 60,
      ...claims,
    })
      .setProtectedHeader({ alg, kid: 'id1' })
      .sign(signingKey);
  const handle = service({ authenticate });
  const ask = async (token: string, body: object = {}): Promise<Answer> =>
    post(
      handle,
      '/playback',
      { asset: 'bound', ...body },
      { address: '203.0.113.9' },
      { authorization: `Bearer ${token}`, 'user-agent': 'Player' },
    );

  it('mints for its own subject and address alone, whatever it sends', async () => {
    const { body } = await ask(await identity({}), {
      subject: 'somebody-else',
      viewer: { address: '198.51.100.1', userAgent: 'Other' },
    });
    const claims = await claimsOf(body.token);
    expect(claims['sub']).toBe('viewer-1');
    expect(claims['catnip']).toMatchObject(['203.0.113.0/24']);
  });

  it('is refused without a sound token', async () => {
    const wrong = [
      await identity({ exp: 1 }),
      await identity({ aud: 'other' }),
      await identity({ iss: 'https://evil.test' }),
      await identity({ sub: '' }),
      await identity({}, 'HS256', publicKey.export({ format: 'der', type: 'spki' })),
      'x.y.z',
      '',
    ];
    for (const token of wrong) expect((await ask(token)).status).toBe(401);
  });

  it('cannot renew or end the session of another account', async () => {
    const theirs = await signer.sign({ paths: '/live/', expiresIn: '1h', subject: 'viewer-2' });
    for (const path of ['/renew', '/end']) {
      const answer = await post(
        handle,
        path,
        { asset: 'ch1', token: theirs.token, subject: 'viewer-2' },
        { address: '203.0.113.9' },
        { authorization: `Bearer ${await identity({})}` },
      );
      expect([answer.status, answer.body.error]).toEqual([403, 'other_subject']);
    }
  });

  it('speaks for anybody only with the scope of a backend', async () => {
    const token = await identity({ scope: 'x backend' });
    const { body } = await ask(token, { asset: 'ch1', subject: 'u9' });
    expect((await claimsOf(body.token))['sub']).toBe('u9');
  });
});

describe('renewal', () => {
  it('keeps session and session end, gives a new token id, and clamps to the end', async () => {
    const handle = service();
    now = 1_800_000_000_000;
    const first = await post(handle, '/playback', { asset: 'ch1', subject: 'u1' });
    now += 55 * 60_000 - 300_000;
    expect((await post(handle, '/renew', { asset: 'ch1', token: first.body.token })).body.error).toBe('expired');
    now = 1_800_000_000_000;
    let current = first.body;
    while (now < 1_800_000_000_000 + 50 * 60_000) {
      now += 9 * 60_000;
      const { status, body } = await post(handle, '/renew', { asset: 'ch1', token: current.token });
      expect([status, body.session]).toEqual([200, first.body.session]);
      const before = await claimsOf(current.token);
      const after = await claimsOf(body.token);
      expect(after['jti']).not.toEqual(before['jti']);
      expect(after['sxp']).toBe(before['sxp']);
      expect(after['exp']).toBeLessThanOrEqual(after['sxp'] as number);
      current = body;
    }
    now = 1_800_003_600_000;
    expect((await post(handle, '/renew', { asset: 'ch1', token: current.token })).body.error).toBe('session_ended');
  });

  it('refuses tokens that are not ours', async () => {
    const other = createSigner({ issuer: 'cms', key: { ...key, secret: new Uint8Array(32).fill(1) } });
    const { token } = await other.sign({ paths: '/live/', expiresIn: '1h', subject: 'u1' });
    expect((await post(service(), '/renew', { asset: 'ch1', token })).body.error).toBe('bad_signature');
    expect((await post(service(), '/renew', { asset: 'ch1', token: 'nonsense' })).body.error).toBe('malformed_token');
    expect((await post(service(), '/renew', { asset: 'ch1' })).status).toBe(400);
  });
});

describe('the ledger', () => {
  it('is asked about subject, session, content, network and device, and stops minting and renewal', async () => {
    const asked: RefusalQuestion[] = [];
    let revoked = false;
    const ledger = {
      isRefused: (question: RefusalQuestion) => (
        asked.push(question),
        Promise.resolve(
          revoked ? ({ refused: true, reason: 'revoked', scope: 'subject' } as const) : ({ refused: false } as const),
        )
      ),
    };
    const handle = service({ ledger });
    const { body } = await post(handle, '/playback', {
      asset: 'ch1',
      subject: 'u1',
      device: 'd1',
      viewer: { address: '2001:db8::1' },
    });
    expect(asked[0]).toEqual({ subject: 'u1', content: 'ch1', network: '2001:db8::1', device: 'd1' });
    revoked = true;
    for (const path of ['/playback', '/renew']) {
      const answer = await post(handle, path, { asset: 'ch1', subject: 'u1', token: body.token });
      expect([answer.status, answer.body.error, answer.body.token]).toEqual([403, 'revoked', undefined]);
    }
    // "All tokens until now" must reach a renewal: it is asked with the shown token's iat, not with now.
    expect(asked.at(-1)).toMatchObject({ session: body.session, issuedAt: 1_800_000_000 });
  });

  it.each([
    ['the ledger', { ledger: { isRefused: () => Promise.reject(new Error('down')) } }],
    ['the assets', { assets: { get: () => Promise.reject(new Error('down')) } }],
    [
      'the sessions',
      {
        sessions: {
          start: () => Promise.reject(new Error('down')),
          renew: () => Promise.reject(new Error('down')),
          end: () => Promise.reject(new Error('down')),
        },
      },
    ],
    ['the authentication', { authenticate: () => Promise.reject(new Error('secret detail')) }],
  ])('refuses with 503 and Retry-After when %s does not answer', async (_, change) => {
    const { status, body, headers } = await post(service(change as Partial<VendingOptions>), '/playback', {
      asset: 'limited',
      subject: 'u1',
    });
    expect([status, headers.get('retry-after'), body.token]).toEqual([503, '2', undefined]);
    expect(JSON.stringify(body)).not.toContain('secret');
  });
});

describe('clips', () => {
  it('admits exactly the clip\u2019s own folder', async () => {
    for (const manifest of ['/clips/ch1/goal-1/index.m3u8', 'https://cdn.example/clips/ch1/goal-1/index.m3u8']) {
      const { body } = await post(service(), '/clip', { asset: 'clips', subject: 'u1', manifest });
      expect(body.url).toBe(`https://cdn.example/${body.token}/clips/ch1/goal-1/index.m3u8`);
      const claims = await claimsOf(body.token);
      expect(claims['catu']).toMatchObject({ path: { prefix: '/clips/ch1/goal-1/' } });
      expect(claims['exp']).toBe(1_800_001_800);
    }
  });

  it.each([
    '/clips/ch1/index.m3u8',
    '/clips/ch2/goal/index.m3u8',
    '/live/ch1/main.m3u8',
    '/clips/ch1/../ch2/x/index.m3u8',
    '/clips/ch1/%2e%2e/x/index.m3u8',
    'https://evil.test/clips/ch1/g/index.m3u8',
    '//evil.test/clips/ch1/g/index.m3u8',
    '/clips/ch1/goal/',
    '/clips/ch1/goal/a.ts',
    '/clips/ch1/g/index.m3u8?x=1',
    'clips',
    '',
  ])('refuses %j', async (manifest) => {
    expect((await post(service(), '/clip', { asset: 'clips', subject: 'u1', manifest })).status).toBe(400);
  });

  it('has none for assets without', async () => {
    expect(
      (await post(service(), '/clip', { asset: 'ch1', subject: 'u1', manifest: '/clips/ch1/g/index.m3u8' })).status,
    ).toBe(404);
  });
});

describe('concurrent sessions', () => {
  let database: ReturnType<typeof dynalite>;
  let client: commands.DynamoDBClient;

  beforeAll(async () => {
    database = dynalite({ createTableMs: 0 });
    await new Promise<void>((resolve) => void database.listen(0, '127.0.0.1', () => resolve()));
    const { port } = database.address() as AddressInfo;
    client = new commands.DynamoDBClient({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
    const text = (AttributeName: string): commands.AttributeDefinition => ({ AttributeName, AttributeType: 'S' });
    await client.send(
      new commands.CreateTableCommand({
        TableName: 'sessions',
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [text('subject'), text('place')],
        KeySchema: [
          { AttributeName: 'subject', KeyType: 'HASH' },
          { AttributeName: 'place', KeyType: 'RANGE' },
        ],
      }),
    );
    await client.send(
      new commands.CreateTableCommand({
        TableName: 'assets',
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [text('asset')],
        KeySchema: [{ AttributeName: 'asset', KeyType: 'HASH' }],
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
  afterAll(() => {
    client.destroy();
    database.close();
  });

  const stores: [string, () => SessionStore][] = [
    ['memory', memorySessions],
    ['DynamoDB', () => dynamoDbSessions({ client, commands, table: 'sessions' })],
  ];

  it.each(stores)('%s: of 50 simultaneous starts limited to 3, exactly 3 are admitted', async (name, make) => {
    const handle = service({ sessions: make() });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(handle, '/playback', { asset: 'limited', subject: `rush-${name}` })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(answers.filter(({ body }) => body.error === 'too_many_sessions')).toHaveLength(47);
  });

  it.each(stores)('%s: where the oldest must go, exactly 3 of 50 can still be renewed', async (name, make) => {
    const ended: string[] = [];
    const handle = service({ sessions: make(), onReplaced: (session) => void ended.push(session) });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(handle, '/playback', { asset: 'replacing', subject: `swap-${name}` })),
    );
    const admitted = answers.filter(({ status }) => status === 200);
    const renewed = await Promise.all(
      admitted.map(({ body }) => post(handle, '/renew', { asset: 'replacing', token: body.token })),
    );
    const alive = renewed.filter(({ status }) => status === 200).map(({ body }) => body.session);
    expect(alive).toHaveLength(3);
    expect(new Set([...alive, ...ended]).size).toBe(admitted.length);
  });

  it.each(stores)(
    '%s: a place is kept by renewal, and free again at its end and when it runs out',
    async (name, make) => {
      const handle = service({ sessions: make() });
      const start = (): Promise<Answer> => post(handle, '/playback', { asset: 'limited', subject: `keep-${name}` });
      const [first] = [await start(), await start(), await start()] as [Answer, Answer, Answer];
      expect((await start()).status).toBe(409);
      expect((await post(handle, '/renew', { asset: 'limited', token: first.body.token })).status).toBe(200);
      expect((await post(handle, '/end', { asset: 'limited', token: first.body.token })).status).toBe(200);
      expect((await start()).status).toBe(200);
      expect((await start()).status).toBe(409);
      now += 16 * 60_000;
      expect((await start()).status).toBe(200);
      now = 1_800_000_000_000;
    },
  );

  it('reads assets from a table, checked, and remembers no fault', async () => {
    const table = dynamoDbAssets({ client, commands, table: 'assets' });
    await client.send(
      new commands.PutItemCommand({
        TableName: 'assets',
        Item: { asset: { S: 'ok' }, policy: { S: JSON.stringify({ url, expiresIn: '5m' }) } },
      }),
    );
    await client.send(
      new commands.PutItemCommand({
        TableName: 'assets',
        Item: { asset: { S: 'bad' }, policy: { S: JSON.stringify({ url, expiresIn: '5m', contries: ['GB'] }) } },
      }),
    );
    expect(await table.get('ok')).toEqual({ url, expiresIn: '5m' });
    expect(await table.get('missing')).toBeUndefined();
    await expect(table.get('bad')).rejects.toThrow(/assets\.bad\.contries/);
    await client.send(
      new commands.PutItemCommand({
        TableName: 'assets',
        Item: { asset: { S: 'bad' }, policy: { S: JSON.stringify({ url, expiresIn: '5m' }) } },
      }),
    );
    expect(await table.get('bad')).toBeDefined();
  });
});

describe('adapters', () => {
  const event = (change: object = {}): GatewayEvent => ({
    version: '2.0',
    rawPath: '/prod/playback',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '198.51.100.1' },
    body: Buffer.from('{"asset":"ch1","subject":"u1"}').toString('base64'),
    isBase64Encoded: true,
    requestContext: {
      requestId: 'r-1',
      stage: 'prod',
      domainName: 'vend.example',
      http: { method: 'POST', sourceIp: '203.0.113.9' },
      authorizer: { iam: { userArn: backend.principal } },
    },
    ...change,
  });

  it('takes address and principal of a Lambda event from the gateway, not from headers', async () => {
    const seen: object[] = [];
    const handler = lambdaHandler(
      (request, context) => (seen.push(context ?? {}, { url: request.url }), service()(request, context)),
    );
    const result = await handler(event());
    expect(result.statusCode).toBe(200);
    expect(seen).toEqual([
      { address: '203.0.113.9', principal: backend.principal, requestId: 'r-1' },
      { url: 'https://vend.example/playback' },
    ]);
    expect(
      (await handler(event({ requestContext: { http: { method: 'POST', sourceIp: '203.0.113.9' } } }))).statusCode,
    ).toBe(404);
    const rest = await handler({
      httpMethod: 'POST',
      path: '/playback',
      headers: {},
      body: '{"asset":"ch1","subject":"u1"}',
      requestContext: { identity: { sourceIp: '203.0.113.9', userArn: backend.principal } },
    });
    expect(rest.statusCode).toBe(200);
  });

  it('hands cookies over in the form each gateway knows', async () => {
    const cookies = createSigner({ issuer: 'cms', key, clock, jitter: false, placement: { kind: 'cookie' } });
    const handler = lambdaHandler(service({ signer: cookies }));
    expect((await handler(event())).cookies).toHaveLength(1);
    const rest = await handler({
      httpMethod: 'POST',
      path: '/playback',
      body: '{"asset":"ch1","subject":"u1"}',
      requestContext: { identity: { userArn: backend.principal } },
    });
    expect(rest.multiValueHeaders?.['Set-Cookie']).toEqual([
      expect.stringMatching(/^CAT=.*; Path=\/live\/ch1\/; Max-Age=600; Secure; HttpOnly; SameSite=None$/),
    ]);
  });

  it('serves behind Node\u2019s HTTP server', async () => {
    const server: Server = createServer(
      (request, response) => void nodeListener(service(), { context: () => backend })(request, response),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const response = await fetch(`${base}/playback`, { method: 'POST', body: '{"asset":"ch1","subject":"u1"}' });
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
      expect((await fetch(`${base}//evil.test/playback`, { method: 'POST', body: '{}' })).status).toBe(404);
      expect((await fetch(`${base}/playback`, { method: 'POST', body: 'x'.repeat(70_000) })).status).toBe(413);
    } finally {
      server.close();
    }
  });
});
