import { z } from 'zod';
import { parseRange } from './addresses.js';
import { WafRulesError } from './errors.js';
import { labelLimits, namePattern, statementLimits } from './limits.js';

const path = z.string().regex(/^\/[\x21-\x7e]*$/, 'expected a path that begins with / and has printable ASCII only');
const countryCode = z.string().regex(/^[A-Z]{2}$/, 'expected an ISO 3166-1 alpha-2 country code such as US');
const regionCode = z.string().regex(/^[A-Z]{2}-[A-Z0-9]{1,3}$/, 'expected an ISO 3166-2 region code such as US-CA');
const asn = z.number().int().min(0).max(statementLimits.asnMaximum);
const cidr = z.string().refine(
  (text) => {
    try {
      parseRange(text);
      return true;
    } catch {
      return false;
    }
  },
  { message: 'expected an IPv4 or IPv6 address or CIDR range' },
);
const tokenName = z.string().regex(/^[A-Za-z0-9_-]{1,30}$/, 'expected a name of 1 to 30 letters, digits, _ or -');
const headerName = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'expected a header name');

/**
 * Where viewers put their token: the same places the edge functions read, so that WAF looks for tokens exactly where
 * the function will.
 */
export const wafPlacementSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('path'),
    /** `prefix`: `/live/<token>/…`; `marker`: `/~t/<token>/…`; `first`: `/<token>/…`. */
    mode: z.enum(['prefix', 'marker', 'first']),
    /** The path in front of the token, for mode `prefix`. */
    prefix: path.optional(),
    /** The marker in front of the token, for mode `marker`. Default `/~t`. */
    marker: path.optional(),
  }),
  z.object({ kind: z.literal('pathParameter'), name: tokenName.default('CAT') }),
  z.object({ kind: z.literal('query'), name: tokenName.default('CAT') }),
  z.object({ kind: z.literal('cookie'), name: tokenName.default('CAT') }),
  z.object({ kind: z.literal('header'), name: headerName.optional() }),
  z.object({ kind: z.literal('authorization') }),
]);

/** One configured place of the token. */
export type WafPlacement = z.infer<typeof wafPlacementSchema>;

const windowSeconds = z.union([z.literal(60), z.literal(120), z.literal(300), z.literal(600)]);
const rateLimit = z.union([
  z.literal(false),
  z.object({
    /** Requests in the window, at least 10. */
    limit: z.number().int().min(statementLimits.rateLimitMinimum).max(statementLimits.rateLimitMaximum),
    /** 60, 120, 300 or 600 seconds. */
    window: windowSeconds,
  }),
]);

/** What happens to viewers of a listed network: refused, told to the function in a header, only counted, or nothing. */
const listMode = z.enum(['block', 'label', 'count', 'off']);

export const presetNames = ['live-event', 'vod', 'strict', 'observe'] as const;
export type PresetName = (typeof presetNames)[number];

