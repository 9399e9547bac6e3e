import type { PresetName, WafConfig, WafPlacement } from './config.js';
import { WafRulesError } from './errors.js';

/** A rate limit, or none. */
export type RateSetting = false | { readonly limit: number; readonly window: 60 | 120 | 300 | 600 };
export type ListMode = 'block' | 'label' | 'count' | 'off';

/** Everything a rule set is made from: a preset's values with the configuration's on top. */
export interface WafSettings {
  readonly preset: PresetName;
  readonly name: string;
  readonly placements: readonly WafPlacement[];
  readonly protectedPaths: readonly string[];
  readonly publicPaths: readonly string[];
  readonly tokenMinimumCharacters: number;
  readonly mint:
    | false
    | {
        readonly path: string;
        readonly bodyBytes: number;
        readonly perAddress: RateSetting;
        readonly perAddressAndAgent: RateSetting;
        readonly refuseListedNetworks: boolean;
      };
  readonly vpn: ListMode;
  readonly hosting: ListMode;
  readonly reputation: ListMode;
  readonly reputationDdos: boolean;
  readonly exceptions: {
    readonly privateRelay: boolean;
    readonly relayRanges: readonly string[];
    readonly awsHealthChecks: boolean;
    readonly monitoring: readonly string[];
    readonly partners: readonly string[];
    readonly media: readonly string[];
    readonly asns: readonly number[];
  };
  readonly countriesAllowed: readonly string[];
  readonly countriesBlocked: readonly string[];
  readonly regionsBlocked: readonly string[];
  readonly asnsBlocked: readonly number[];
  readonly ja3: readonly string[];
  readonly ja4: readonly string[];
  readonly rates: {
    readonly address: RateSetting;
    readonly addressAndAgent: RateSetting;
    readonly token: RateSetting;
    readonly segmentReuse: RateSetting;
    readonly session: RateSetting;
    readonly listedNetwork: RateSetting;
    readonly sessionKey: { readonly kind: 'query' | 'cookie' | 'header'; readonly name: string } | undefined;
  };
  readonly pathBytes: number;
  readonly queryBytes: number;
  readonly challengePages: readonly string[];
  readonly blockedCapacity: number;
  readonly cors: false | { readonly origin: string; readonly credentials: boolean };
  readonly logging: false | { readonly destination: string; readonly keep: 'all' | 'matched' };
  readonly ceiling: number;
  readonly start: 'count' | 'enforce';
  readonly recordFile: string;
  readonly firstPriority: number;
}

interface PresetValues {
  readonly vpn: ListMode;
  readonly hosting: ListMode;
  readonly reputation: ListMode;
  readonly reputationDdos: boolean;
  readonly mintPerAddress: RateSetting;
  readonly mintPerAddressAndAgent: RateSetting;
  readonly address: RateSetting;
  readonly addressAndAgent: RateSetting;
  readonly token: RateSetting;
  readonly segmentReuse: RateSetting;
  readonly listedNetwork: RateSetting;
  readonly pathBytes: number;
  readonly queryBytes: number;
}

const per = (window: 60 | 300, limit: number): RateSetting => ({ limit, window });

const liveEvent: PresetValues = {
  vpn: 'block',
  hosting: 'block',
  reputation: 'block',
  reputationDdos: false,
  mintPerAddress: per(300, 300),
  mintPerAddressAndAgent: per(300, 150),
  address: per(60, 60_000),
  addressAndAgent: per(60, 20_000),
  token: per(60, 1200),
  segmentReuse: per(300, 60),
  listedNetwork: false,
  pathBytes: 4096,
  queryBytes: 4096,
};

/** The presets' values; `docs/waf.md` says why each is what it is. */
export const presetValues: Readonly<Record<PresetName, PresetValues>> = {
  'live-event': liveEvent,
  vod: {
    ...liveEvent,
    vpn: 'label',
    hosting: 'label',
    token: per(60, 1800),
    listedNetwork: per(60, 30_000),
  },
  strict: {
    ...liveEvent,
    reputationDdos: true,
    mintPerAddress: per(300, 60),
    mintPerAddressAndAgent: per(300, 30),
    address: per(60, 12_000),
    addressAndAgent: per(60, 6000),
    token: per(60, 600),
    segmentReuse: per(300, 30),
    pathBytes: 2048,
    queryBytes: 2048,
  },
  observe: { ...liveEvent, vpn: 'label', hosting: 'label', listedNetwork: per(60, 30_000) },
};

/** The header names a token may come under: the standard's and the one players really send. */
export const tokenHeaders = ['cta-common-access-token', 'common-access-token'] as const;

const defaultPlacements: readonly WafPlacement[] = [
  { kind: 'query', name: 'CAT' },
  { kind: 'header' },
  { kind: 'cookie', name: 'CAT' },
];

