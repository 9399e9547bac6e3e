import { abusers } from './abusers.js';
import { bot } from './background.js';
import { Cast, type Party } from './cast.js';
import { Edge, type Fault, type Stage, type TokenPlacement } from './edge.js';
import { abuserKinds, type AbuserKind } from './kinds.js';
import { addressRanges, type AddressRange } from './networks.js';
import type { Script } from './playback.js';
import { Random } from './random.js';
import type { LogRow } from './rows.js';
import type { Session, SessionLabel } from './session.js';
import { makeKey } from './tokens.js';
import { lookAlikes, lookAlikeWeights, ordinaryViewer } from './viewers.js';

export interface SimulationOptions {
  /** The same seed, options and version give the same log, byte for byte. */
  readonly seed: number | string;
  /** Sessions sold, honest and not. The crowd that abusers bring along comes on top. */
  readonly viewers: number;
  readonly minutes: number;
  /** Share of sessions that are abused; the kinds get about the same number each. */
  readonly abuserShare: number;
  /** Share of sessions that are honest and look odd. */
  readonly lookAlikeShare: number;
  readonly segmentSeconds: number;
  /** Start of the log, milliseconds since the epoch; the event began `recordedMinutes` before. */
  readonly from: number;
  readonly recordedMinutes: number;
  readonly placement: TokenPlacement;
  /** Share of sessions whose token is a JWT; the rest are CATs. */
  readonly jwtShare: number;
  readonly separateAudio: boolean;
  /** `media`: only segments reach the log, as when real-time logs are set on the segments' behaviour. */
  readonly logged: 'all' | 'media';
  /** Share of requests that reach the log (real-time logs can be sampled). */
  readonly sampling: number;
  readonly faults: number;
  readonly host: string;
  readonly abuserKinds: readonly AbuserKind[];
}

export const defaultSimulation: SimulationOptions = {
  seed: 1,
  viewers: 5000,
  minutes: 10,
  abuserShare: 0.01,
  lookAlikeShare: 0.15,
  segmentSeconds: 6,
  from: Date.UTC(2026, 5, 14, 18, 30),
  recordedMinutes: 120,
  placement: 'prefix',
  jwtShare: 0.3,
  separateAudio: false,
  logged: 'all',
  sampling: 1,
  faults: 2,
  host: 'video.example.tv',
  abuserKinds: Object.keys(abuserKinds) as AbuserKind[],
};

/** Wakes scripts in the order of their times, a second at a time: a calendar instead of a heap, for a million scripts. */
class Calendar {
  private readonly slots: Script[][] = [];

  constructor(
    private readonly from: number,
    private readonly slotMilliseconds: number,
  ) {}

  private add(script: Script): void {
    const { done, value } = script.next();
    if (done) return;
    const slot = Math.max(0, Math.floor((value - this.from) / this.slotMilliseconds));
    (this.slots[slot] ??= []).push(script);
  }

  start(scripts: Iterable<Script>): void {
    for (const script of scripts) this.add(script);
  }

  /** One slot's scripts, each as long as it stays within the slot. */
  *run(): Generator<number, void, void> {
    for (let index = 0; index < this.slots.length; index++) {
      const slot = this.slots[index];
      // Scripts that want to go on within the same slot join its end.
      if (slot) for (let i = 0; i < slot.length; i++) this.add(slot[i] as Script);
      delete this.slots[index];
      yield this.from + (index + 1) * this.slotMilliseconds;
    }
  }
}

/** A simulated event, ready to run once. */
export interface Simulation {
  readonly options: SimulationOptions;
  /**
   * Runs the event. Each step covers one second of it and hands its rows to `log`; rows come in order of time to within
   * a few seconds, as log records do. The row is reused: copy what is kept.
   *
   * @returns the time reached, milliseconds since the epoch, after each step.
   */
  run(log: (row: Readonly<LogRow>) => void): Generator<number, void, void>;
  /** What each session was; row counts are filled in by `run`. */
  labels(): SessionLabel[];
  /** The address database that belongs to the log. */
  addresses(): AddressRange[];
}

function makeFaults(options: SimulationOptions, random: Random): Fault[] {
  const length = options.minutes * 60_000;
  return Array.from({ length: options.faults }, () => {
    const from = options.from + random.between(0.1, 0.85) * length;
    return {
      from,
      until: from + random.between(12_000, 45_000),
      edges: [random.pick(['IAD', 'JFK', 'ORD', 'LHR', 'FRA', 'CDG', 'GRU', 'BOM'])],
      share: random.between(0.2, 0.6),
    };
  });
}

/** How many of the abused sessions each kind gets: as even as whole numbers allow. */
function sharesOf(total: number, kinds: readonly AbuserKind[]): [AbuserKind, number][] {
  return kinds.map((kind, index) => [kind, Math.floor(total / kinds.length) + (index < total % kinds.length ? 1 : 0)]);
}

/**
 * Prepares an event: who watches, from where, and who abuses.
 *
 * @example
 * const simulation = simulate({ seed: 7, viewers: 1000 });
 * for (const time of simulation.run((row) => console.log(row.path))) console.log(time);
 * console.log(simulation.labels().filter((label) => label.abuser));
 */
export function simulate(given: Partial<SimulationOptions> = {}): Simulation {
  const options: SimulationOptions = { ...defaultSimulation, ...given };
  const seed = `portcullis/${options.seed}`;
  const root = new Random(seed);
  const stage: Stage = {
    from: options.from,
    until: options.from + options.minutes * 60_000,
    beganAt: options.from - options.recordedMinutes * 60_000,
    segmentMilliseconds: options.segmentSeconds * 1000,
    host: options.host,
    site: 'https://www.example.tv',
    placement: options.placement,
    separateAudio: options.separateAudio,
    faults: makeFaults(options, root),
  };
  const sampler = new Random(`${seed}/sampling`);
  let log: (row: LogRow) => void = () => undefined;
  const edge = new Edge(
    stage,
    (row) => log(row),
    (path) =>
      (options.logged === 'all' || path.endsWith('.m4s')) &&
      (options.sampling >= 1 || sampler.chance(options.sampling)),
  );
  const key = makeKey(new Random(`${seed}/key`));
  const cast = (name: string): Cast => new Cast(edge, new Random(`${seed}/${name}`), key, options.jwtShare);

  const sessions: Session[] = [];
  const scripts: Script[] = [];
  const enter = (party: Party): void => {
    sessions.push(...party.sessions);
    scripts.push(...party.scripts);
  };
  const abused = Math.round(options.viewers * options.abuserShare);
  for (const [kind, count] of sharesOf(abused, options.abuserKinds)) {
    const until = sessions.length + count;
    for (let i = 0; sessions.length < until; i++) enter(abusers[kind](cast(`abuser/${kind}/${i}`)));
  }
  const odd = sessions.length + Math.round(options.viewers * options.lookAlikeShare);
  for (let i = 0; sessions.length < odd; i++) {
    const party = cast(`look-alike/${i}`);
    enter(lookAlikes[party.random.weighted(lookAlikeWeights).kind](party));
  }
  for (let i = 0; sessions.length < options.viewers; i++) enter(ordinaryViewer(cast(`viewer/${i}`)));
  const bots = Math.ceil(options.viewers / 400);
  for (let i = 0; i < bots; i++) scripts.push(bot(cast(`bot/${i}`)));

  return {
    options,
    *run(sink) {
      log = sink;
      const calendar = new Calendar(stage.from, 1000);
      calendar.start(scripts);
      yield* calendar.run();
    },
    labels: () => sessions.map((session) => session.label()),
    addresses: addressRanges,
  };
}
