import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { readTrack, shiftSegment, type Track } from './fragments.js';
import { listen, type Listening } from './listen.js';
import {
  dashManifest,
  livePlaylist,
  liveWindow,
  multivariantPlaylist,
  newestSegment,
  vodPlaylist,
} from './playlists.js';

export interface Origin extends Listening {
  readonly tracks: readonly Track[];
}

/** Reads the stream that lies in the repository: one folder per track. */
export async function readTracks(folder: string): Promise<Track[]> {
  const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  return Promise.all(
    names
      .map((entry) => entry.name)
      .sort()
      .map(async (name) => {
        const files = (await readdir(join(folder, name))).filter((file) => /^\d+\.m4s$/.test(file));
        files.sort((a, b) => parseInt(a, 10) - parseInt(b, 10));
        const init = await readFile(join(folder, name, 'init.mp4'));
        return readTrack(name, init, await Promise.all(files.map((file) => readFile(join(folder, name, file)))));
      }),
  );
}

interface Resource {
  readonly type: string;
  readonly bytes: Buffer;
  readonly cacheSeconds: number;
}

/**
 * Makes the answer for a path: `/live/<content>/…` repeats the stream for ever, `/vod/<content>/…` is one turn of it; any
 * content id plays the same picture.
 */
export function resourceFor(tracks: readonly Track[], path: string, epoch: number, now: number): Resource | undefined {
  const [, mode, content, ...rest] = path.split('/');
  if ((mode !== 'live' && mode !== 'vod') || !content || !/^[\w.~-]+$/.test(content)) return undefined;
  const live = mode === 'live';
  const text = (type: string, body: string): Resource => ({
    type,
    bytes: Buffer.from(body, 'utf8'),
    cacheSeconds: live ? 1 : 3600,
  });
  const hls = 'application/vnd.apple.mpegurl';
  if (rest.length === 1) {
    if (rest[0] === 'master.m3u8') return text(hls, multivariantPlaylist(tracks));
    if (rest[0] === 'manifest.mpd')
      return text('application/dash+xml', dashManifest(tracks, live ? { epoch } : undefined));
    return undefined;
  }
  const track = tracks.find(({ name }) => name === rest[0]);
  if (rest.length !== 2 || !track) return undefined;
  const type = `${track.kind}/mp4`;
  if (rest[1] === 'index.m3u8') return text(hls, live ? livePlaylist(track, epoch, now) : vodPlaylist(track));
  if (rest[1] === 'init.mp4') return { type, bytes: track.init, cacheSeconds: 3600 };
  const number = /^(0|[1-9]\d{0,9})\.m4s$/.exec(rest[1] ?? '')?.[1];
  if (number === undefined) return undefined;
  const index = Number(number);
  const count = track.segments.length;
  const segment = track.segments[index % count];
  if (!segment) return undefined;
  if (!live) return index < count ? { type, bytes: segment.bytes, cacheSeconds: 3600 } : undefined;
  const newest = newestSegment(epoch, now);
  if (index > newest || index < newest - 3 * liveWindow) return undefined;
  const turn = Math.floor(index / count);
  return { type, bytes: shiftSegment(segment.bytes, turn * track.duration, index + 1), cacheSeconds: 60 };
}

/** The part of a resource that a `Range: bytes=…` header asks for; `undefined`: all of it; `null`: none of it (416). */
export function readRange(header: string | undefined, size: number): { start: number; end: number } | null | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? null : { start: size - length, end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (start >= size) return null;
  return end < start ? undefined : { start, end };
}

function serve(resource: Resource, request: IncomingMessage, response: ServerResponse): void {
  const etag = `"${createHash('sha256').update(resource.bytes).digest('base64url').slice(0, 22)}"`;
  const common = {
    etag,
    'cache-control': `public, max-age=${resource.cacheSeconds}`,
    'accept-ranges': 'bytes',
    'access-control-allow-origin': '*',
  };
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, common).end();
    return;
  }
  const range = readRange(request.headers.range, resource.bytes.length);
  if (range === null) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${resource.bytes.length}` }).end();
    return;
  }
  const bytes = range ? resource.bytes.subarray(range.start, range.end + 1) : resource.bytes;
  response.writeHead(range ? 206 : 200, {
    ...common,
    'content-type': resource.type,
    'content-length': bytes.length,
    ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${resource.bytes.length}` } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** What the origin was asked, as JSON: for seeing what a function made of a request. */
function echo(request: IncomingMessage, response: ServerResponse): void {
  const status = Number(/[?&]status=([2-5]\d\d)\b/.exec(request.url ?? '')?.[1] ?? 200);
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = JSON.stringify({
      method: request.method,
      // Bytes as they arrived: one character each.
      target: request.url,
      headers: request.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [[name.toLowerCase(), all[i + 1]]] : [])),
      body: Buffer.concat(chunks).toString('utf8'),
    });
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'set-cookie': ['origin=1; Path=/', 'theme=dark; Path=/; HttpOnly'],
    });
    response.end(request.method === 'HEAD' || status === 204 || status === 304 ? undefined : text);
  });
}

export interface OriginOptions {
  readonly streamFolder: string;
  readonly now?: () => number;
}

/**
 * The origin behind the local edge: the demo stream live and on demand, as HLS and DASH of the same segments, and
 * `/echo/…`, which answers with the request it received (`?status=404` chooses the status).
 */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const now = options.now ?? Date.now;
  const tracks = await readTracks(options.streamFolder);
  // The loop began a minute ago, on a whole second: there is a full window from the first request on.
  const epoch = Math.floor(now() / 1000) * 1000 - 60_000;
  // Longer than the edge keeps a connection in hand: one that ends as it is used again would be a 502.
  const server = createServer({ maxHeaderSize: 65_536, keepAliveTimeout: 600_000 }, (request, response) => {
    const target = request.url ?? '/';
    const question = target.indexOf('?');
    const path = question < 0 ? target : target.slice(0, question);
    if (path.startsWith('/echo')) return echo(request, response);
    request.resume();
    if (request.method === 'OPTIONS') {
      response
        .writeHead(204, { 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET, HEAD' })
        .end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD, OPTIONS' }).end();
      return;
    }
    const resource = resourceFor(tracks, path, epoch, now());
    if (resource) serve(resource, request, response);
    else response.writeHead(404, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end('Not found\n');
  });
  return { ...(await listen(server, 0)), tracks };
}
