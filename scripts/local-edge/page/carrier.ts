/** What the vending service answered. */
export interface VendedSession {
  readonly url: string;
  readonly token: string;
  readonly tokenId: string;
  readonly session: string;
  readonly expiresAt?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** What the buttons do to a request. */
export interface Tricks {
  tampered: boolean;
  stripped: boolean;
  /** ISO country the viewer pretends to be in; `undefined`: where the edge puts everyone. */
  country: string | undefined;
}

/** One character of the token changed: in a CAT and in a JWT alike it lies within the claims. */
export function tamperedToken(token: string): { readonly token: string; readonly at: number } {
  const at = Math.floor(token.length / 2);
  const other = token[at] === 'A' ? 'B' : 'A';
  return { token: token.slice(0, at) + other + token.slice(at + 1), at };
}

export interface CarriedRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The token of a renewal header: a quoted string, with parameters behind it (RFC 9651 3.3.3). */
export function tokenOfHeader(value: string | null | undefined): string | undefined {
  return /^\s*"?([\w.~-]+)"?\s*(?:;|$)/.exec(value ?? '')?.[1];
}

/** The token that a redirect put in place of another one; a start path goes with the token that it was for. */
export function tokenOfRedirect(from: string, answered: string, token: string, start = ''): string | undefined {
  const asked = withoutStart(from, start);
  const at = asked.indexOf(token);
  if (at < 0 || token === '' || asked === answered) return undefined;
  const [before, after] = [asked.slice(0, at), asked.slice(at + token.length)];
  if (!answered.startsWith(before) || !answered.endsWith(after)) return undefined;
  const between = answered.slice(at, answered.length - after.length);
  return /^[\w.~-]+$/.test(between) ? between : undefined;
}

/** A URL below the start path, as the content's own. */
function withoutStart(url: string, start: string): string {
  const { origin, pathname, search } = new URL(url);
  return start !== '' && pathname.startsWith(`${start}/`) ? origin + pathname.slice(start.length) + search : url;
}

/**
 * Carries the present token into every request of a player. Playlists that were loaded before a renewal still hold the
 * old token in their URLs; it is exchanged for the new one as the request leaves.
 */
export class TokenCarrier {
  readonly tricks: Tricks = { tampered: false, stripped: false, country: undefined };
  #vended: VendedSession | undefined;
  readonly #known = new Set<string>();
  /** The path that playback with a public-key token starts below; empty where there is none. */
  start = '';

  get vended(): VendedSession | undefined {
    return this.#vended;
  }

  use(vended: VendedSession): void {
    this.#vended = vended;
    this.#known.add(vended.token);
    this.#known.add(tamperedToken(vended.token).token);
  }

  /**
   * Takes over a token that the edge renewed.
   *
   * @returns Whether it lives longer than the present one, which it replaces then.
   */
  adopt(token: string, about: Pick<VendedSession, 'claims' | 'expiresAt'>): boolean {
    const before = this.#vended;
    if (!before || before.token === token) return false;
    this.#known.add(token);
    // Requests that were under way together are renewed each for itself: one of those is enough.
    if (!this.starting && Date.parse(about.expiresAt ?? '') <= Date.parse(before.expiresAt ?? '')) return false;
    const headers = Object.entries(before.headers).map(([name, value]) => [name, value.replace(before.token, token)]);
    this.use({
      ...before,
      ...about,
      token,
      url: withoutStart(before.url, this.start).replace(before.token, token),
      headers: Object.fromEntries(headers) as Record<string, string>,
    });
    return true;
  }

  /** True until the start's token was exchanged. */
  get starting(): boolean {
    const url = this.#vended?.url;
    return url !== undefined && withoutStart(url, this.start) !== url;
  }

  /** True for a token that was carried before, or is now. */
  knows(token: string): boolean {
    return this.#known.has(token);
  }

  /** The token as requests carry it now. */
  get token(): string {
    const token = this.#vended?.token ?? '';
    return this.tricks.tampered ? tamperedToken(token).token : token;
  }

  /** URL of the playlist that playback starts with. */
  get startUrl(): string {
    return this.request(this.#vended?.url ?? '').url;
  }

  request(url: string): CarriedRequest {
    let carried = url;
    for (const known of this.#known) carried = carried.replaceAll(known, this.token);
    if (this.tricks.stripped)
      carried = carried
        .replace(`/${this.token}`, '')
        .replace(/([?&])CAT=[^&]*&?/, '$1')
        .replace(/[?&]$/, '');
    else if (this.#inQuery && !carried.includes(this.token)) {
      // Relative URLs in a playlist do not inherit the playlist's query.
      carried += `${carried.includes('?') ? '&' : '?'}CAT=${this.token}`;
    }
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.#vended?.headers ?? {})) {
      if (!this.tricks.stripped) headers[name] = value.replace(this.#vended?.token ?? '', this.token);
    }
    if (this.tricks.country !== undefined) headers['x-sim-viewer'] = `country=${this.tricks.country}`;
    return { url: carried, headers };
  }

  /** A path with the token shortened, for showing. */
  shown(url: string): string {
    const { pathname, search } = new URL(url, location.href);
    const text = pathname + search;
    return [...this.#known].reduce((path, token) => path.replaceAll(token, `${token.slice(0, 6)}…`), text);
  }

  get #inQuery(): boolean {
    return this.#vended !== undefined && new URL(this.#vended.url).searchParams.has('CAT');
  }
}
