import { build } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { decode } from '@portcullis/tokens/decode';
import type { VendingHandler } from '@portcullis/tokens/vending';
import { nodeListener } from '@portcullis/tokens/vending/node';
import { z } from 'zod';
import { listen, type Listening } from './listen.js';
import { VendRefusal, vendRequestSchema, type Vend } from './vending.js';

export interface SiteOptions {
  /** Folder of the page's sources. */
  readonly pageFolder: string;
  readonly vend: Vend;
  /** The SDK's vending service: `/playback`, `/renew`, `/clip`, `/end`. */
  readonly vending: VendingHandler;
  /** What the page must know; asked for at every request, since addresses are known last. */
  readonly pageConfig: () => Readonly<Record<string, unknown>> & { readonly edge: string };
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The page and its players, bundled from the sources and from node_modules: nothing is fetched from elsewhere. */
async function bundlePage(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const result = await build({
    entryPoints: [join(folder, 'main.ts')],
    outdir: '/demo',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    write: false,
    logLevel: 'silent',
  });
  for (const file of result.outputFiles) files.set(file.path.replace(/^.*\/demo\//, ''), Buffer.from(file.contents));
  for (const name of ['index.html', 'page.css', 'icon.svg']) files.set(name, await readFile(join(folder, name)));
  return files;
}

const bundles = new Map<string, Promise<Map<string, Buffer>>>();

/** Bundled once in a process: it takes longer than all the rest of a start. */
function bundledPage(folder: string): Promise<Map<string, Buffer>> {
  const bundle = bundles.get(folder) ?? bundlePage(folder);
  bundles.set(folder, bundle);
  return bundle;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > 65_536) throw new SyntaxError('The body is over 64 KB');
    chunks.push(chunk);
  }
  return size === 0 ? {} : (JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown);
}

function sendJson(response: ServerResponse, status: number, value: unknown, cookies: readonly string[] = []): void {
  const text = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...(cookies.length > 0 ? { 'set-cookie': [...cookies] } : {}),
  });
  response.end(text);
}

async function answerVend(options: SiteOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body: unknown;
  try {
    body = await readJson(request);
  } catch {
    return sendJson(response, 400, { error: 'invalid_request', message: 'The body is not JSON, or over 64 KB.' });
  }
  const parsed = vendRequestSchema.safeParse(body);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
    return sendJson(response, 400, { error: 'invalid_request', message: problems.join('; ') });
  }
  try {
    const answer = await options.vend(parsed.data, options.pageConfig().edge);
    sendJson(response, 200, answer, answer.cookies);
  } catch (error) {
    if (error instanceof VendRefusal) return sendJson(response, 403, { error: error.code, message: error.message });
    sendJson(response, 422, { error: 'not_vended', message: error instanceof Error ? error.message : String(error) });
  }
}

/** What a token says, for the page: reading one takes more than a browser has. */
async function answerDecode(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { token } = z.object({ token: z.string().max(8192) }).parse(await readJson(request));
    const { claims, expiresAt } = decode(token);
    const end = expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt * 1000).toISOString() };
    sendJson(response, 200, { claims, ...end });
  } catch {
    sendJson(response, 400, { error: 'malformed_token', message: 'Expected {"token": "<a token>"}.' });
  }
}

/** The web site of the demo: the page under `/demo/`, the demo's vending at `POST /vend` (and `/demo/vend`), and the SDK's
 * vending service. */
export async function startSite(options: SiteOptions): Promise<Listening> {
  const files = await bundledPage(options.pageFolder);
  const vending = nodeListener(options.vending);
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://site');
    response.setHeader('x-content-type-options', 'nosniff');
    if (request.headers.origin !== undefined) response.setHeader('access-control-allow-origin', request.headers.origin);
    if (request.method === 'OPTIONS') {
      response.writeHead(204, {
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'content-type',
      });
      response.end();
      return;
    }
    if (pathname === '/vend' || pathname === '/demo/vend') {
      if (request.method !== 'POST') {
        response.setHeader('allow', 'POST');
        return sendJson(response, 405, { error: 'method_not_allowed', message: 'Ask with POST and a JSON body.' });
      }
      void answerVend(options, request, response);
      return;
    }
    if (pathname === '/demo/decode' && request.method === 'POST') {
      void answerDecode(request, response);
      return;
    }
    if (['/playback', '/renew', '/clip', '/end'].includes(pathname)) {
      void vending(request, response);
      return;
    }
    request.resume();
    if (pathname === '/demo/config.json') return sendJson(response, 200, options.pageConfig());
    if (pathname === '/' || pathname === '/demo') {
      response.writeHead(302, { location: '/demo/' }).end();
      return;
    }
    const name = pathname === '/demo/' ? 'index.html' : pathname.replace(/^\/demo\//, '');
    const file = files.get(name);
    if (!file) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found\n');
      return;
    }
    response.writeHead(200, {
      'content-type': types[extname(name)] ?? 'application/octet-stream',
      'content-length': file.length,
      'cache-control': 'no-cache',
      'content-security-policy':
        "default-src 'self'; connect-src 'self' http://127.0.0.1:* http://localhost:*; media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data:",
    });
    response.end(request.method === 'HEAD' ? undefined : file);
  });
  return listen(server, 0);
}
