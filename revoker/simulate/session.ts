import type { LookAlikeKind, AbuserKind } from './kinds.js';
import type { Random } from './random.js';
import { encodeCat, encodeJwt, type SigningKey } from './tokens.js';

export type SessionKind = 'viewer' | LookAlikeKind | AbuserKind;

/** What is known of a session, to judge a detector by. One JSON line each in the label file. */
export interface SessionLabel {
  /** As the token names it: base64url of the session handle, else of `cti`/`jti`. */
  readonly session: string;
  readonly subject: string;
  readonly format: 'cat' | 'jwt';
  readonly kind: SessionKind;
  readonly abuser: boolean;
  /** Epoch seconds of the first request that abuses; only on abusers. */
  readonly abuseFrom?: number;
  /** Epoch seconds of the first and last request logged. */
  readonly firstSeen?: number;
  readonly lastSeen?: number;
  readonly rows: number;
  /** Distinct client addresses that used it. */
  readonly addresses: number;
}

export interface SessionOptions {
  readonly kind: SessionKind;
  readonly abuser: boolean;
  readonly subject: string;
  readonly format: 'cat' | 'jwt';
  /** False: the issuer knows no session handle, the token's own id is all there is (and it is not renewed). */
  readonly withHandle: boolean;
  readonly issuer: string;
  readonly pathPrefix: string;
  readonly countries: readonly string[] | undefined;
  /** Milliseconds since the epoch: the session's beginning, and the issue of the token in force when the log begins. */
  readonly startedAt: number;
  readonly issuedAt: number;
  /** Seconds that one token lives. */
  readonly lifetime: number;
  readonly renews: boolean;
}

/** One playback right: a handle that stays, and tokens that come and go. */
export class Session {
  readonly id: string;
  rows = 0;
  firstSeen = 0;
  lastSeen = 0;
  abuseFrom: number | undefined;
  readonly addresses = new Set<string>();
  private readonly handle: Uint8Array | undefined;
  private token = '';
  private validUntil = 0;
  private renewAt = 0;

  constructor(
    readonly options: SessionOptions,
    private readonly key: SigningKey,
    private readonly random: Random,
  ) {
    this.handle = options.withHandle ? random.bytes(16) : undefined;
    const tokenId = this.issue(options.issuedAt);
    this.id = Buffer.from(this.handle ?? tokenId).toString('base64url');
  }

  private issue(now: number): Uint8Array {
    const { options } = this;
    const tokenId = this.random.bytes(16);
    const issuedAt = Math.floor(now / 1000);
    const claims = {
      issuer: options.issuer,
      subject: options.subject,
      pathPrefix: options.pathPrefix,
      issuedAt,
      expiresAt: issuedAt + options.lifetime,
      sessionEnd: this.handle ? Math.floor(options.startedAt / 1000) + 6 * 3600 : undefined,
      tokenId,
      session: this.handle,
      countries: options.countries,
    };
    this.token = options.format === 'cat' ? encodeCat(claims, this.key) : encodeJwt(claims, this.key);
    this.validUntil = claims.expiresAt * 1000;
    // Players renew with a margin, so that a slow answer does not cost a segment.
    this.renewAt = now + options.lifetime * 1000 * 0.8;
    return tokenId;
  }

  /** The token in force, renewed on the way where the session renews. */
  tokenAt(now: number): string {
    if (this.options.renews && now >= this.renewAt) this.issue(now);
    return this.token;
  }

  expiredAt(now: number): boolean {
    return now >= this.validUntil;
  }

  admits(country: string): boolean {
    return this.options.countries?.includes(country) ?? true;
  }

  record(now: number, address: string): void {
    this.rows++;
    if (this.firstSeen === 0 || now < this.firstSeen) this.firstSeen = now;
    if (now > this.lastSeen) this.lastSeen = now;
    this.addresses.add(address);
  }

  label(): SessionLabel {
    const seconds = (time: number): number => Math.floor(time / 1000);
    return {
      session: this.id,
      subject: this.options.subject,
      format: this.options.format,
      kind: this.options.kind,
      abuser: this.options.abuser,
      ...(this.abuseFrom === undefined ? {} : { abuseFrom: seconds(this.abuseFrom) }),
      ...(this.rows === 0 ? {} : { firstSeen: seconds(this.firstSeen), lastSeen: seconds(this.lastSeen) }),
      rows: this.rows,
      addresses: this.addresses.size,
    };
  }
}
