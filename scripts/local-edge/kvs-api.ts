import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** Where a loopback KeyValueStore keeps its pairs. Keys and values are UTF-8 text. */
export interface KvStorage {
  get(key: string): Promise<string | undefined>;
  put(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** Every pair, in any order; read once, when the API starts. */
  entries(): Promise<Iterable<readonly [key: string, value: string]>>;
  /** Applies a batch in one go, where the storage can; else `put` and `delete` are called one by one. */
  apply?(batch: KvBatch): Promise<void>;
}

export interface KvBatch {
  readonly puts: readonly (readonly [key: string, value: string])[];
  readonly deletes: readonly string[];
}

/** A storage in memory. */
export function memoryStorage(
  pairs: Iterable<readonly [string, string]> = [],
): KvStorage & { readonly map: Map<string, string> } {
  const map = new Map(pairs);
  return {
    map,
    get: (key) => Promise.resolve(map.get(key)),
    put(key, value) {
      map.set(key, value);
      return Promise.resolve();
    },
    delete(key) {
      map.delete(key);
      return Promise.resolve();
    },
    entries: () => Promise.resolve(map.entries()),
    apply({ puts, deletes }) {
      for (const key of deletes) map.delete(key);
      for (const [key, value] of puts) map.set(key, value);
      return Promise.resolve();
    },
  };
}

export type KvsOperation = 'DescribeKeyValueStore' | 'GetKey' | 'PutKey' | 'DeleteKey' | 'ListKeys' | 'UpdateKeys';

/** The quotas of the CloudFront developer guide, "Quotas on key value stores"; byte counts of UTF-8. */
export interface KvsLimits {
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly storeBytes: number;
  readonly batchKeys: number;
  readonly batchBytes: number;
  readonly pageKeys: number;
}

export const documentedLimits: KvsLimits = {
  keyBytes: 512,
  valueBytes: 1024,
  storeBytes: 5_000_000,
  batchKeys: 50,
  batchBytes: 3_000_000,
  pageKeys: 50,
};

/** What a fault hook can make of one call. */
export type KvsFault =
  /** Answers 429 ThrottlingException. */
  | { readonly kind: 'throttle' }
  /** Closes the connection, before the call takes effect or after it did. */
  | { readonly kind: 'drop'; readonly when: 'before' | 'after' }
  /** Waits, then goes on. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  /** Answers a documented error. */
  | { readonly kind: 'error'; readonly code: KvsErrorCode; readonly message?: string };

/** Called once for every request; `call` counts all requests from 1. */
export type KvsFaults = (call: { readonly operation: KvsOperation; readonly call: number }) => KvsFault | undefined;

export type KvsErrorCode =
  | 'AccessDeniedException'
  | 'ConflictException'
  | 'InternalServerException'
  | 'ResourceNotFoundException'
  | 'ServiceQuotaExceededException'
  | 'ThrottlingException'
  | 'ValidationException';

const statusOf: Record<KvsErrorCode, number> = {
  AccessDeniedException: 403,
  ConflictException: 409,
  InternalServerException: 500,
  ResourceNotFoundException: 404,
  ServiceQuotaExceededException: 402,
  ThrottlingException: 429,
  ValidationException: 400,
};

export interface KvsApiOptions {
  readonly storage: KvStorage;
  /** 0 or absent: any free port of the loopback address. */
  readonly port?: number;
  /** The ARN this store answers to; every other one is a ResourceNotFoundException. */
  readonly arn: string;
  readonly limits?: Partial<KvsLimits>;
  readonly faults?: KvsFaults;
  /** `PROVISIONING` refuses reads and writes of keys, as a new store does until it is `READY`. */
  readonly status?: () => 'READY' | 'PROVISIONING';
  readonly now?: () => number;
}

export interface KvsApi {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  readonly arn: string;
  /** Requests answered so far, by operation. */
  readonly calls: Readonly<Record<KvsOperation, number>>;
  /** Ends the server and every open connection. */
  close(): Promise<void>;
}

class KvsError extends Error {
  readonly code: KvsErrorCode;
  constructor(code: KvsErrorCode, message: string) {
    super(message);
    this.name = 'KvsError';
    this.code = code;
  }
}

interface KvsAnswer {
  readonly body: Record<string, unknown>;
  readonly etag?: string;
}

/**
 * Serves the CloudFront KeyValueStore data plane (API version 2022-07-26) over HTTP on the loopback address, with its
 * ETag rules, limits and errors, so that the real AWS SDK client can be used where there is no AWS.
 *
 * The ETag versions the whole store: any change makes every ETag handed out before stale (`ConflictException`).
 * `UpdateKeys` is all or nothing.
 *
 * @example
 * const api = await createKvsApi({ storage: memoryStorage(), arn: 'arn:aws:cloudfront::000000000000:key-value-store/demo' });
 * // point a client at api.endpoint, then:
 * await api.close();
 */
export async function createKvsApi(options: KvsApiOptions): Promise<KvsApi> {
  const limits: KvsLimits = { ...documentedLimits, ...options.limits };
  const now = options.now ?? Date.now;
  const store = await openStore(options.storage, limits, now);
  const calls: Record<KvsOperation, number> = {
    DescribeKeyValueStore: 0,
    GetKey: 0,
    PutKey: 0,
    DeleteKey: 0,
    ListKeys: 0,
    UpdateKeys: 0,
  };
  let callCount = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = routeOf(request);
    if (!route) throw new KvsError('ValidationException', `No such operation: ${request.method} ${request.url}`);
    const body = await readBody(request, limits.batchBytes * 2);
    calls[route.operation] += 1;
    callCount += 1;
    const fault = options.faults?.({ operation: route.operation, call: callCount });
    if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.milliseconds));
    if (fault?.kind === 'throttle') throw new KvsError('ThrottlingException', 'Rate exceeded');
    if (fault?.kind === 'error') throw new KvsError(fault.code, fault.message ?? `Injected ${fault.code}`);
    if (fault?.kind === 'drop' && fault.when === 'before') return drop(request);
    checkSignaturePresent(request);
    if (route.arn !== options.arn) {
      throw new KvsError('ResourceNotFoundException', `Key value store ${route.arn} does not exist`);
    }
    const status = options.status?.() ?? 'READY';
    if (status !== 'READY' && route.operation !== 'DescribeKeyValueStore') {
      throw new KvsError('ConflictException', 'The key value store is being provisioned');
    }
    const result = await perform(store, route, request, body, { arn: options.arn, status });
    if (fault?.kind === 'drop') return drop(request);
    const text = JSON.stringify(result.body);
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'x-amzn-requestid': requestId(),
      ...(result.etag === undefined ? {} : { etag: result.etag }),
    });
    response.end(text);
  }

  const sockets = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      const known = error instanceof KvsError ? error : new KvsError('InternalServerException', String(error));
      const text = JSON.stringify({ Message: known.message });
      if (!response.headersSent) {
        response.writeHead(statusOf[known.code], {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          'x-amzn-errortype': known.code,
          'x-amzn-requestid': requestId(),
        });
      }
      response.end(text);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arn: options.arn,
    calls,
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
    },
  };
}