/** The `waf` section of the configuration. Everything but the preset may be left out. */
export const wafConfigSchema = z.strictObject({
  /** The rule set to start from; every other setting changes it. */
  preset: z.enum(presetNames).default('live-event'),
  /** Name of the web ACL, and the beginning of the names of its sets and groups. */
  name: z
    .string()
    .regex(/^[A-Za-z][\w-]{0,63}$/, 'expected up to 64 letters, digits, _ or -, beginning with a letter')
    .refine((name) => namePattern.test(name) && !(labelLimits.reserved as readonly string[]).includes(name))
    .default('portcullis'),
  /** Where viewers put the token. */
  placements: z.array(wafPlacementSchema).min(1).optional(),
  /** Paths that need a token. */
  protectedPaths: z.array(path).min(1).optional(),
  /** Paths below them that need none. */
  publicPaths: z.array(path).optional(),
  /** The shortest text that can be a token. */
  tokenMinimumCharacters: z.number().int().min(16).max(200).optional(),
  /** The endpoint that hands out tokens, when it is behind the same distribution. */
  mint: z
    .union([
      z.literal(false),
      z.strictObject({
        path,
        /** Largest request body in bytes; WAF sees 16,384 of them. */
        bodyBytes: z.number().int().min(0).max(16_384).default(8192),
        perAddress: rateLimit.optional(),
        perAddressAndAgent: rateLimit.optional(),
        /** Refuse listed networks here even where the preset only labels them. */
        refuseListedNetworks: z.boolean().default(true),
      }),
    ])
    .optional(),
  anonymous: z
    .strictObject({
      /** VPN, proxy and Tor addresses (rule AnonymousIPList). */
      vpn: listMode.optional(),
      /** Hosting providers (rule HostingProviderIPList). */
      hosting: listMode.optional(),
    })
    .optional(),
  reputation: z
    .strictObject({
      mode: listMode.optional(),
      /** Also refuse AWSManagedIPDDoSList, which AWS sets to Count. */
      ddos: z.boolean().optional(),
    })
    .optional(),
  /** Addresses and networks that rules about networks, places and rates pass over. Token checks stay. */
  exceptions: z
    .strictObject({
      /** Apple's Private Relay: passed over by the lists of networks only. More ranges through `relayRanges`. */
      privateRelay: z.boolean().optional(),
      relayRanges: z.array(cidr).optional(),
      /** Route 53 health checks, as shipped here. */
      awsHealthChecks: z.boolean().optional(),
      /** Your own monitoring probes. */
      monitoring: z.array(cidr).optional(),
      /** Partner CDNs and other services that fetch from you. */
      partners: z.array(cidr).optional(),
      /** AWS media services that fetch through the distribution. */
      media: z.array(cidr).optional(),
      asns: z.array(asn).optional(),
    })
    .optional(),
  countries: z
    .strictObject({
      /** Only these. A viewer whose country is unknown is refused too. */
      allow: z.array(countryCode).optional(),
      block: z.array(countryCode).optional(),
    })
    .optional(),
  regions: z.strictObject({ block: z.array(regionCode).optional() }).optional(),
  asns: z.strictObject({ block: z.array(asn).optional() }).optional(),
  fingerprints: z
    .strictObject({
      ja3: z.array(z.string().regex(/^[0-9a-f]{32}$/, 'expected 32 hexadecimal digits')).optional(),
      ja4: z.array(z.string().regex(/^[\x21-\x7e]{36}$/, 'expected 36 characters')).optional(),
    })
    .optional(),
  rates: z
    .strictObject({
      /** Every request of one address: high, since a carrier's address stands for hundreds of viewers. */
      address: rateLimit.optional(),
      /** One address with one User-Agent. */
      addressAndAgent: rateLimit.optional(),
      /** One token, where it is in the query, a cookie or a header. */
      token: rateLimit.optional(),
      /** One media URL with one token in its path: a viewer fetches a segment once, a shared token many times. */
      segmentReuse: rateLimit.optional(),
      /** One value of `sessionKey`. */
      session: rateLimit.optional(),
      /** One network (ASN), requests from listed networks only. */
      listedNetwork: rateLimit.optional(),
      sessionKey: z
        .discriminatedUnion('kind', [
          z.object({ kind: z.literal('query'), name: tokenName }),
          z.object({ kind: z.literal('cookie'), name: z.string().regex(/^[\w-]{1,64}$/) }),
          z.object({ kind: z.literal('header'), name: headerName }),
        ])
        .optional(),
    })
    .optional(),
  hygiene: z
    .strictObject({
      pathBytes: z.number().int().min(256).max(8192).optional(),
      queryBytes: z.number().int().min(256).max(8192).optional(),
    })
    .optional(),
  /** Pages (never media) where a browser is asked to prove itself; players cannot answer a challenge. */
  challengePages: z.array(path).optional(),
  /** The address sets that revocation fills. */
  blockedAddresses: z
    .strictObject({
      /** Capacity of their rule group, fixed when it is made: one unit per set of 10,000, two for networks and labels. */
      capacity: z.number().int().min(6).max(52).default(25),
    })
    .optional(),
  cors: z
    .union([
      z.literal(false),
      z.strictObject({
        /** `*` or the one origin your players run on: WAF cannot echo an origin. */
        origin: z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, 'expected * or an origin such as https://player.example'),
        credentials: z.boolean().default(false),
      }),
    ])
    .optional(),
  logging: z
    .union([
      z.literal(false),
      z.strictObject({
        /** ARN of a Firehose stream, log group or bucket whose name begins with aws-waf-logs-. */
        destination: z
          .string()
          .regex(/^arn:aws[\w-]*:.*aws-waf-logs-/, 'expected the ARN of a destination named aws-waf-logs-…'),
        /** Keep everything, or only what a rule matched (counted, blocked or labelled by this project). */
        keep: z.enum(['all', 'matched']).default('matched'),
      }),
    ])
    .optional(),
  capacity: z
    .strictObject({
      /** The build fails over this many capacity units. 1,500 is the end of the basic price. */
      ceiling: z.number().int().min(1).max(5000).default(1500),
    })
    .optional(),
  rollout: z
    .strictObject({
      /** How a rule starts that nobody decided on yet. */
      start: z.enum(['count', 'enforce']).default('count'),
      /** Where decisions and applied versions are recorded. */
      file: z.string().min(1).default('.portcullis/waf-rollout.json'),
    })
    .optional(),
  /** Priority of the first rule of ours; the others follow in tens, foreign priorities are stepped over. */
  firstPriority: z.number().int().min(0).max(1_000_000).optional(),
});

/** The `waf` section as a person writes it. */
export type WafConfigInput = z.input<typeof wafConfigSchema>;
/** The `waf` section after validation. */
export type WafConfig = z.output<typeof wafConfigSchema>;

/**
 * Validates the `waf` section.
 *
 * @throws WafRulesError `invalid_configuration`, naming each path and what was expected there
 * @example parseWafConfig({ preset: 'live-event', protectedPaths: ['/live/'] })
 */
export function parseWafConfig(input: unknown): WafConfig {
  const result = wafConfigSchema.safeParse(input);
  if (!result.success) {
    const problems = result.error.issues.map((problem) => `waf.${problem.path.join('.')}: ${problem.message}`);
    throw new WafRulesError('invalid_configuration', problems.join('\n'), { problems });
  }
  return result.data;
}
