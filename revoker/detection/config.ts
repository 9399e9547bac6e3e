import { isIP } from 'node:net';
import { z } from 'zod';

/** Where a token stands in a request. The same definition as the placements of the tokens; only what a log shows is used. */
const placementSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('path'),
    mode: z.enum(['prefix', 'marker', 'first']),
    prefix: z.string().startsWith('/').optional(),
    marker: z.string().startsWith('/').optional(),
  }),
  z.strictObject({
    kind: z.enum(['query', 'cookie', 'path-parameter', 'header']),
    name: z.string().optional(),
    // Attributes of the cookie: no log shows them.
    domain: z.string().optional(),
    path: z.string().optional(),
    sameSite: z.string().optional(),
    partitioned: z.boolean().optional(),
  }),
]);

/** A token placement as the detector reads it. */
export type LogPlacement = z.infer<typeof placementSchema>;

/** Whether a text is an expression with one group that every engine reads. */
function hasOneGroup(text: string): boolean {
  if (/\(\?(?!:)|\\[1-9k]/.test(text)) return false;
  try {
    return new RegExp(`${text}|`).exec('')?.length === 2;
  } catch {
    return false;
  }
}

const points = (value: number): z.ZodDefault<z.ZodNumber> => z.number().min(0).max(100).default(value);
const count = (value: number): z.ZodDefault<z.ZodNumber> => z.number().int().min(0).default(value);
const share = (value: number): z.ZodDefault<z.ZodNumber> => z.number().min(0).max(1).default(value);

/** How one signal turns into points: none up to `from`, all of `points` at `to`, in proportion between. */
const rampSchema = (defaults: { points: number; from: number; to: number }) =>
  z
    .strictObject({
      points: points(defaults.points),
      from: z.number().default(defaults.from),
      to: z.number().default(defaults.to),
    })
    .refine((ramp) => ramp.to > ramp.from, { message: 'to must be above from' })
    .prefault({});

export type Ramp = { points: number; from: number; to: number };

const weightsSchema = z
  .strictObject({
    /** Share of positions that two or more networks fetched within `togetherSeconds` of each other. */
    repeatedSegments: rampSchema({ points: 60, from: 0.12, to: 0.35 }),
    /** Share of the moments in which networks played at places far apart. */
    distantPlayheads: rampSchema({ points: 60, from: 0.1, to: 0.4 }),
    /** Most networks at once; counts only as far as segments repeat or playheads are apart. */
    concurrentNetworks: rampSchema({ points: 30, from: 2, to: 6 }),
    /** Players (CMCD session ids) at once in different networks. */
    concurrentPlayers: rampSchema({ points: 30, from: 0.1, to: 0.4 }),
    /** Autonomous systems in one window: beyond what a hand-over, a bonded link or a dual stack need. */
    autonomousSystems: rampSchema({ points: 55, from: 3, to: 8 }),
    /** Countries in one window. */
    countries: rampSchema({ points: 45, from: 2, to: 5 }),
    /** Share of the moments in which two or more countries were active. */
    countriesAtOnce: rampSchema({ points: 50, from: 0.08, to: 0.4 }),
    /** Media seconds fetched in a second of the clock, after the buffer is allowed for. Below the rule's limit it needs a second sign: whoever skips through a recording fills buffers, too. */
    pace: rampSchema({ points: 48, from: 2.8, to: 4.6 }),
    /** Share of the positions that one network fetched in several renditions. */
    renditions: rampSchema({ points: 55, from: 0.4, to: 0.9 }),
    /** Share of the served media that went to hosting networks. */
    hosting: rampSchema({ points: 30, from: 0.2, to: 0.9 }),
    /** Share of the media requests that lack CMCD which others with the same browser or device send. */
    missingCmcd: rampSchema({ points: 13, from: 0.4, to: 0.7 }),
    /** One in how many of the audience's players has the session's user agent: a script carries one copied long ago. */
    rareAgent: rampSchema({ points: 13, from: 200, to: 600 }),
    /** Share of the media requests by a downloading tool, not a player. */
    tool: rampSchema({ points: 25, from: 0.2, to: 0.9 }),
    /** Places at once from which one account is watched. */
    accountPlaces: rampSchema({ points: 70, from: 4, to: 7 }),
    /** Refusals for each served request: somebody tries places the token is not for. */
    refusals: rampSchema({ points: 10, from: 0.2, to: 1 }),
  })
  .prefault({});

const minutes = 60;
const hours = 60 * minutes;

const actionsSchema = z
  .strictObject({
    /** From this score on a session is reported as watched. */
    watch: points(35),
    /** From this score on its tokens are answered as expired, so that the player must ask the CMS again. */
    remint: points(50),
    /** From this score on it is revoked outright. */
    revokeSession: points(70),
    /** An account with this many revoked sessions in one run is revoked as a whole; 0: never. */
    revokeSubjectFrom: count(3),
    /** From this score on the addresses of a re-streamer are blocked; only addresses of hosting networks, or of a session that one address feeds. */
    blockAddresses: points(85),
    /** How long each lasts, in seconds. */
    remintSeconds: count(6 * hours),
    revokeSessionSeconds: count(24 * hours),
    revokeSubjectSeconds: count(24 * hours),
    blockSeconds: count(2 * hours),
    /** At most this many addresses are blocked for one session. */
    addressesPerSession: count(8),
  })
  .prefault({})
  .refine((ladder) => ladder.watch <= ladder.remint && ladder.remint <= ladder.revokeSession, {
    message: 'the ladder must rise: watch ≤ remint ≤ revokeSession',
  });

const ceilingsSchema = z
  .strictObject({
    /** Most actions of each kind in one run; over it, everything of that kind waits for a person. */
    remint: count(500),
    revokeSession: count(100),
    revokeSubject: count(10),
    blockAddress: count(50),
    /** Most sessions acted upon, as a share of the sessions seen in the run; over it, everything waits. */
    shareOfSessions: share(0.05),
    /** Never less than this many, however small the run. */
    floorOfSessions: count(5),
  })
  .prefault({});

/** An IPv4 or IPv6 network in CIDR notation; an IPv4 address in IPv6 is written as IPv4. */
function isNetwork(text: string): boolean {
  const [, address = '', length = ''] = /^([0-9a-fA-F:]+|[0-9.]+)\/(\d{1,3})$/.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(length) <= (family === 4 ? 32 : 128);
}

const allowListSchema = z
  .strictObject({
    /** Sessions, as `portcullis revoke session` takes them. */
    sessions: z.array(z.string()).default([]),
    subjects: z.array(z.string()).default([]),
    /** Networks in CIDR notation: monitoring probes, partners' proxies, the office. */
    networks: z
      .array(z.string().refine(isNetwork, 'expected a network such as 203.0.113.0/24 or 2001:db8::/32'))
      .default([]),
    /** Autonomous systems whose networks count as one: carriers with nationwide NAT, privacy relays. */
    relayAsns: z.array(z.number().int().positive()).default([13335, 36183, 54113, 714]),
  })
  .prefault({});

/**
 * The detector's section of the configuration. Every value has a default; `portcullis detect calibrate` proposes others
 * from a log known to be clean.
 */
export const detectionConfigSchema = z.strictObject({
  /** Length of a window, in seconds. A verdict comes at a window's end. */
  windowSeconds: z.number().int().min(30).max(86_400).default(300),
  /** Activity of two networks in the same moment of this many seconds is concurrent. */
  momentSeconds: z.number().int().min(2).max(120).default(10),
  /** A position that two networks fetch within this many seconds is repeated. */
  togetherSeconds: z.number().int().min(1).max(600).default(45),
  /**
   * Two networks that play side by side for no longer than this in a window are one viewer who changes over: a phone that
   * gives its playback to a television goes on until the other has begun. At most half a window. In seconds.
   */
  changeOverSeconds: z.number().int().min(0).default(60),
  /** Positions between two networks from which on they are two playheads, not one. */
  playheadPositions: z.number().int().min(2).default(25),
  /** Media that a player may hold ahead, in seconds: not counted as faster than real time. */
  bufferSeconds: z.number().int().min(0).default(120),
  /**
   * A segment's number in its file's name: a regular expression that RE2, Java and JavaScript read alike, with one group.
   * By default the last digits before the extension; `seg-([0-9]+)-` for names such as `seg-12-v1-a1.ts`.
   */
  segmentNumber: z
    .string()
    .max(200)
    .refine(hasOneGroup, { message: 'expected a regular expression with one group, without look-around or references' })
    .default('([0-9]+)[^0-9.]*[.][A-Za-z0-9]+$'),
  /** A segment's length where the logs do not tell it (CMCD `d`), in seconds. */
  segmentSeconds: z.number().positive().default(4),
  /** How far ahead of the clock a record may be before it is skipped, in seconds. */
  clockSkewSeconds: z.number().int().min(0).default(600),
  /** Score from which on a session is flagged. */
  threshold: z.number().min(1).max(100).default(50),
  /** Where tokens stand in a request, in the order they are looked for. */
  placements: z
    .array(placementSchema)
    .min(1)
    .default([
      { kind: 'path', mode: 'prefix', prefix: '/live' },
      { kind: 'query' },
      { kind: 'cookie' },
      { kind: 'path-parameter' },
      { kind: 'header' },
    ]),
  /** Paths served without a token: a token there was never checked, so it is no evidence against anybody. */
  publicPaths: z.array(z.string().startsWith('/')).default([]),
  /** Least evidence before a session is judged. */
  evidence: z
    .strictObject({
      /** Media requests served. */
      media: count(20),
      /** Positions repeated by networks, or moments with distant playheads. */
      repeated: count(8),
      /** Moments with activity. */
      moments: count(3),
    })
    .prefault({}),
  /** Limits over which a session is flagged whatever the rest says. 0 switches a rule off. */
  hardRules: z
    .strictObject({
      /** Networks at once that repeat each other's segments. */
      concurrentNetworks: count(8),
      /** Countries in one window. */
      countriesPerWindow: count(6),
      /** Pace over real time, sustained over a window. */
      pace: z.number().min(0).default(8),
    })
    .prefault({}),
  /** Hosting networks, by AS number, in addition to what an address database marks as hosting. */
  hostingAsns: z
    .array(z.number().int().positive())
    .default([
      16509, 14618, 15169, 396982, 8075, 8068, 31898, 45102, 37963, 132203, 45090, 16276, 24940, 14061, 63949, 20473,
      60781, 28753, 51167, 9009, 60068, 212238, 12876, 8560, 197540, 36352, 55286, 46606, 26496, 29802, 19318, 53667,
      62240, 50304, 49981, 202425, 204957, 44477, 211252, 51396, 40676, 8100, 32097, 35916, 136787, 210558,
    ]),
  /** Products, as the user agent's first word names them, that download and do not play. Compared without case. */
  tools: z
    .array(z.string().min(1))
    .default([
      'lavf',
      'ffmpeg',
      'libavformat',
      'curl',
      'wget',
      'python-requests',
      'python-urllib',
      'python',
      'aiohttp',
      'go-http-client',
      'streamlink',
      'yt-dlp',
      'youtube-dl',
      'n_m3u8dl-re',
      'n_m3u8dl-cli',
      'aria2',
      'gstreamer',
      'gst',
      'libcurl',
      'java',
      'apache-httpclient',
      'okhttp-downloader',
      'node-fetch',
      'axios',
      'undici',
      'scrapy',
      'httpx',
      'libwww-perl',
      'mpv',
      'obs',
      'nginx',
      'restream',
    ]),
  weights: weightsSchema,
  actions: actionsSchema,
  ceilings: ceilingsSchema,
  allow: allowListSchema,
  /** An approval is asked for when a verdict's confidence is below this. */
  approvalBelow: share(0.6),
  /** DuckDB's share of the machine. */
  resources: z
    .strictObject({
      /** Whether work that exceeds `memory` may go to a private temporary folder; otherwise the run fails. */
      spill: z.boolean().default(true),
      threads: z.number().int().min(1).default(2),
      memory: z
        .string()
        .regex(/^\d+(\.\d+)?(MB|GB|MiB|GiB)$/, 'expected an amount such as 3GB')
        .default('3GB'),
    })
    .prefault({}),
});

/** The detector's settings, every default filled in. */
export type DetectionConfig = z.infer<typeof detectionConfigSchema>;
/** The detector's settings as written by a person. */
export type DetectionConfigInput = z.input<typeof detectionConfigSchema>;

/** A setting that cannot be used. */
export class DetectionConfigError extends Error {
  readonly code = 'detection_config';
}

/**
 * Checks the detector's section and fills in the defaults.
 *
 * @throws {DetectionConfigError} naming the path and what was expected.
 * @example
 * const config = parseDetectionConfig({ threshold: 60 });
 */
export function parseDetectionConfig(input: unknown = {}): DetectionConfig {
  const parsed = detectionConfigSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new DetectionConfigError(parsed.error.issues.flatMap(problems).join('\n'));
}

function problems(found: z.core.$ZodIssue): string[] {
  const where = (key?: string): string =>
    ['detection', ...found.path.map(String), ...(key === undefined ? [] : [key])].join('.');
  if (found.code !== 'unrecognized_keys') return [`${where()}: ${found.message}`];
  const known = settingsAt(found.path);
  return found.keys.map((key) => {
    const nearest = known.find((name) => near(name.toLowerCase(), key.toLowerCase()));
    return `${where(key)}: no such setting${nearest === undefined ? '' : `; is ${nearest} meant?`}`;
  });
}

/** The settings that there are in a section. Where one has defaults all the way, they are its keys. */
function settingsAt(path: readonly PropertyKey[]): string[] {
  let section: unknown = detectionConfigSchema.parse({});
  for (const part of path) section = (section as Partial<Record<PropertyKey, unknown>> | undefined)?.[part];
  return typeof section === 'object' && section !== null && !Array.isArray(section) ? Object.keys(section) : [];
}

/** Whether one letter more, less, other or at its neighbour's place makes one word of the other. */
function near(one: string, other: string): boolean {
  let same = 0;
  while (same < one.length && one[same] === other[same]) same++;
  const [a, b] = [one.slice(same), other.slice(same)];
  return (
    a.slice(1) === b ||
    a === b.slice(1) ||
    a.slice(1) === b.slice(1) ||
    (a.slice(2) === b.slice(2) && a[0] === b[1] && a[1] === b[0])
  );
}
