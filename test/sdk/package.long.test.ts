import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** An empty project with the packed package in it, as `npm install` would lay it out, without a network. */
const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'portcullis-package-'));
const modules = join(folder, 'node_modules');
const installed = join(modules, '@portcullis/tokens');
const environment = { ...process.env, PORTCULLIS_KEY: randomBytes(32).toString('base64url'), PORTCULLIS_KEY_ID: 'k1' };

/** Where a dependency of the package lies: its own folder first, then the root's. */
function dependency(name: string): string {
  const own = join(root, 'tokens/node_modules', name);
  return existsSync(own) ? own : join(root, 'node_modules', name);
}

function run(file: string, ...words: string[]): string {
  return execFileSync(process.execPath, [file, ...words], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

beforeAll(async () => {
  const { buildTokens } = (await import(join(root, 'tokens/build.mjs'))) as { buildTokens(): Promise<void> };
  await buildTokens();
  const packed = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      cwd: join(root, 'tokens'),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as { filename: string }[];
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, packed[0]?.filename as string), '-C', installed, '--strip-components=1']);
  for (const name of ['cbor-x', 'jose'])
    cpSync(dependency(name), join(modules, name), { recursive: true, dereference: true });
  writeFileSync(join(folder, 'package.json'), '{"name":"empty","private":true}');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const use = `
const key = { alg: 'HS256', kid: 'k1', secret: new Uint8Array(32).fill(1) };
createSigner({ issuer: 'cms', key }).signPlaybackUrl('https://cdn.example/live/a.m3u8', { expiresIn: '2h' })
  .then(({ token }) => verify(token, { keys: [key], request: { url: 'https://cdn.example/live/a.ts' } }))
  .then(({ issuer }) => console.log(issuer, error === KeyError));
`;

describe('the packed package', () => {
  it('brings cbor-x and jose along, and nothing else', () => {
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { dependencies: object };
    expect(Object.keys(manifest.dependencies)).toEqual(['cbor-x', 'jose']);
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
  });

  it('works from ESM, with one set of error classes over all entry points', () => {
    const file = write(
      'use.mjs',
      `import { createSigner, verify, KeyError } from '@portcullis/tokens';\nimport { environmentKey } from '@portcullis/tokens/keys/environment';\nlet error; try { environmentKey({ environment: {} }); } catch (thrown) { error = thrown.constructor; }${use}`,
    );
    expect(run(file).trim()).toBe('cms true');
  });

  it('works from CommonJS', () => {
    const file = write(
      'use.cjs',
      `const { createSigner, verify, KeyError } = require('@portcullis/tokens');\nconst { environmentKey } = require('@portcullis/tokens/keys/environment');\nlet error; try { environmentKey({ environment: {} }); } catch (thrown) { error = thrown.constructor; }${use}`,
    );
    expect(run(file).trim()).toBe('cms true');
  });

  it('has every entry point that it names, for both', () => {
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      exports: Record<string, unknown>;
    };
    const entries = Object.keys(exports)
      .filter((entry) => entry !== './package.json')
      .map((entry) => `@portcullis/tokens${entry.slice(1)}`);
    const esm = write(
      'all.mjs',
      `${entries.map((entry) => `await import(${JSON.stringify(entry)});`).join('\n')}\nconsole.log('ok');`,
    );
    const cjs = write(
      'all.cjs',
      `${entries.map((entry) => `require(${JSON.stringify(entry)});`).join('\n')}\nconsole.log('ok');`,
    );
    expect([run(esm).trim(), run(cjs).trim()]).toEqual(['ok', 'ok']);
    expect(entries.length).toBeGreaterThan(20);
  });

  it.each([
    ['node16', 'node16', 'use.mts'],
    ['node16', 'node16', 'use.cts'],
    ['ESNext', 'bundler', 'use.ts'],
  ])('has types for module %s, moduleResolution %s (%s), which refuse misuse', (module, resolution, name) => {
    const good = `
import { createSigner, verify, type Policy } from '@portcullis/tokens';
import { createVendingService } from '@portcullis/tokens/vending';
import { rewriteHls } from '@portcullis/tokens/manifest';
import { secretsManagerKey } from '@portcullis/tokens/keys/secrets-manager';
import { keepToken } from '@portcullis/tokens/browser';
export const policy: Policy = { paths: '/live/', countries: ['GB', 'US-CA'], expiresIn: '2h' };
export const signer = createSigner({ issuer: 'cms', key: { alg: 'HS256', kid: 'k', secret: new Uint8Array(32) } });
export const used = [verify, createVendingService, rewriteHls, secretsManagerKey, keepToken, signer.sign(policy)];
`;
    const wrong = [
      `signer.sign({ paths: '/live/' });`,
      `signer.sign({ expiresIn: '2h' });`,
      `signer.sign({ paths: '/live', expiresIn: '2h' });`,
      `signer.sign({ paths: '/live/', expiresIn: '2 hours' });`,
      `signer.sign({ paths: '/live/', expiresIn: '2h', expiresAt: new Date() });`,
      `signer.sign({ paths: '/live/', expiresIn: '2h', countries: ['UK'] });`,
      `signer.sign({ paths: '/live/', expiresIn: '2h', countries: [] });`,
      `signer.sign({ paths: '/live/', expiresIn: '2h', methods: ['get'] });`,
      `signer.sign({ paths: '/live/', expiresIn: '2h', networks: '203.0.113.9' });`,
      `createSigner({ key: { alg: 'HS256', secret: new Uint8Array(32) } });`,
      `createSigner({ issuer: 'cms', key: { alg: 'HS256', secret: 'text' } });`,
      `createSigner({ issuer: 'cms', key: { alg: 'ES256', secret: new Uint8Array(32) } });`,
      `createSigner({ issuer: 'cms', key: { alg: 'RS256', privateKey: 'pem' } });`,
      `createSigner({ issuer: 'cms', format: 'jwt', key: { alg: 'none' } });`,
      `verify('x', { keys: [] });`,
    ];
    const project = mkdtempSync(join(folder, 'types-'));
    symlinkSync(modules, join(project, 'node_modules'));
    writeFileSync(
      join(project, name),
      good + wrong.map((line) => `// @ts-expect-error -- misuse must not compile\n${line}\n`).join(''),
    );
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module,
          moduleResolution: resolution,
          target: 'ES2022',
          lib: ['ES2023', 'DOM', 'DOM.Iterable'],
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ['node'],
          typeRoots: [join(root, 'node_modules/@types')],
          skipLibCheck: false,
        },
        files: [name],
      }),
    );
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    let output = '';
    try {
      execFileSync(process.execPath, [tsc, '-p', project], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      output = String((error as { stdout?: string }).stdout);
    }
    // Declarations of other packages are not ours to prove.
    expect(
      output
        .split('\n')
        .filter((line) => line.includes('error') && !line.includes('/node_modules/@types/') && !line.includes('jose')),
    ).toEqual([]);
  });

  it('costs at most 40 KB minified for the CAT signer alone', async () => {
    const entry = write(
      'small.mjs',
      `import { createSigner } from '@portcullis/tokens/signer';\nglobalThis.signer = createSigner;`,
    );
    const whole = write(
      'index.mjs',
      `import { createSigner } from '@portcullis/tokens';\nglobalThis.signer = createSigner;`,
    );
    for (const file of [entry, whole]) {
      const { outputFiles } = await build({
        entryPoints: [file],
        bundle: true,
        minify: true,
        format: 'esm',
        platform: 'neutral',
        mainFields: ['module', 'main'],
        conditions: ['import'],
        write: false,
        treeShaking: true,
      });
      expect(outputFiles[0]?.contents.length).toBeLessThan(40_960);
    }
  });

  it('signs in a browser-like worker: no Node globals, WebCrypto alone', async () => {
    const file = write(
      'worker.mjs',
      `import { createSigner } from '@portcullis/tokens/signer';\nexport const make = () => createSigner({ issuer: 'cms', key: { alg: 'HS256', kid: 'k1', secret: new Uint8Array(32).fill(1) } }).sign({ paths: '/live/', expiresIn: '1h' });`,
    );
    const { outputFiles } = await build({
      entryPoints: [file],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
    });
    const { Miniflare } = await import('miniflare');
    const worker = new Miniflare({
      modules: [
        {
          type: 'ESModule',
          path: 'index.mjs',
          contents: `import { make } from './made.mjs';\nexport default { fetch: async () => new Response((await make()).token) };`,
        },
        { type: 'ESModule', path: 'made.mjs', contents: outputFiles[0]?.text as string },
      ],
      compatibilityDate: '2025-01-01',
    });
    try {
      const token = await (await worker.dispatchFetch('http://worker.invalid/')).text();
      const { verify } = await import('@portcullis/tokens');
      const verified = await verify(token, {
        keys: [{ alg: 'HS256', kid: 'k1', secret: new Uint8Array(32).fill(1) }],
        request: { url: '/live/a' },
      });
      expect(verified.issuer).toBe('cms');
    } finally {
      await worker.dispose();
    }
  });
});

