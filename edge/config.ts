import { z } from 'zod';

const seconds = z.number().int().min(1);
const kid = z.string().regex(/^[!-~]{1,128}$/, 'expected 1 to 128 printable ASCII characters');
const startPath = z
  .string()
  .regex(/^(\/[\w~-][\w.~-]*)+$/, 'expected a path such as /start: nothing percent-encoded, no slash at its end');
const region = z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'expected a region such as eu-central-1');
const binding = {
  /** The `iss` of its tokens. Absent: any. */
  iss: z.array(z.string().min(1)).min(1).optional(),
  /** The paths it is good for, whole segments. Absent: any. */
  paths: z.array(z.string().startsWith('/')).min(1).optional(),
};
const caching = {
  /** Age in seconds from which keys are fetched again while the old ones serve. */
  refreshAfter: seconds.optional(),
  /** Age until which old keys serve while fetching fails. */
  staleFor: seconds.optional(),
  unknownKidInterval: seconds.optional(),
  retryAfter: seconds.optional(),
};
const rsa = z.enum(['PS256', 'RS256']).optional();

const keySource = z.discriminatedUnion('kind', [
  /** Public keys in the package: they change with a build. */
  z.strictObject({ kind: z.literal('jwks'), jwks: z.unknown(), rsa, ...binding }),
  /** Public keys at an issuer's address. */
  z.strictObject({
    kind: z.literal('url'),
    url: z
      .string()
      .regex(/^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/])/, 'expected an https address of a JWK set'),
    rsa,
    /** Milliseconds. */
    timeout: z.number().int().min(100).max(20_000).optional(),
    maximumBytes: z.number().int().min(1024).max(1_048_576).optional(),
    ...binding,
    ...caching,
  }),
  /** Shared secrets, as a JWK set of `oct` keys in Secrets Manager: for HS256 and for encrypted tokens. */
  z.strictObject({ kind: z.literal('secret'), secret: z.string().min(1), region, ...binding, ...caching }),
]);

const proof = z.strictObject({
  algorithms: z
    .array(z.enum(['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA']))
    .min(1)
    .optional(),
  window: seconds.optional(),
  clockSkew: z.number().int().min(0).optional(),
  jti: z.enum(['honour', 'ignore']).optional(),
});

const exchange = z.strictObject({
  /** `redirect`: into the path; `cookie`: as a cookie, into the path where it does not come back. */
  by: z.enum(['redirect', 'cookie']).default('redirect'),
  status: z.union([z.literal(302), z.literal(303), z.literal(307)]).default(307),
  /** `same`: a CAT for a CAT, a JWT for a JWT. */
  format: z.enum(['same', 'cat', 'jwt']).default('same'),
  /** Longest life of a session token in seconds; never beyond the original's end. */
  lifetime: seconds.max(7 * 86_400).default(4 * 3600),
  /** Longest life of the session in seconds; never beyond the original's. */
  session: seconds.max(30 * 86_400).optional(),
  /** Binds the session token to the viewer's /24 or /56. */
  network: z.boolean().default(true),
  /** Binds it to the viewer's country. */
  country: z.boolean().default(true),
  /** `folder`: narrows it to the folder of the start URL. */
  paths: z.enum(['keep', 'folder']).default('keep'),
  methods: z
    .array(z.enum(['GET', 'HEAD', 'OPTIONS']))
    .min(1)
    .optional(),
  /** Whether the edge renews session tokens where the original asks for it (`catr`). */
  renewal: z.enum(['keep', 'drop']).default('keep'),
  /** Tokens that demand proof of possession: refused, or exchanged where the start is proved. */
  proof: z.enum(['refuse', 'start']).default('refuse'),
  /** Attributes of the cookie; its name is that of the cookie placement. */
  cookie: z
    .strictObject({
      domain: z.string().optional(),
      path: z.custom<`/${string}`>((value) => typeof value === 'string' && value.startsWith('/')).optional(),
      sameSite: z.enum(['None', 'Lax', 'Strict']).optional(),
      partitioned: z.boolean().optional(),
    })
    .default({}),
});