function requestId(): string {
  return randomBytes(16).toString('hex');
}

function drop(request: IncomingMessage): void {
  request.socket.destroy();
}

interface Route {
  readonly operation: KvsOperation;
  readonly arn: string;
  readonly key: string | undefined;
  readonly query: URLSearchParams;
}

function routeOf(request: IncomingMessage): Route | undefined {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  // An ARN holds a slash: it arrives percent-encoded, as one path segment.
  const [, root, arnText, keysText, keyText, ...rest] = url.pathname.split('/');
  if (root !== 'key-value-stores' || !arnText || rest.length > 0) return undefined;
  const operation = operationOf(request.method ?? '', keysText, keyText);
  if (!operation) return undefined;
  try {
    const key = keyText === undefined ? undefined : decodeURIComponent(keyText);
    return { operation, arn: decodeURIComponent(arnText), key, query: url.searchParams };
  } catch {
    return undefined;
  }
}

function operationOf(method: string, keys: string | undefined, key: string | undefined): KvsOperation | undefined {
  if (keys === undefined) return method === 'GET' ? 'DescribeKeyValueStore' : undefined;
  if (keys !== 'keys') return undefined;
  if (!key) return method === 'GET' ? 'ListKeys' : method === 'POST' ? 'UpdateKeys' : undefined;
  if (method === 'GET') return 'GetKey';
  if (method === 'PUT') return 'PutKey';
  return method === 'DELETE' ? 'DeleteKey' : undefined;
}

