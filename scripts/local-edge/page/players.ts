import Hls from 'hls.js';
import { tokenOfHeader, tokenOfRedirect, type TokenCarrier } from './carrier.js';

/** One answer of the edge, as a player received it. */
export interface EdgeAnswer {
  readonly at: number;
  readonly url: string;
  /** 0: no answer came. */
  readonly status: number;
  readonly reason: string | undefined;
  readonly milliseconds: number;
  readonly country: string | undefined;
  /** A token that the edge renewed with this answer. */
  readonly renewed: string | undefined;
}

export interface Player {
  /** Loads the stream anew and plays. */
  start(): void;
  stop(): void;
  destroy(): void;
}

export type OnAnswer = (answer: EdgeAnswer) => void;

function reasonOf(header: string | null, body: () => unknown): string | undefined {
  if (header) return header;
  try {
    const text = body();
    const parsed = (typeof text === 'string' ? JSON.parse(text) : text) as { error?: unknown } | null;
    return typeof parsed?.error === 'string' ? parsed.error : undefined;
  } catch {
    return undefined;
  }
}

function bodyText(request: XMLHttpRequest): unknown {
  if (request.response instanceof ArrayBuffer) return new TextDecoder().decode(request.response);
  return request.response;
}

/** Names under which a renewed token comes back. */
export const renewalHeaders = ['cta-common-access-token', 'common-access-token'] as const;

function renewedToken(
  carrier: TokenCarrier,
  asked: string,
  answered: string,
  header: (name: string) => string | null,
): string | undefined {
  for (const name of renewalHeaders) {
    const token = tokenOfHeader(header(name));
    if (token !== undefined) return token;
  }
  return tokenOfRedirect(new URL(asked, location.href).href, answered, carrier.token, carrier.start);
}

/** hls.js: tokens are exchanged and headers set in its request hook. */
export function createHlsPlayer(video: HTMLVideoElement, carrier: TokenCarrier, onAnswer: OnAnswer): Player {
  const once = { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 20_000, timeoutRetry: null, errorRetry: null };
  const hls = new Hls({
    enableWorker: false,
    liveSyncDuration: 4,
    maxBufferLength: 8,
    backBufferLength: 20,
    manifestLoadPolicy: { default: once },
    playlistLoadPolicy: { default: once },
    fragLoadPolicy: { default: once },
    xhrSetup(request, url) {
      const carried = carrier.request(url);
      const started = performance.now();
      const { country } = carrier.tricks;
      request.open('GET', carried.url, true);
      for (const [name, value] of Object.entries(carried.headers)) request.setRequestHeader(name, value);
      request.withCredentials = true;
      let aborted = false;
      request.addEventListener('abort', () => (aborted = true));
      request.addEventListener('loadend', () => {
        // The player itself gave the request up: that is no answer of the edge.
        if (aborted) return;
        onAnswer({
          at: Date.now(),
          url: carried.url,
          status: request.status,
          reason:
            request.status >= 400
              ? reasonOf(request.getResponseHeader('x-portcullis-reason'), () => bodyText(request))
              : undefined,
          milliseconds: performance.now() - started,
          country,
          renewed: renewedToken(carrier, carried.url, request.responseURL, (name) => request.getResponseHeader(name)),
        });
      });
    },
  });
  hls.on(Hls.Events.MANIFEST_PARSED, () => void video.play().catch(() => undefined));
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (data.fatal && data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
  });
  hls.attachMedia(video);
  return {
    start: () => hls.loadSource(carrier.startUrl),
    stop: () => hls.stopLoad(),
    destroy: () => hls.destroy(),
  };
}

/** Asks once, as a player would: for finding out whether the gate has opened again. */
export async function probe(carrier: TokenCarrier, onAnswer: OnAnswer): Promise<boolean> {
  const carried = carrier.request(carrier.startUrl);
  const started = performance.now();
  const { country } = carrier.tricks;
  try {
    const response = await fetch(carried.url, { headers: carried.headers, credentials: 'include', cache: 'no-store' });
    const text = await response.text();
    onAnswer({
      at: Date.now(),
      url: carried.url,
      status: response.status,
      reason: response.ok ? undefined : reasonOf(response.headers.get('x-portcullis-reason'), () => text),
      milliseconds: performance.now() - started,
      country,
      renewed: renewedToken(carrier, carried.url, response.url, (name) => response.headers.get(name)),
    });
    return response.ok;
  } catch {
    onAnswer({
      at: Date.now(),
      url: carried.url,
      status: 0,
      reason: undefined,
      milliseconds: performance.now() - started,
      country,
      renewed: undefined,
    });
    return false;
  }
}