/**
 * Puts a validated configuration on top of its preset.
 *
 * @throws WafRulesError `invalid_configuration` when two settings contradict each other
 */
export function settingsOf(config: WafConfig): WafSettings {
  const preset = presetValues[config.preset];
  const rates = config.rates ?? {};
  const mint = config.mint ?? false;
  const settings: WafSettings = {
    preset: config.preset,
    name: config.name,
    placements: config.placements ?? defaultPlacements,
    protectedPaths: config.protectedPaths ?? ['/live/', '/vod/'],
    publicPaths: config.publicPaths ?? [],
    tokenMinimumCharacters: config.tokenMinimumCharacters ?? 40,
    mint: mint && {
      path: mint.path,
      bodyBytes: mint.bodyBytes,
      perAddress: mint.perAddress ?? preset.mintPerAddress,
      perAddressAndAgent: mint.perAddressAndAgent ?? preset.mintPerAddressAndAgent,
      refuseListedNetworks: mint.refuseListedNetworks,
    },
    vpn: config.anonymous?.vpn ?? preset.vpn,
    hosting: config.anonymous?.hosting ?? preset.hosting,
    reputation: config.reputation?.mode ?? preset.reputation,
    reputationDdos: config.reputation?.ddos ?? preset.reputationDdos,
    exceptions: {
      privateRelay: config.exceptions?.privateRelay ?? true,
      relayRanges: config.exceptions?.relayRanges ?? [],
      awsHealthChecks: config.exceptions?.awsHealthChecks ?? true,
      monitoring: config.exceptions?.monitoring ?? [],
      partners: config.exceptions?.partners ?? [],
      media: config.exceptions?.media ?? [],
      asns: config.exceptions?.asns ?? [],
    },
    countriesAllowed: config.countries?.allow ?? [],
    countriesBlocked: config.countries?.block ?? [],
    regionsBlocked: config.regions?.block ?? [],
    asnsBlocked: config.asns?.block ?? [],
    ja3: config.fingerprints?.ja3 ?? [],
    ja4: config.fingerprints?.ja4 ?? [],
    rates: {
      address: rates.address ?? preset.address,
      addressAndAgent: rates.addressAndAgent ?? preset.addressAndAgent,
      token: rates.token ?? preset.token,
      segmentReuse: rates.segmentReuse ?? preset.segmentReuse,
      session: rates.session ?? false,
      listedNetwork: rates.listedNetwork ?? preset.listedNetwork,
      sessionKey: rates.sessionKey,
    },
    pathBytes: config.hygiene?.pathBytes ?? preset.pathBytes,
    queryBytes: config.hygiene?.queryBytes ?? preset.queryBytes,
    challengePages: config.challengePages ?? [],
    blockedCapacity: config.blockedAddresses?.capacity ?? 25,
    cors: config.cors ?? { origin: '*', credentials: false },
    logging: config.logging ?? false,
    ceiling: config.capacity?.ceiling ?? 1500,
    start: config.rollout?.start ?? 'count',
    recordFile: config.rollout?.file ?? '.portcullis/waf-rollout.json',
    firstPriority: config.firstPriority ?? 100,
  };
  checkSettings(settings);
  return settings;
}

function checkSettings(settings: WafSettings): void {
  const refuse = (at: string, what: string): never => {
    throw new WafRulesError('invalid_configuration', `waf.${at}: ${what}`, { path: at });
  };
  for (const page of settings.challengePages) {
    const media = settings.protectedPaths.find((guarded) => page.startsWith(guarded) || guarded.startsWith(page));
    const open = settings.publicPaths.some((free) => page.startsWith(free));
    if (media !== undefined && !open) {
      refuse('challengePages', `${page} lies on the protected path ${media}; players cannot answer a challenge.`);
    }
  }
  if (
    settings.mint &&
    settings.challengePages.some((page) => (settings.mint as { path: string }).path.startsWith(page))
  ) {
    refuse(
      'challengePages',
      'the token endpoint lies under a challenged page; an application cannot answer a challenge.',
    );
  }
  if (settings.rates.session && !settings.rates.sessionKey) {
    refuse('rates.sessionKey', 'expected the query argument, cookie or header that names the session.');
  }
  for (const placement of settings.placements) {
    if (placement.kind === 'path' && placement.mode === 'prefix' && placement.prefix === undefined) {
      refuse('placements', 'a path placement with mode "prefix" needs its prefix, as in /live.');
    }
  }
  if (settings.cors && settings.cors.credentials && settings.cors.origin === '*') {
    refuse('cors', 'credentials need one named origin; browsers refuse * with credentials.');
  }
  const blocked = settings.countriesBlocked.filter((code) => settings.countriesAllowed.includes(code));
  if (blocked.length > 0) refuse('countries', `${blocked.join(', ')} both allowed and blocked.`);
}