/** Where one-time tokens are remembered. */
const oneTime = z.strictObject({
  /** DynamoDB table with the string key `pk` and time to live on `ttl`. */
  table: z.string().regex(/^[\w.-]{3,255}$/, 'expected the name of a DynamoDB table'),
  regions: z.array(region).min(1),
  /** `nearest`: the region nearest to the viewer; `home`: the same one for a token wherever it comes. */
  choose: z.enum(['nearest', 'home']).default('nearest'),
  /** Milliseconds. */
  timeout: z.number().int().min(100).max(10_000).default(2000),
  endpoint: z.string().optional(),
});

const start = z.strictObject({
  /** The path below which public-key tokens are taken: a cache behaviour of its own, `/start/*`. */
  path: startPath.default('/start'),
  /** The HMAC key that seals starts and signs session tokens, as `portcullis keys add` makes one. */
  kid,
  /** Older ones that may still seal while functions are being replaced. */
  olderKids: z.array(kid).default([]),
  /** Region of the secrets of these keys, `<revoker.secretPrefix>/keys/<kid>`. */
  secretsRegion: region.default('us-east-1'),
  secretsEndpoint: z.string().optional(),
  /** Takes tokens whose kid is not in the KeyValueStore: for issuers that change keys by themselves. */
  unknownKeys: z.boolean().default(false),
  exchange: exchange.prefault({}),
  oneTime: oneTime.optional(),
});

const guard = z.strictObject({
  /**
   * `viewer-request`: every request, and no claim that rests on CloudFront's headers; `origin-request`: those that the
   * cache does not answer, with true headers.
   */
  event: z.enum(['viewer-request', 'origin-request']).default('viewer-request'),
});

/** Headers that an origin wants to see, with values from Secrets Manager. */
const originSecret = z.strictObject({
  /** Name or ARN of the secret: text, or JSON. */
  secret: z.string().min(1),
  region,
  /**
   * Header names, with the member of the secret's JSON that gives each value; `''`: the secret's whole text.
   * Default: MediaPackage's, which has `{"MediaPackageCDNIdentifier":"…"}` (v1).
   */
  headers: z
    .record(
      z
        .string()
        .regex(/^[\w-]+$/)
        .refine((name) => !/^(host|via|content-length|x-(amz-cf|edge|cache|forwarded)-?.*)$/i.test(name), {
          message: 'expected a header that Lambda@Edge may set',
        }),
      z.string(),
    )
    .default({ 'X-MediaPackage-CDNIdentifier': 'MediaPackageCDNIdentifier' }),
  /** Staging label of the version that is sent: it stays behind `AWSCURRENT` while a new value is being published. */
  stage: z
    .string()
    .regex(/^[\w+=.@-]{1,255}$/)
    .default('portcullis-sent'),
  /** Seconds after which the value is looked up again. */
  refreshAfter: seconds.default(60),
  endpoint: z.string().optional(),
});

/**
 * The section `lambda` of portcullis.config.ts: what Lambda@Edge does that a CloudFront Function cannot.
 *
 * @example
 * lambda: {
 *   keys: [{ kind: 'url', url: 'https://id.example/.well-known/jwks.json', iss: ['id'] }],
 *   start: { kid: 'edge' },
 * }
 */
export const lambdaConfigSchema = z
  .strictObject({
    /** Where keys of public-key and encrypted tokens come from, looked through in this order. */
    keys: z.array(keySource).default([]),
    /** The hosts that viewers ask for: `htu` of proofs, `host` of `catu`. */
    hosts: z.array(z.string().min(1)).min(1).optional(),
    /** Proof of possession (RFC 9449). Absent: tokens that demand it are refused. */
    proof: proof.optional(),
    /** The start path: public-key tokens are exchanged there for session tokens. */
    start: start.optional(),
    originSecret: originSecret.optional(),
    /** A Lambda that guards every request of a behaviour by itself, without a CloudFront Function. */
    guard: guard.optional(),
  })
  .superRefine((config, context) => {
    if ((config.start || config.guard) && config.keys.length === 0)
      context.addIssue({
        code: 'custom',
        path: ['keys'],
        message: 'expected the keys that tokens are signed with',
      });
  });

export type LambdaConfig = z.output<typeof lambdaConfigSchema>;
export type LambdaConfigInput = z.input<typeof lambdaConfigSchema>;
