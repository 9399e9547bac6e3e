import { claimKey } from '@portcullis/tokens/core/labels';
import { reasons } from '@portcullis/tokens/core/reasons';
import { z } from 'zod';

const path = z
  .string()
  .regex(/^\/[\w.~!$&'()*+,=:@/-]*$/, 'expected a path such as /live: one slash first, ASCII, nothing percent-encoded');
const parameterName = z.string().regex(/^[\w-]{1,30}$/, 'expected a name of 1 to 30 letters, digits, "_" or "-"');
const origin = z
  .string()
  .regex(/^https?:\/\/[^/\s*]+$/, 'expected an origin such as https://www.example.com, without a path');
const seconds = z.number().int().min(0).max(86_400);
const mode = z.enum(['off', 'log', 'enforce']);
const named = z.union([z.boolean(), parameterName]);

const pathPlacement = z.union([
  z.literal('first'),
  z.strictObject({ prefix: path.refine((text) => text.length > 1, 'expected a path such as /live') }),
  z.strictObject({ marker: path.refine((text) => text.length > 1, 'expected a path such as /~t') }),
]);

const placements = z.strictObject({
  /** `'first'`: `/<token>/…`; `{ prefix: '/live' }`: `/live/<token>/…`; `{ marker: '/~t' }`: `/~t/<token>/…`; or several. */
  path: z.union([pathPlacement, z.array(pathPlacement).min(1).max(10), z.literal(false)]).optional(),
  /** `;CAT=<token>` at the end of a path segment: true, or another name. */
  pathParameter: named.optional(),
  /** `?CAT=<token>`: true, or another name. */
  query: named.optional(),
  /** A cookie named `CAT`: true, or another name. */
  cookie: named.optional(),
  /** The standard's header `CTA-Common-Access-Token`, and `Common-Access-Token`, which players send. */
  header: z.boolean().optional(),
  /** `Authorization: Bearer …`. */
  authorization: z.boolean().optional(),
});

/** Claims that a build can be told to understand; those that cost nothing are always there. */
export const optionalClaims = [
  'catu',
  'catu.regex',
  'catu.hash',
  'catm',
  'catnip',
  'catgeoiso3166',
  'geohash',
  'cath',
  'catalpn',
  'cattpk',
  'catreplay',
  'catpor',
  'catif',
  'catr',
  'rare',
] as const;
export type OptionalClaim = (typeof optionalClaims)[number];

/** Claims that are held against what CloudFront says of the viewer, which may be missing. */
const viewerClaims = ['catnip', 'catgeoiso3166', 'geohash', 'catalpn'] as const;

export const revocationScopes = ['token', 'session', 'subject', 'subject-content', 'content'] as const;
export type RevocationScope = (typeof revocationScopes)[number];

export const profileNames = ['full', 'default', 'jwt-minimal', 'cat-minimal'] as const;
export type ProfileName = (typeof profileNames)[number];

const contentId = z.string().superRefine((source, context) => {
  let groups: number;
  try {
    groups = (new RegExp(`${source}|`).exec('')?.length ?? 1) - 1;
  } catch (error) {
    context.addIssue(`expected a regular expression; ${(error as Error).message}`);
    return;
  }
  if (groups !== 1) context.addIssue(`expected exactly one group, the content id; found ${groups}`);
  if (!source.startsWith('^/'))
    context.addIssue('expected it to begin with ^/, so that it reads the path from its start');
  if (/\(\?<|\\[pPku]|[*+?}]\+/.test(source))
    context.addIssue(
      'expected no lookbehind, named groups, \\p, \\k, \\u or possessive quantifiers: the edge has none',
    );
});

const until = z.union([z.number().int().positive(), z.string()]).transform((value, context) => {
  const moment = typeof value === 'number' ? value : Date.parse(value) / 1000;
  if (!Number.isFinite(moment) || moment > 1e11) {
    context.addIssue('expected a date such as 2027-01-31T00:00:00Z, or epoch seconds');
    return z.NEVER;
  }
  return Math.floor(moment);
});

const status = z.number().int().min(400).max(599);

/** The words of the configuration that the viewer functions are compiled from. */
export const functionsConfigShape = {
  /** Where the defaults of everything that is compiled in come from. */
  profile: z.enum(profileNames).default('default'),
  /** `iss` of the tokens that the edge renews or makes. */
  issuer: z.string().min(1).max(200).optional(),
  /** Who we are: a token whose `aud` names none of these is refused. Absent: any. */
  audiences: z.array(z.string().min(1)).min(1).optional(),
  /** Claims that every token must carry, by JWT name. */
  requiredClaims: z
    .array(
      z.string().refine((name) => typeof claimKey(name) === 'number', 'expected a claim by its JWT name, such as exp'),
    )
    .min(1)
    .optional(),
  /** Token formats. */
  formats: z
    .array(z.enum(['cat', 'jwt']))
    .min(1)
    .optional(),
  /** Where tokens are looked for. Only what is named here is looked at. */
  placements: placements.optional(),
  /** What a refusal does: nothing (`off`), a log line (`log`), or the answer (`enforce`). */
  mode: mode.default('enforce'),
  /** The same for blackouts, which hold even when tokens are off. */
  blackoutMode: mode.default('enforce'),
  /** Whether the store's record `m:` gives the mode of requests without a token: one more read for each of those. */
  modeRecord: z.boolean().default(false),
  /** What key records may say besides the key; what is left out here is not read. */
  keyRecords: z
    .strictObject({
      /** The mode of the requests that the key's tokens come with, changed in seconds without a deployment. */
      modes: z.boolean().optional(),
      /** The issuers and paths that the key is good for. Never leave it out where keys belong to different tenants. */
      scope: z.boolean().optional(),
    })
    .default({}),
  /** Paths that need no token, with all below them. */
  publicPaths: z.array(path).min(1).optional(),
  /** A regular expression over the path without its token; its one group is the content id. */
  contentId: contentId.optional(),
  /** Cross-origin players; false: no CORS headers at all. */
  cors: z
    .union([
      z.literal(false),
      z.strictObject({
        origins: z.union([z.literal('*'), z.array(origin).min(1)]).default('*'),
        /** Cookies and Authorization across origins; needs a list of origins. */
        credentials: z.boolean().default(false),
        /** Request headers that preflights allow. */
        headers: z
          .array(z.string().regex(/^(\*|[\w-]+)$/, 'expected a header name or *'))
          .min(1)
          .optional(),
        /** Seconds that a browser keeps a preflight's answer. */
        maxAge: seconds.default(600),
      }),
    ])
    .optional(),
  answers: z
    .strictObject({
      /** Status by reason; the rest is 401. */
      status: z.partialRecord(z.enum(reasons), status).default({}),
      /** Whether the header `x-portcullis-reason` tells the reason. */
      reasonHeader: z.boolean().default(true),
      /** Seconds that a player is asked to wait after a fault of ours. */
      retryAfter: seconds.default(1),
    })
    .prefault({}),
  log: z
    .strictObject({
      /** Share of the admitted requests that are logged, 0 to 1. Refusals are always. */
      sample: z.number().min(0).max(1).default(0),
    })
    .prefault({}),
  claims: z
    .strictObject({
      /** The claims compiled in; a token with another one of the standard's is refused, unless `uncompiled` says otherwise. */
      use: z.array(z.enum(optionalClaims)).optional(),
      /** What to do where CloudFront's header for a claim is missing. */
      onUnknown: z.partialRecord(z.enum(viewerClaims), z.enum(['refuse', 'allow'])).default({}),
      /** Admits addresses longer than /24 and /56 in `catnip`, against the standard's privacy rule (CTA-5007-B 4.6.9). */
      exactNetworks: z.boolean().default(false),
      /** `catreplay` 1, which the edge cannot decide alone: refused, or admitted and marked in the log for detection. */
      replay: z.enum(['refuse', 'log']).default('log'),
      /** Claims that the standard knows and this build does not. */
      uncompiled: z.enum(['refuse', 'ignore']).default('refuse'),
      /** Whether the store knows the keys of client certificates (`x:<sha-256>`), which `cattpk` needs. */
      tlsKeys: z.boolean().default(false),
    })
    .prefault({}),
  renewal: z
    .strictObject({
      /** The key that renewed tokens are signed with; absent: the one the token came with. */
      kid: z.string().min(1).max(128).optional(),
    })
    .prefault({}),
  revocation: z
    .strictObject({
      /** What can be revoked: one store read for each, on every request. */
      scopes: z.array(z.enum(revocationScopes)).optional(),
      /** Revocations up to a moment, and those that ask for a new token; without it they hold outright. */
      cutOffs: z.boolean().optional(),
      /** Buckets that are too full for one key; without it, ids that fall into one are refused with 503. */
      overflow: z.boolean().optional(),
    })
    .prefault({}),
  /** Blackout records by content id: one store read on every request. */
  blackout: z.boolean().optional(),
  /** Old players that may come without a token, until a day. */
  allowedClients: z
    .array(
      z
        .strictObject({
          /** How the user agent begins. */
          prefix: z.string().min(3).optional(),
          /** What the user agent contains. */
          contains: z.string().min(3).optional(),
          paths: z.array(path).min(1),
          until,
        })
        .refine((client) => (client.prefix === undefined) !== (client.contains === undefined), {
          message: 'expected either prefix or contains',
        }),
    )
    .min(1)
    .optional(),
  /** Pages that may embed the player, by Origin, else Referer. The first rule that fits decides. */
  embedOrigins: z
    .array(
      z.strictObject({
        issuer: z.string().min(1).optional(),
        content: z.string().min(1).optional(),
        origins: z.array(origin).min(1),
        /** Whether requests with neither header pass: native players send none. */
        allowNone: z.boolean().default(true),
      }),
    )
    .min(1)
    .optional(),
  /** Your own edge-safe code in viewer-request: files whose default export takes the event. */
  hooks: z
    .strictObject({
      /** Runs first. */
      before: z.string().min(1).optional(),
      /** Runs on admitted requests; what it returns, if anything, is forwarded or answered. */
      after: z.string().min(1).optional(),
    })
    .default({}),
};

interface CrossChecked {
  readonly contentId?: string | undefined;
  readonly blackout?: boolean | undefined;
  readonly revocation: { readonly scopes?: readonly RevocationScope[] | undefined };
  readonly cors?: false | { readonly origins: '*' | readonly string[]; readonly credentials: boolean } | undefined;
  readonly embedOrigins?: readonly { readonly content?: string | undefined }[] | undefined;
  readonly claims: { readonly use?: readonly OptionalClaim[] | undefined };
}

/** What no single word of the configuration can be blamed for. */
export function checkFunctionsConfig(config: CrossChecked, context: z.core.$RefinementCtx): void {
  const problem = (path: (string | number)[], message: string): void => {
    context.addIssue({ code: 'custom', path, message });
  };
  const byContent = (config.revocation.scopes ?? []).filter((scope) => scope.includes('content'));
  if (config.contentId === undefined) {
    const expected = "expected contentId beside it, such as '^/live/([^/]+)'";
    if (config.blackout) problem(['blackout'], expected);
    if (byContent.length > 0) problem(['revocation', 'scopes'], `${byContent.join(', ')}: ${expected}`);
    config.embedOrigins?.forEach((rule, i) => {
      if (rule.content !== undefined) problem(['embedOrigins', i, 'content'], expected);
    });
  }
  if (config.cors && config.cors.credentials && config.cors.origins === '*')
    problem(['cors', 'origins'], 'expected a list of origins: browsers refuse credentials with *');
  const use = config.claims.use ?? [];
  if (use.some((name) => name.startsWith('catu.')) && !use.includes('catu'))
    problem(['claims', 'use'], 'expected catu beside catu.regex and catu.hash');
}

/** The functions' words alone, for builds that have nothing else. */
export const functionsConfigSchema = z.strictObject(functionsConfigShape).superRefine(checkFunctionsConfig);

export type FunctionsConfigInput = z.input<typeof functionsConfigSchema>;
export type FunctionsConfig = z.output<typeof functionsConfigSchema>;
