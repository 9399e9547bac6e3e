import { Device, ladder, type Edge, type Stage } from './edge.js';
import { pickProfile, type DeviceProfile } from './devices.js';
import {
  attachToHome,
  attachToMobile,
  audienceCountries,
  makeHome,
  networksOf,
  type Attachment,
  type Home,
  type NetworkKind,
} from './networks.js';
import { watch, type Script, type Turn, type WatchPlan } from './playback.js';
import type { Random } from './random.js';
import { Session, type SessionKind } from './session.js';
import type { SigningKey } from './tokens.js';

/** The sessions that belong together (one account, or one abuse) and what their devices do. */
export interface Party {
  readonly sessions: readonly Session[];
  readonly scripts: readonly Script[];
}

export interface Times {
  readonly joinAt: number;
  readonly leaveAt: number;
}

const minute = 60_000;

/** Everything a party is made from; one per party, with its own stream of chance. */
export class Cast {
  readonly stage: Stage;

  constructor(
    readonly edge: Edge,
    readonly random: Random,
    private readonly key: SigningKey,
    private readonly jwtShare: number,
  ) {
    this.stage = edge.stage;
  }

  country(): string {
    return this.random.weighted(audienceCountries).country;
  }

  account(): string {
    return `acct-${this.random.hex(12)}`;
  }

  session(
    kind: SessionKind,
    times: Times,
    options: { subject?: string; abuser?: boolean; longLived?: boolean } = {},
  ): Session {
    const { random } = this;
    const withHandle = random.chance(0.95);
    // Services with edge renewal issue minutes, services without issue the length of the event.
    const renews = withHandle && !options.longLived && random.chance(0.6);
    const restricted = random.chance(0.2);
    const lifetime = renews ? 300 : 6 * 3600;
    const startedAt = Math.min(times.joinAt, this.stage.until);
    // Whoever was there before the log is somewhere between two renewals.
    const phase = random.between(0, 240_000);
    return new Session(
      {
        kind,
        abuser: options.abuser ?? false,
        subject: options.subject ?? this.account(),
        format: random.chance(this.jwtShare) ? 'jwt' : 'cat',
        withHandle,
        issuer: 'https://play.example.tv',
        pathPrefix: '/live/',
        countries: restricted ? audienceCountries.map((entry) => entry.country) : undefined,
        startedAt,
        issuedAt: renews ? Math.max(startedAt, this.stage.from - phase) : startedAt,
        lifetime,
        renews,
      },
      this.key,
      random,
    );
  }

  /**
   * When a viewer comes and goes. Four of five are there already; nobody is counted in who would leave before the log
   * could show anything.
   */
  times(options: { stays?: boolean } = {}): Times {
    const { random, stage } = this;
    const length = stage.until - stage.from;
    const joinAt = random.chance(0.8)
      ? stage.from - random.between(minute, Math.max(2 * minute, Math.min(60 * minute, stage.from - stage.beganAt)))
      : stage.from + random.between(0, length * 0.8);
    const visible = Math.max(joinAt, stage.from);
    const leaveAt = options.stays ? stage.until + 1 : visible + minute / 2 + random.exponential(40 * minute);
    return { joinAt, leaveAt };
  }

  home(country: string = this.country(), kind: NetworkKind = 'broadband'): Home {
    return makeHome(this.random.pick(networksOf(kind, country)), this.random);
  }

  mobile(country: string, options: Parameters<typeof attachToMobile>[2] = {}): Attachment {
    return attachToMobile(this.random.pick(networksOf('mobile', country)), this.random, options);
  }

  /** At home on Wi-Fi or cable: about half of the connections use IPv6 where the line has it. */
  atHome(home: Home): Attachment {
    return attachToHome(home, this.random, this.random.chance(0.45) ? 'ipv6' : 'ipv4');
  }

  device(
    profile: DeviceProfile,
    attachment: Attachment,
    options: { abuses?: boolean; referer?: string; reports?: boolean } = {},
  ): Device {
    const referer = options.referer ?? (profile.browser ? `${this.stage.site}/watch/final` : '-');
    return new Device(profile, attachment, this.random, {
      lag: this.random.between(0, this.stage.segmentMilliseconds),
      referer,
      ...(options.abuses ? { abuses: true } : {}),
      ...(options.reports === undefined ? {} : { reports: options.reports }),
    });
  }

  /** Mostly the main programme. */
  content(): string {
    return this.random.weighted([
      { content: 'ch1', weight: 80 },
      { content: 'ch2', weight: 10 },
      { content: 'ch3', weight: 6 },
      { content: 'ch4', weight: 4 },
    ]).content;
  }

  /** Ordinary watching: most live, some from further back in the time-shift window. */
  plan(times: Times, profile: DeviceProfile, details: Partial<WatchPlan> = {}): WatchPlan {
    const { random, stage } = this;
    const segment = stage.segmentMilliseconds;
    const behindLive = segment * 3 + random.between(0, segment);
    const shifted = random.chance(0.05);
    return {
      content: this.content(),
      from: shifted
        ? { position: random.between(0, Math.max(1, stage.from - stage.beganAt - 20 * minute)) }
        : { behindLive },
      ...(profile.mobile ? { topRung: ladder.length - 2 } : {}),
      ...times,
      turns: this.pauses(times, 20 * minute),
      ...details,
    };
  }

  /** Pauses that come at random, `mean` apart. */
  pauses(times: Times, mean: number): Turn[] {
    const { random, stage } = this;
    const turns: Turn[] = [];
    let at = Math.max(times.joinAt, stage.from) + random.exponential(mean);
    while (at < Math.min(times.leaveAt, stage.until)) {
      const milliseconds = random.logNormal(25_000, 0.9);
      turns.push({ at, what: 'pause', milliseconds, asleep: milliseconds > 90_000 && random.chance(0.4) });
      at += milliseconds + random.exponential(mean);
    }
    return turns;
  }

  watch(device: Device, session: Session, plan: WatchPlan): Script {
    return watch(this.edge, device, session, plan);
  }

  /** One viewer on one device: what most parties are. */
  single(
    kind: SessionKind,
    attachment: Attachment,
    sort: Parameters<typeof pickProfile>[1] = 'any',
    details: Partial<WatchPlan> = {},
  ): Party {
    const times = { ...this.times(), ...('joinAt' in details ? { joinAt: details.joinAt as number } : {}) };
    const profile = pickProfile(this.random, sort);
    const session = this.session(kind, times);
    return {
      sessions: [session],
      scripts: [this.watch(this.device(profile, attachment), session, this.plan(times, profile, details))],
    };
  }
}