async function readBody(request: IncomingMessage, limit: number): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new KvsError('ValidationException', 'Request body too large');
    chunks.push(chunk);
  }
  if (size === 0) return {};
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (body !== null && typeof body === 'object' && !Array.isArray(body)) return body as Record<string, unknown>;
  } catch {
    // answered below
  }
  throw new KvsError('ValidationException', 'Request body is not a JSON object');
}

/** The service takes SigV4A alone. There is no key to check a signature with here: its form is checked. */
function checkSignaturePresent(request: IncomingMessage): void {
  const authorization = request.headers.authorization ?? '';
  if (!authorization.startsWith('AWS4-ECDSA-P256-SHA256 ') || !authorization.includes('/cloudfront-keyvaluestore/')) {
    throw new KvsError('AccessDeniedException', 'The request is not signed with Signature Version 4A');
  }
}

async function perform(
  store: Store,
  route: Route,
  request: IncomingMessage,
  body: Record<string, unknown>,
  about: { readonly arn: string; readonly status: string },
): Promise<KvsAnswer> {
  const ifMatch = request.headers['if-match'];
  switch (route.operation) {
    case 'DescribeKeyValueStore':
      return {
        etag: store.etag(),
        body: {
          ...store.totals(),
          KvsARN: about.arn,
          Created: store.created / 1000,
          LastModified: store.lastModified() / 1000,
          Status: about.status,
        },
      };
    case 'GetKey': {
      const key = route.key as string;
      const value = store.get(key);
      if (value === undefined) throw new KvsError('ResourceNotFoundException', `Key ${key} does not exist`);
      return { body: { Key: key, Value: value, ...store.totals() } };
    }
    case 'ListKeys':
      return { body: store.list(route.query.get('NextToken'), route.query.get('MaxResults')) };
    case 'PutKey':
      return store.update(ifMatch, { puts: [[route.key as string, textField(body, 'Value')]], deletes: [] });
    case 'DeleteKey':
      return store.update(ifMatch, { puts: [], deletes: [route.key as string] }, true);
    case 'UpdateKeys':
      return store.update(ifMatch, {
        puts: listField(body, 'Puts').map((item) => [textField(item, 'Key'), textField(item, 'Value')]),
        deletes: listField(body, 'Deletes').map((item) => textField(item, 'Key')),
      });
  }
}

function textField(record: Record<string, unknown>, name: string): string {
  const value = record[name];
  if (typeof value !== 'string') throw new KvsError('ValidationException', `${name} must be a string`);
  return value;
}

function listField(record: Record<string, unknown>, name: string): Record<string, unknown>[] {
  const value = record[name] ?? [];
  if (!Array.isArray(value) || value.some((item) => item === null || typeof item !== 'object')) {
    throw new KvsError('ValidationException', `${name} must be a list of objects`);
  }
  return value as Record<string, unknown>[];
}

interface Store {
  readonly created: number;
  etag(): string;
  lastModified(): number;
  totals(): { readonly ItemCount: number; readonly TotalSizeInBytes: number };
  get(key: string): string | undefined;
  list(nextToken: string | null, maxResults: string | null): Record<string, unknown>;
  update(ifMatch: string | undefined, batch: KvBatch, mustExist?: boolean): Promise<KvsAnswer>;
}

