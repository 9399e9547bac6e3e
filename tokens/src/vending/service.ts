import { encodeBase64url } from '../base64url.js';
import type { Reason } from '../core/reasons.js';
import { normalisePath } from '../core/uri.js';
import { idText } from '../core/gate.js';
import type { ParsedToken } from '../core-bridge.js';
import { durationSeconds, type Duration } from '../duration.js';
import { TokensError } from '../errors.js';
import type { VerificationKey } from '../keys.js';
import { parseNetwork } from '../networks.js';
import { splitUrl } from '../placement.js';
import { claimOf } from '../readable-claims.js';
import type { PlaybackPolicy } from '../policy.js';
import { checkToken, SignatureError } from '../signature.js';
import type { SignedPlaybackUrl, Signer } from '../signer.js';
import type { AssetPolicy, AssetStore } from './asset.js';
import type { SessionStore } from './sessions.js';

/** Who asks. A trusted caller is a backend that speaks for its users; a viewer speaks for itself alone. */
export type Caller =
  | { readonly id: string; readonly trusted: true }
  | { readonly id: string; readonly trusted: false; readonly subject: string };

/** What the platform knows beyond the request; never taken from headers that a client can write. */
export interface VendingContext {
  /** The client's address as the gateway saw it. */
  readonly address?: string;
  /** The principal that the gateway authenticated, such as an IAM role's ARN. */
  readonly principal?: string;
  /** Shown in answers and logs. Default: random. */
  readonly requestId?: string;
}

/** Tells who asks; undefined: nobody that is known. Rejects when that cannot be told. */
export type Authenticate = (
  request: Request,
  context: VendingContext,
) => Promise<Caller | undefined> | Caller | undefined;

/** What the ledger is asked before anything is minted; absent fields are not checked. */
export interface RefusalQuestion {
  readonly subject?: string;
  readonly session?: string;
  readonly content?: string;
  /** The viewer's address. */
  readonly network?: string;
  readonly device?: string;
  /** For a renewal, the `iat` of the token shown: a revocation of "all tokens until now" must stop it. */
  readonly issuedAt?: number;
}

export type RefusalAnswer =
  { readonly refused: false } | { readonly refused: true; readonly reason: string; readonly scope?: string };

/** The revocation ledger, as far as minting needs it. The revoker's `createRefusalCheck` is one. */
export interface RefusalLedger {
  /** Rejects when the ledger does not answer: nothing is minted then. */
  isRefused(question: RefusalQuestion): Promise<RefusalAnswer>;
}

/** One line of the mint log. There is no token in it. */
export interface MintRecord {
  readonly event: 'minted' | 'renewed' | 'refused' | 'ended';
  readonly requestId: string;
  readonly caller?: string;
  readonly asset?: string;
  readonly subject?: string;
  readonly session?: string;
  readonly tokenId?: string;
  readonly expiresAt?: string;
  /** Why refused. */
  readonly error?: string;
  readonly status: number;
}

export interface VendingOptions {
  readonly signer: Signer;
  readonly assets: AssetStore;
  readonly authenticate: Authenticate;
  /** `null` on purpose: revocations are not checked at minting. */
  readonly ledger: RefusalLedger | null;
  /** Counts concurrent sessions. Needed where an asset has a limit. */
  readonly sessions?: SessionStore;
  /** Keys that tokens shown for renewal may carry: the signer's, and the ones before it. Absent: no renewals. */
  readonly keys?: readonly VerificationKey[] | (() => readonly VerificationKey[] | Promise<readonly VerificationKey[]>);
  /** How long after its end a token may still be renewed. Default 300 seconds. */
  readonly renewalGrace?: Duration;
  /** Origins of web players that may ask; answered with CORS headers. */
  readonly allowedOrigins?: readonly string[];
  /** Path below which the service lives: `/playback`. Default none. */
  readonly basePath?: string;
  /** Called when a new session pushed an old one out: revoke it here. */
  readonly onReplaced?: (session: string, subject: string) => Promise<void> | void;
  readonly log?: (record: MintRecord) => void;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
}

/** Handles one request. Never rejects. */
export type VendingHandler = (request: Request, context?: VendingContext) => Promise<Response>;

/** A refusal with the status and code that the client sees. */
class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

const maximumBodyBytes = 16_384;
const retryAfterFault = '2';

