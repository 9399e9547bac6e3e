import { createReferenceRewriter, type ReferenceRewriter, type UrlPlacement } from '../manifest/reference.js';
import { defaultHeaderName, type Placement } from '../placement.js';

/** What the vending service answers; more fields do no harm. */
export interface Playback {
  /** Playback URL with its token. */
  readonly url: string;
  readonly token: string;
  /** Seconds until the next token should be asked for. */
  readonly renewAfter?: number | undefined;
  /** End of this token, ISO 8601. */
  readonly expiresAt?: string | undefined;
  readonly sessionEndsAt?: string | undefined;
}

export interface TokenKeeperOptions {
  /** The first answer of the vending service. */
  readonly playback: Playback;
  /** Asks for the next token, with the current one: `POST /renew`. */
  readonly renew: (current: Playback) => Promise<Playback>;
  /** Where the token travels; what the signer was made with. */
  readonly placement: Placement;
  /** Hosts that get the token. Default: that of `playback.url`. */
  readonly hosts?: readonly string[];
  readonly onRenewed?: (playback: Playback) => void;
  /** A renewal failed; it is tried again until the token ends. `final`: it will not be. */
  readonly onError?: (error: unknown, final: boolean) => void;
  /** Timers and clock, for tests. */
  readonly timers?: {
    setTimeout(action: () => void, milliseconds: number): unknown;
    clearTimeout(timer: never): void;
    now(): number;
  };
}

/** Keeps one playback's token fresh, and puts it on the player's requests. */
export interface TokenKeeper {
  readonly current: Playback;
  /** A request URL as it must be sent: with the current token instead of an older one. Foreign hosts stay untouched. */
  url(requestUrl: string): string;
  /** Request headers for a URL; empty for placements without, and for foreign hosts. */
  headers(requestUrl: string): Readonly<Record<string, string>>;
  /** Whether cookies must go along. */
  credentials(requestUrl: string): boolean;
  /** Renews now: after a 401, or when the page comes back from sleep. Calls at the same time share one renewal. */
  renewNow(): Promise<Playback>;
  /** Resolves when the current token is usable: at once, or after the renewal of one that ended while the page slept. */
  ready(): Promise<void>;
  /** Stops renewing. */
  stop(): void;
}

/** Longest wait between attempts, in milliseconds. */
const longestRetry = 30_000;
/** Timers take 32 bits of milliseconds; longer ones would fire at once. */
const longestTimer = 2_147_483_647;

/**
 * Starts keeping a token.
 *
 * @example
 * ```ts
 * const keeper = keepToken({ playback, placement: { kind: 'query' }, renew: (current) => post('/renew', { asset, token: current.token }) });
 * const hls = new Hls(hlsJsConfig(keeper));
 * hls.loadSource(playback.url);
 * ```
 */
export function keepToken(options: TokenKeeperOptions): TokenKeeper {
  const timers = options.timers ?? {
    setTimeout: (action: () => void, milliseconds: number) => setTimeout(action, milliseconds),
    clearTimeout: (timer: never) => clearTimeout(timer),
    now: () => Date.now(),
  };
  const { placement } = options;
  let current = options.playback;
  let timer: unknown;
  let pending: Promise<Playback> | undefined;
  let stopped = false;
  let failures = 0;
  let references: ReferenceRewriter | undefined;

  const ends = (moment: string | undefined): number => (moment === undefined ? Infinity : Date.parse(moment));
  const ours = (requestUrl: string): boolean => {
    const hosts = options.hosts ?? [new URL(options.playback.url).host];
    try {
      return hosts.includes(new URL(requestUrl, options.playback.url).host);
    } catch {
      return false;
    }
  };
  const inUrl = (kind: Placement['kind']): boolean => kind === 'path' || kind === 'query' || kind === 'pathParameter';

  function schedule(seconds: number | undefined): void {
    timers.clearTimeout(timer as never);
    if (stopped || seconds === undefined) return;
    timer = timers.setTimeout(
      () => void keeper.renewNow().catch(() => undefined),
      Math.min(longestTimer, seconds * 1000),
    );
  }

  async function renew(): Promise<Playback> {
    try {
      const next = await options.renew(current);
      current = next;
      references = undefined;
      failures = 0;
      schedule(next.renewAfter);
      options.onRenewed?.(next);
      return next;
    } catch (error) {
      failures++;
      const now = timers.now();
      const final = stopped || now >= ends(current.sessionEndsAt) || isRefusal(error);
      // Every viewer of an outage would otherwise come back in the same second.
      const wait = Math.min(longestRetry, 1000 * 2 ** Math.min(failures, 5)) * (0.5 + Math.random() / 2);
      if (!final) schedule(wait / 1000);
      options.onError?.(error, final);
      throw error;
    } finally {
      pending = undefined;
    }
  }

  const keeper: TokenKeeper = {
    get current() {
      return current;
    },
    url(requestUrl) {
      if (!inUrl(placement.kind)) return requestUrl;
      references ??= createReferenceRewriter({
        manifestUrl: options.playback.url,
        token: current.token,
        placement: placement as UrlPlacement,
        ...(options.hosts ? { hosts: options.hosts } : {}),
      });
      return references.rewrite(requestUrl, references.root);
    },
    headers(requestUrl) {
      if (!ours(requestUrl)) return {};
      if (placement.kind === 'header') return { [placement.name ?? defaultHeaderName]: current.token };
      return placement.kind === 'authorization' ? { Authorization: `Bearer ${current.token}` } : {};
    },
    credentials: (requestUrl) => placement.kind === 'cookie' && ours(requestUrl),
    renewNow: () => (pending ??= renew()),
    async ready() {
      if (timers.now() >= ends(current.expiresAt)) await keeper.renewNow();
    },
    stop() {
      stopped = true;
      timers.clearTimeout(timer as never);
    },
  };
  schedule(current.renewAfter);
  return keeper;
}

/** The vending service said no: asking again changes nothing. */
function isRefusal(error: unknown): boolean {
  const status = (error as { status?: unknown } | null)?.status;
  return status === 401 || status === 403 || status === 404 || status === 409;
}

/** Thrown by {@link vendingClient}; `status` and `code` are the service's. */
export class VendingError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'VendingError';
    this.status = status;
    this.code = code;
  }
}

/**
 * Asks a vending service from the page.
 *
 * @param options.url Base URL of the service. `authorization` is asked for each time, since identity tokens are short-lived.
 */
export function vendingClient(options: {
  readonly url: string;
  readonly authorization?: () => string | Promise<string>;
  readonly fetch?: typeof fetch;
}): {
  playback(body: object): Promise<Playback>;
  renew(asset: string, current: Playback): Promise<Playback>;
  end(asset: string, current: Playback): Promise<void>;
} {
  const send = async (path: string, body: object): Promise<Playback> => {
    const response = await (options.fetch ?? fetch)(options.url.replace(/\/$/, '') + path, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(options.authorization ? { Authorization: await options.authorization() } : {}),
      },
      body: JSON.stringify(body),
      credentials: 'include',
    });
    const answer = (await response.json().catch(() => ({}))) as Playback & { error?: string; message?: string };
    if (!response.ok)
      throw new VendingError(
        response.status,
        answer.error ?? 'unavailable',
        answer.message ?? `The vending service answered ${response.status}.`,
      );
    return answer;
  };
  return {
    playback: (body) => send('/playback', body),
    renew: (asset, current) => send('/renew', { asset, token: current.token }),
    end: async (asset, current) => void (await send('/end', { asset, token: current.token })),
  };
}