async function openStore(storage: KvStorage, limits: KvsLimits, now: () => number): Promise<Store> {
  const pairs = new Map<string, string>(await storage.entries());
  let totalBytes = 0;
  for (const [key, value] of pairs) totalBytes += pairBytes(key, value);
  const created = now();
  const instance = randomBytes(6).toString('hex').toUpperCase();
  let version = 0;
  let lastModified = created;
  let sortedKeys: string[] | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  const etag = (): string => `KV${instance}${version.toString(36).toUpperCase()}`;
  const totals = (): { ItemCount: number; TotalSizeInBytes: number } => ({
    ItemCount: pairs.size,
    TotalSizeInBytes: totalBytes,
  });

  async function applyUpdate(ifMatch: string | undefined, batch: KvBatch, mustExist: boolean): Promise<KvsAnswer> {
    if (ifMatch === undefined) throw new KvsError('ValidationException', 'If-Match is missing');
    checkBatch(batch, limits);
    if (ifMatch !== etag()) {
      throw new KvsError('ConflictException', 'The submitted If-Match header does not match the current ETag');
    }
    if (mustExist) {
      for (const key of batch.deletes) {
        if (!pairs.has(key)) throw new KvsError('ResourceNotFoundException', `Key ${key} does not exist`);
      }
    }
    const bytesAfter = totalBytes + bytesAdded(pairs, batch);
    if (bytesAfter > limits.storeBytes && bytesAfter > totalBytes) {
      throw new KvsError(
        'ServiceQuotaExceededException',
        `The key value store would hold ${bytesAfter} bytes; its limit is ${limits.storeBytes}`,
      );
    }
    if (storage.apply) await storage.apply(batch);
    else {
      for (const key of batch.deletes) await storage.delete(key);
      for (const [key, value] of batch.puts) await storage.put(key, value);
    }
    const countBefore = pairs.size;
    let keysChanged = false;
    for (const key of batch.deletes) keysChanged = pairs.delete(key) || keysChanged;
    for (const [key, value] of batch.puts) pairs.set(key, value);
    if (keysChanged || pairs.size !== countBefore) sortedKeys = undefined;
    totalBytes = bytesAfter;
    version += 1;
    lastModified = now();
    return { body: totals(), etag: etag() };
  }

  return {
    created,
    etag,
    lastModified: () => lastModified,
    totals,
    get: (key) => pairs.get(key),
    list(nextToken, maxResults) {
      const size = maxResults === null ? 10 : Number(maxResults);
      if (!Number.isInteger(size) || size < 1 || size > limits.pageKeys) {
        throw new KvsError('ValidationException', `MaxResults must be 1 to ${limits.pageKeys}`);
      }
      sortedKeys ??= [...pairs.keys()].sort();
      const start =
        nextToken === null ? 0 : firstAfter(sortedKeys, Buffer.from(nextToken, 'base64url').toString('utf8'));
      const page = sortedKeys.slice(start, start + size);
      const last = page.at(-1);
      const more = start + size < sortedKeys.length && last !== undefined;
      return {
        Items: page.map((key) => ({ Key: key, Value: pairs.get(key) })),
        ...(more ? { NextToken: Buffer.from(last, 'utf8').toString('base64url') } : {}),
      };
    },
    update(ifMatch, batch, mustExist = false) {
      const result = queue.then(() => applyUpdate(ifMatch, batch, mustExist));
      queue = result.catch(() => undefined);
      return result;
    },
  };
}

function pairBytes(key: string, value: string): number {
  return Buffer.byteLength(key) + Buffer.byteLength(value);
}

function bytesAdded(pairs: ReadonlyMap<string, string>, batch: KvBatch): number {
  let added = 0;
  for (const key of batch.deletes) {
    const value = pairs.get(key);
    if (value !== undefined) added -= pairBytes(key, value);
  }
  for (const [key, value] of batch.puts) {
    const before = pairs.get(key);
    added += pairBytes(key, value) - (before === undefined ? 0 : pairBytes(key, before));
  }
  return added;
}

/** Position of the first key greater than `key`; the list is sorted. */
function firstAfter(sortedKeys: readonly string[], key: string): number {
  let low = 0;
  let high = sortedKeys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sortedKeys[middle] as string) <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function checkBatch(batch: KvBatch, limits: KvsLimits): void {
  const keys = [...batch.deletes, ...batch.puts.map(([key]) => key)];
  if (keys.length === 0) throw new KvsError('ValidationException', 'No keys to update');
  if (keys.length > limits.batchKeys) {
    throw new KvsError(
      'ValidationException',
      `At most ${limits.batchKeys} keys may be updated at once, not ${keys.length}`,
    );
  }
  if (new Set(keys).size !== keys.length) throw new KvsError('ValidationException', 'A key appears more than once');
  let bytes = 0;
  for (const key of keys) {
    const size = Buffer.byteLength(key);
    bytes += size;
    if (size < 1 || size > limits.keyBytes) {
      throw new KvsError('ValidationException', `A key has 1 to ${limits.keyBytes} bytes, not ${size}`);
    }
  }
  for (const [key, value] of batch.puts) {
    const size = Buffer.byteLength(value);
    bytes += size;
    if (size > limits.valueBytes) {
      throw new KvsError(
        'ValidationException',
        `The value of ${key} has ${size} bytes; at most ${limits.valueBytes} fit`,
      );
    }
  }
  if (bytes > limits.batchBytes) {
    throw new KvsError(
      'ValidationException',
      `At most ${limits.batchBytes} bytes may be updated at once, not ${bytes}`,
    );
  }
}