/** A checked request body. Fields that no endpoint knows are ignored; they never reach a policy. */
interface VendingRequest {
  readonly asset: string;
  readonly subject: string | undefined;
  readonly device: string | undefined;
  readonly address: string | undefined;
  readonly userAgent: string | undefined;
  readonly token: string | undefined;
  readonly manifest: string | undefined;
  readonly session: string | undefined;
}

/**
 * The vending service: `POST /playback`, `/renew`, `/clip` and `/end`, JSON in and out.
 *
 * Lifetime, paths, hosts and countries come from the asset's policy alone. Faults of ledger, assets or sessions answer
 * 503 with `Retry-After`, and nothing is minted.
 *
 * @example
 * ```ts
 * const handle = createVendingService({ signer, assets, authenticate, ledger });
 * const response = await handle(new Request('https://vend.example/playback', { method: 'POST', body: '{"asset":"ch1"}' }));
 * ```
 */
export function createVendingService(options: VendingOptions): VendingHandler {
  const { clock = Date.now, basePath = '' } = options;
  const grace = durationSeconds(options.renewalGrace ?? '5m', 'renewalGrace');
  const origins = new Set(options.allowedOrigins ?? []);
  const endpoints: Readonly<Record<string, (input: VendingRequest, caller: Caller) => Promise<MintResult>>> = {
    '/playback': (input, caller) => mint(input, caller),
    '/renew': renew,
    '/clip': clip,
    '/end': end,
  };

  interface MintResult {
    readonly event: MintRecord['event'];
    readonly subject?: string;
    readonly session?: string;
    readonly signed?: SignedPlaybackUrl;
  }

  async function asset(id: string): Promise<AssetPolicy> {
    const policy = await options.assets.get(id);
    if (!policy) throw new Refusal(404, 'unknown_asset', 'There is no such asset.');
    return policy;
  }

  function subjectOf(input: VendingRequest, caller: Caller): string {
    // A viewer cannot mint in another's name, whatever it sends.
    if (!caller.trusted) return caller.subject;
    if (input.subject === undefined)
      throw new Refusal(400, 'invalid_request', 'subject: expected the account that plays, as a pseudonym.');
    return input.subject;
  }

  async function refuseRevoked(question: RefusalQuestion): Promise<void> {
    const answer = await options.ledger?.isRefused(question);
    if (answer?.refused)
      throw new Refusal(
        403,
        'revoked',
        answer.scope === undefined ? 'Playback is revoked.' : `Playback is revoked for this ${answer.scope}.`,
      );
  }

  async function count(
    policy: AssetPolicy,
    subject: string,
    session: string,
    kind: 'start' | 'renew',
    now: number,
  ): Promise<void> {
    const { concurrency } = policy;
    if (!concurrency) return;
    if (!options.sessions) throw new Error('The asset limits concurrent sessions, and no session store is configured.');
    const outcome = await options.sessions[kind]({
      subject,
      group: concurrency.group ?? '',
      session,
      limit: concurrency.limit,
      over: concurrency.over ?? 'refuse',
      // Counted a little longer than the token, so that a renewal in its last second keeps the place.
      expires: now + durationSeconds(policy.expiresIn, 'expiresIn') + grace,
      now,
    });
    if (!outcome.admitted)
      throw new Refusal(
        409,
        'too_many_sessions',
        `This account plays on ${concurrency.limit} ${concurrency.limit === 1 ? 'device' : 'devices'} already.`,
      );
    if (outcome.replaced !== undefined) await options.onReplaced?.(outcome.replaced, subject);
  }

  async function sign(
    policy: AssetPolicy,
    input: VendingRequest,
    subject: string,
    session: string,
    more: Partial<PlaybackPolicy> & { url?: string },
  ): Promise<SignedPlaybackUrl> {
    if (policy.bindNetwork && input.address === undefined)
      throw new Refusal(
        400,
        'invalid_request',
        'viewer.address: expected the viewer\u2019s address, which the asset binds.',
      );
    if (policy.bindUserAgent && input.userAgent === undefined)
      throw new Refusal(
        400,
        'invalid_request',
        'viewer.userAgent: expected the viewer\u2019s user agent, which the asset binds.',
      );
    const { url = policy.url, ...changes } = more;
    return options.signer.signPlaybackUrl(url, {
      expiresIn: policy.expiresIn,
      subject,
      session,
      ...(policy.sessionEndsIn === undefined ? {} : { sessionEndsIn: policy.sessionEndsIn }),
      ...(policy.paths === undefined ? {} : { paths: policy.paths }),
      ...(policy.hosts === undefined ? {} : { hosts: policy.hosts }),
      ...(policy.methods === undefined ? {} : { methods: policy.methods }),
      ...(policy.countries === undefined ? {} : { countries: policy.countries }),
      ...(policy.renewal === undefined ? {} : { renewal: policy.renewal }),
      ...(policy.bindNetwork && input.address !== undefined ? { networks: { viewer: input.address } } : {}),
      ...(policy.bindUserAgent && input.userAgent !== undefined ? { userAgent: input.userAgent } : {}),
      ...changes,
    } as PlaybackPolicy);
  }

  async function mint(input: VendingRequest, caller: Caller): Promise<MintResult> {
    const subject = subjectOf(input, caller);
    const policy = await asset(input.asset);
    await refuseRevoked(question(input, subject, policy));
    const session = newSession();
    const now = Math.floor(clock() / 1000);
    await count(policy, subject, session, 'start', now);
    return { event: 'minted', subject, session, signed: await sign(policy, input, subject, session, {}) };
  }

  async function renew(input: VendingRequest, caller: Caller): Promise<MintResult> {
    const shown = await shownToken(input.token);
    const subject = subjectOf({ ...input, subject: input.subject ?? shown.subject }, caller);
    if (shown.subject !== subject) throw new Refusal(403, 'other_subject', 'The token belongs to another account.');
    const now = Math.floor(clock() / 1000);
    if (shown.expires !== undefined && now >= shown.expires + grace)
      throw new Refusal(401, 'expired', 'The token ended too long ago to be renewed: start a new session.');
    if (shown.sessionEnd !== undefined && now >= shown.sessionEnd)
      throw new Refusal(401, 'session_ended', 'The session has ended: start a new one.');
    const policy = await asset(input.asset);
    await refuseRevoked({
      ...question(input, subject, policy),
      session: shown.session,
      ...(shown.issuedAt === undefined ? {} : { issuedAt: shown.issuedAt }),
    });
    await count(policy, subject, shown.session, 'renew', now);
    const signed = await sign(
      policy,
      input,
      subject,
      shown.session,
      shown.sessionEnd === undefined ? {} : { sessionEndsAt: shown.sessionEnd, sessionEndsIn: undefined as never },
    );
    return { event: 'renewed', subject, session: shown.session, signed };
  }

  async function clip(input: VendingRequest, caller: Caller): Promise<MintResult> {
    const subject = subjectOf(input, caller);
    const policy = await asset(input.asset);
    if (!policy.clips) throw new Refusal(404, 'unknown_asset', 'This asset has no clips.');
    const { url, folder } = clipLocation(input.manifest, policy, policy.clips.root);
    await refuseRevoked(question(input, subject, policy));
    const session = newSession();
    const signed = await sign(policy, input, subject, session, {
      url,
      paths: folder,
      expiresIn: policy.clips.expiresIn,
    });
    return { event: 'minted', subject, session, signed };
  }

  async function end(input: VendingRequest, caller: Caller): Promise<MintResult> {
    const shown = await shownToken(input.token);
    const subject = subjectOf({ ...input, subject: input.subject ?? shown.subject }, caller);
    if (shown.subject !== subject) throw new Refusal(403, 'other_subject', 'The token belongs to another account.');
    const policy = await asset(input.asset);
    await options.sessions?.end({ subject, group: policy.concurrency?.group ?? '', session: shown.session });
    return { event: 'ended', subject, session: shown.session };
  }

  async function shownToken(text: string | undefined): Promise<ShownToken> {
    if (!options.keys) throw new Refusal(404, 'not_found', 'This service does not renew.');
    if (text === undefined)
      throw new Refusal(400, 'invalid_request', 'token: expected the token that is to be renewed.');
    const keys = typeof options.keys === 'function' ? await options.keys() : options.keys;
    let token: ParsedToken;
    try {
      token = await checkToken(text, keys);
    } catch (error) {
      if (error instanceof SignatureError) throw new Refusal(401, error.code, 'The token is not one of ours.');
      throw error;
    }
    return readShownToken(token);
  }

  function question(input: VendingRequest, subject: string, policy: AssetPolicy): RefusalQuestion {
    return {
      subject,
      content: policy.content ?? input.asset,
      ...(input.address === undefined ? {} : { network: input.address }),
      ...(input.device === undefined ? {} : { device: input.device }),
    };
  }

  function corsHeaders(request: Request): Record<string, string> {
    if (origins.size === 0) return {};
    const origin = request.headers.get('origin');
    return {
      Vary: 'Origin',
      ...(origin !== null && origins.has(origin)
        ? { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true' }
        : {}),
    };
  }

  return async (request, context = {}) => {
    const requestId = context.requestId ?? encodeBase64url(crypto.getRandomValues(new Uint8Array(12)));
    const cors = corsHeaders(request);
    let caller: Caller | undefined;
    let input: VendingRequest | undefined;
    try {
      const { pathname } = new URL(request.url);
      const endpoint = pathname.startsWith(`${basePath}/`) ? endpoints[pathname.slice(basePath.length)] : undefined;
      if (!endpoint) throw new Refusal(404, 'not_found', 'Expected /playback, /renew, /clip or /end.');
      if (request.method === 'OPTIONS' && origins.size > 0) {
        return new Response(null, {
          status: 204,
          headers: {
            ...cors,
            'Access-Control-Allow-Methods': 'POST',
            'Access-Control-Allow-Headers': 'authorization, content-type',
            'Access-Control-Max-Age': '600',
          },
        });
      }
      if (request.method !== 'POST') throw new Refusal(405, 'method_not_allowed', 'Expected POST.', { Allow: 'POST' });
      caller = await options.authenticate(request, context);
      if (!caller)
        throw new Refusal(401, 'unauthenticated', 'Who asks could not be established.', {
          'WWW-Authenticate': 'Bearer',
        });
      input = readRequest(await readBody(request), caller, context, request);
      const result = await endpoint(input, caller);
      const { signed } = result;
      options.log?.({
        event: result.event,
        requestId,
        caller: caller.id,
        asset: input.asset,
        ...(result.subject === undefined ? {} : { subject: result.subject }),
        ...(result.session === undefined ? {} : { session: result.session }),
        ...(signed
          ? { tokenId: signed.tokenId, ...(signed.expiresAt ? { expiresAt: signed.expiresAt.toISOString() } : {}) }
          : {}),
        status: 200,
      });
      return answer(
        200,
        signed ? playbackBody(signed, clock()) : { session: result.session },
        cors,
        signed?.cookies ?? [],
      );
    } catch (error) {
      const refusal = error instanceof Refusal ? error : faultOf(error);
      options.log?.({
        event: 'refused',
        requestId,
        ...(caller ? { caller: caller.id } : {}),
        ...(input ? { asset: input.asset } : {}),
        error: refusal.code,
        status: refusal.status,
      });
      return answer(
        refusal.status,
        { error: refusal.code, message: refusal.message, id: requestId },
        { ...cors, ...refusal.headers },
        [],
      );
    }
  };
}

/** A fault of ours: the player may try again. Details stay out of the answer. */
function faultOf(error: unknown): Refusal {
  const known = error instanceof TokensError && error.code === 'invalid_policy';
  return known
    ? new Refusal(500, 'invalid_asset_policy', 'The asset\u2019s policy makes no sound token.')
    : new Refusal(503, 'unavailable', 'A service that is needed to decide did not answer.', {
        'Retry-After': retryAfterFault,
      });
}

interface ShownToken {
  readonly session: string;
  readonly subject: string | undefined;
  readonly expires: number | undefined;
  readonly sessionEnd: number | undefined;
  readonly issuedAt: number | undefined;
  readonly tokenId: string | undefined;
}

function readShownToken(token: ParsedToken): ShownToken {
  const text = (name: 'jti' | 'sid' | 'sub'): string | undefined => {
    const value = claimOf(token, name);
    return typeof value === 'string' || Buffer.isBuffer(value) ? idText(value) : undefined;
  };
  const number = (name: 'iat' | 'exp' | 'sxp'): number | undefined => {
    const value = claimOf(token, name);
    return typeof value === 'number' ? value : undefined;
  };
  const session = text('sid');
  if (session === undefined)
    throw new Refusal(401, 'invalid_claim' satisfies Reason, 'The token has no session, so it cannot be renewed.');
  return {
    session,
    subject: text('sub'),
    expires: number('exp'),
    sessionEnd: number('sxp'),
    issuedAt: number('iat'),
    tokenId: text('jti'),
  };
}

function newSession(): string {
  return encodeBase64url(crypto.getRandomValues(new Uint8Array(16)));
}

/**
 * Where a clip lies: its manifest must be on the asset's host, below the clips' root, in a folder of its own, since
 * the token admits that folder.
 */
function clipLocation(
  manifest: string | undefined,
  policy: AssetPolicy,
  root: string,
): { url: string; folder: `/${string}/` } {
  const wrong = new Refusal(
    400,
    'invalid_request',
    `manifest: expected the URL or path of a clip's manifest, in its own folder below ${root}`,
  );
  if (manifest === undefined) throw wrong;
  let path: string;
  try {
    const parts = splitUrl(manifest);
    const home = splitUrl(policy.url).origin;
    if (
      (parts.origin !== '' && parts.origin.toLowerCase() !== home.toLowerCase()) ||
      parts.query !== '' ||
      parts.fragment !== ''
    )
      throw wrong;
    path = normalisePath(parts.path);
  } catch {
    throw wrong;
  }
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  if (!folder.startsWith(root) || folder === root || !/\.(?:m3u8|mpd)$/i.test(path)) throw wrong;
  return { url: splitUrl(policy.url).origin + path, folder: folder as `/${string}/` };
}

async function readBody(request: Request): Promise<Record<string, unknown>> {
  const tooLarge = new Refusal(413, 'too_large', `The body may have ${maximumBodyBytes} bytes at most.`);
  if (Number(request.headers.get('content-length') ?? 0) > maximumBodyBytes) throw tooLarge;
  const type = request.headers.get('content-type');
  if (type !== null && !/^application\/json(?:;|$)/i.test(type) && !/^text\/plain(?:;|$)/i.test(type))
    throw new Refusal(415, 'unsupported_media_type', 'Expected application/json.');
  const text = await request.text();
  if (text.length > maximumBodyBytes) throw tooLarge;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refusal(400, 'invalid_request', 'Expected a JSON object.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refusal(400, 'invalid_request', 'Expected a JSON object.');
  return body as Record<string, unknown>;
}

function readRequest(
  body: Record<string, unknown>,
  caller: Caller,
  context: VendingContext,
  request: Request,
): VendingRequest {
  const viewer = body['viewer'] ?? {};
  if (typeof viewer !== 'object' || viewer === null || Array.isArray(viewer))
    throw new Refusal(400, 'invalid_request', 'viewer: expected an object.');
  const seen = viewer as Record<string, unknown>;
  const asset = field(body, 'asset', 256);
  if (asset === undefined) throw new Refusal(400, 'invalid_request', 'asset: expected the id of what is played.');
  // Only a backend tells us about somebody else; a viewer is what the gateway sees.
  const address = caller.trusted ? field(seen, 'address', 64, 'viewer.') : context.address;
  if (address !== undefined) {
    const network = parseNetwork(address);
    if (!network || network.length !== undefined)
      throw new Refusal(400, 'invalid_request', 'viewer.address: expected an IP address.');
  }
  return {
    asset,
    subject: field(body, 'subject', 256),
    device: field(body, 'device', 256),
    token: field(body, 'token', 4096),
    manifest: field(body, 'manifest', 2048),
    session: field(body, 'session', 64),
    address,
    userAgent: caller.trusted
      ? field(seen, 'userAgent', 1024, 'viewer.')
      : (request.headers.get('user-agent') ?? undefined),
  };
}

/** Text of bounded length without control characters; absent is fine. */
function field(body: Record<string, unknown>, name: string, longest: number, prefix = ''): string | undefined {
  const value = Object.hasOwn(body, name) ? body[name] : undefined;
  if (value === undefined || value === null) return undefined;
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (typeof value !== 'string' || value === '' || value.length > longest || /[\u0000-\u001f\u007f]/.test(value)) {
    throw new Refusal(400, 'invalid_request', `${prefix}${name}: expected text of 1 to ${longest} characters.`);
  }
  return value;
}

/** When to come back for the next token: at four fifths of its life. */
const renewalShare = 0.8;

function playbackBody(signed: SignedPlaybackUrl, now: number): Record<string, unknown> {
  const expires = signed.expiresAt?.getTime();
  return {
    url: signed.url,
    token: signed.token,
    tokenId: signed.tokenId,
    session: signed.session,
    expiresAt: signed.expiresAt?.toISOString(),
    sessionEndsAt: signed.sessionEndsAt?.toISOString(),
    renewAfter: expires === undefined ? undefined : Math.max(1, Math.floor(((expires - now) / 1000) * renewalShare)),
    headers: signed.headers,
  };
}

function answer(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>>,
  cookies: readonly string[],
): Response {
  const all = new Headers({ 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers });
  for (const cookie of cookies) all.append('Set-Cookie', cookie);
  return new Response(JSON.stringify(body), { status, headers: all });
}