describe('the examples', () => {
  beforeAll(() => {
    cpSync(join(root, 'tokens/examples'), join(folder, 'examples'), { recursive: true });
    // The frameworks are not part of the package: they come from the repository.
    for (const name of readdirSync(join(root, 'node_modules'))) {
      const target = join(modules, name);
      if (!existsSync(target)) symlinkSync(join(root, 'node_modules', name), target);
    }
  });

  it('Express: signs on a route of its own, and vends beside it', () => {
    const file = write(
      'express.mjs',
      `
import { app } from './examples/express/app.mjs';
const server = app.listen(0, '127.0.0.1', async () => {
  const base = 'http://127.0.0.1:' + server.address().port;
  const watch = await (await fetch(base + '/watch/ch1')).json();
  const vend = await fetch(base + '/vend/playback', { method: 'POST', headers: { 'x-demo-user': 'u1' }, body: '{"asset":"ch1"}' });
  const nobody = await fetch(base + '/vend/playback', { method: 'POST', body: '{"asset":"ch1"}' });
  console.log(JSON.stringify([watch.url, vend.status, (await vend.json()).url, nobody.status]));
  server.close();
});`,
    );
    expect(JSON.parse(run(file))).toEqual([
      expect.stringMatching(/^https:\/\/cdn\.example\/0YR[\w-]+\/live\/ch1\/main\.m3u8$/),
      200,
      expect.stringContaining('/live/ch1/main.m3u8'),
      401,
    ]);
  });

  it('Fastify: places the token behind a prefix', () => {
    const file = write(
      'fastify.mjs',
      `
import { app } from './examples/fastify/app.mjs';
const { json, statusCode } = await app.inject('/watch/ch1').then((r) => ({ json: r.json(), statusCode: r.statusCode }));
console.log(JSON.stringify([statusCode, json.url]));
await app.close();`,
    );
    expect(JSON.parse(run(file))).toEqual([
      200,
      expect.stringMatching(/^https:\/\/cdn\.example\/live\/0YR[\w-]+\/ch1\/main\.m3u8$/),
    ]);
  });

  it('Next.js route handler: sets the cookie', () => {
    const file = write(
      'next.mjs',
      `
import { GET } from './examples/next/route.mjs';
const response = await GET(new Request('https://site.example/api/watch/ch1'), { params: Promise.resolve({ channel: 'ch1' }) });
console.log(JSON.stringify([response.status, response.headers.getSetCookie()]));`,
    );
    expect(JSON.parse(run(file))).toEqual([
      200,
      [
        expect.stringMatching(
          /^CAT=0YR[\w-]+; Path=\/live\/ch1\/; Domain=example; Max-Age=\d+; Secure; HttpOnly; SameSite=None; Partitioned$/,
        ),
      ],
    ]);
  });

  it('Lambda: vends to the backend that the gateway authenticated', () => {
    const file = write(
      'lambda.mjs',
      `
import { handler } from './examples/lambda/handler.mjs';
console.log = () => {};
const event = (userArn) => ({ version: '2.0', rawPath: '/playback', body: '{"asset":"ch1","subject":"u1"}', requestContext: { http: { method: 'POST', sourceIp: '203.0.113.9' }, authorizer: { iam: { userArn } } } });
const good = await handler(event('arn:aws:sts::123456789012:assumed-role/cms/i-1'));
const bad = await handler(event('arn:aws:sts::999999999999:assumed-role/x/i-1'));
process.stdout.write(JSON.stringify([good.statusCode, JSON.parse(good.body).url, bad.statusCode]));`,
    );
    expect(JSON.parse(run(file))).toEqual([200, expect.stringContaining('https://cdn.example/0YR'), 401]);
  });
});
