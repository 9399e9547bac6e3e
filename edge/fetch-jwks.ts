import type { RemoteKeys } from './keys.js';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
/** RFC 7517 8.5.2; most issuers send plain JSON. */
const JSON_TYPE = /^application\/(?:json|jwk-set\+json)\s*(?:;|$)/i;

/**
 * A reader for an issuer's published keys. What it takes from there is bounded in time and size; redirects are not
 * followed, since whoever answers one would choose the keys.
 *
 * @returns Reads the set anew. Rejects with a message for the log when it cannot be had.
 * @throws TypeError for an address that is not https.
 */
export function fetchJwks(
  source: RemoteKeys,
  fetch: typeof globalThis.fetch = globalThis.fetch,
): () => Promise<unknown> {
  const { url, timeout = 2_000, maximumBytes = 65_536 } = source;
  const { protocol, hostname, username, password } = new URL(url);
  if ((protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.test(hostname))) || username || password)
    throw new TypeError(`Expected an https address without credentials, not ${url}.`);
  return async () => {
    const response = await fetch(url, {
      redirect: 'error',
      credentials: 'omit',
      headers: { accept: 'application/jwk-set+json, application/json' },
      signal: AbortSignal.timeout(timeout),
    });
    try {
      const type = response.headers.get('content-type') ?? 'none';
      if (response.status !== 200) throw new Error(`The answer has the status ${response.status}.`);
      if (!JSON_TYPE.test(type)) throw new Error(`The answer is of the type ${type.slice(0, 100)}, not JSON.`);
      return JSON.parse(await bodyText(response, maximumBytes)) as unknown;
    } finally {
      // What is left of an answer is not worth reading.
      await response.body?.cancel().catch(() => undefined);
    }
  };
}

/** The body, read no further than it may be long, whatever its headers say. */
async function bodyText(response: Response, maximumBytes: number): Promise<string> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const piece = await reader?.read();
      if (!piece || piece.done) break;
      length += piece.value.length;
      if (length > maximumBytes) throw new Error(`The answer is longer than ${maximumBytes} bytes.`);
      pieces.push(piece.value);
    }
  } finally {
    // Also ends the connection of an answer that goes on.
    await reader?.cancel().catch(() => undefined);
    reader?.releaseLock();
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
}
