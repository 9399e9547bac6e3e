import type { DetectionConfig, Ramp } from './config.js';
import type { AccountRow, FeatureRow, SessionKind } from './features.js';

/** What one signal adds to a session's score. */
export interface Contribution {
  readonly signal: Signal;
  /** The measured value that was held against the weight. */
  readonly value: number;
  readonly points: number;
  /** The finding in words, with its numbers. */
  readonly reason: string;
}

export type Signal = keyof DetectionConfig['weights'] | 'hardRule';

/** The judgement of one session in one window. */
export interface WindowVerdict {
  readonly windowStart: number;
  /** 0 to 100. */
  readonly score: number;
  readonly contributions: readonly Contribution[];
  readonly row: FeatureRow;
}

/** The judgement of one session. */
export interface Verdict {
  readonly session: string;
  readonly sessionKind: SessionKind;
  /** The query's text of the session. */
  readonly sessionText: string;
  /** Score of its worst window, 0 to 100. */
  readonly score: number;
  /** How sure the evidence makes the score, 0 to 1. */
  readonly confidence: number;
  readonly flagged: boolean;
  /** First request of the session in the windows judged, seconds since 1970. */
  readonly firstSeen: number;
  readonly lastSeen: number;
  /** End of the window in which the score first reached the threshold, seconds since 1970. */
  readonly decidedAt: number | undefined;
  /** What the worst window showed, heaviest first. */
  readonly contributions: readonly Contribution[];
  readonly reasons: readonly string[];
  readonly windows: readonly WindowVerdict[];
  /** The account, where an account's behaviour spoke against the session. */
  readonly subject: string | undefined;
  /**
   * Whether any of the requests behind it carried a token of another session, too. The edge admits by any token, so somebody
   * with a good one may have written this session's into his requests; a few from as many countries would be enough.
   */
  readonly contested: boolean;
}

/** What is usual among the audience: where nobody sends CMCD, its absence says nothing. */
export interface Usual {
  readonly cmcdShare: number;
  readonly segmentSeconds: number | undefined;
}

/** Where a value stands on a ramp, from 0 to 1. */
export function onRamp(value: number, ramp: Ramp): number {
  return Math.min(1, Math.max(0, (value - ramp.from) / (ramp.to - ramp.from)));
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
const percent = (value: number): string => `${Math.round(value * 100)} %`;
const round = (value: number): number => Math.round(value * 10) / 10;

/** Contents that one household may show side by side; more do not excuse a pace any further. */
const sideBySide = 4;

/** Players that excuse a pace: a player's name is the viewer's to choose, so there are no more than contents. */
function playersOf(row: FeatureRow): number {
  return Math.min(sideBySide, Math.max(1, Math.min(row.players, row.contents)));
}

/** Media seconds fetched for each second of the clock, the buffer allowed for, shared among the players side by side. */
export function paceOf(row: FeatureRow, config: DetectionConfig, usual: Usual): number {
  const length = usual.segmentSeconds ?? config.segmentSeconds;
  const media = row.mediaMilliseconds > 0 ? row.mediaMilliseconds / 1000 : row.timedPositions * length;
  const players = playersOf(row);
  const seconds = Math.max(row.lastAt - row.firstAt, config.momentSeconds);
  return Math.max(0, media - config.bufferSeconds * players) / seconds / players;
}

/**
 * Whether all that two networks did side by side is one taking over from the other, as a hand-over or casting does. What
 * both fetched is then no sharing: over a few segments of a short playback its share can be large. A third network at
 * once, or a longer time, is more than a change-over.
 */
function changesOver(row: FeatureRow, config: DetectionConfig): boolean {
  const seconds = Math.min(config.changeOverSeconds, config.windowSeconds / 2);
  return row.mostNetworks <= 2 && row.sharedMoments * config.momentSeconds <= seconds;
}

/**
 * Judges one session in one window. Several networks alone mean little: a carrier's NAT, a relay, a bonded link and a
 * hand-over spread one playback over networks, each segment fetched once. Sharing repeats the same segments through
 * several networks, or plays at several places at once; so that is what gives the points, and the rest adds to it.
 */
export function judgeWindow(
  row: FeatureRow,
  config: DetectionConfig,
  usual: Usual,
  account?: AccountRow,
): WindowVerdict {
  const { weights, hardRules, evidence } = config;
  const found: Contribution[] = [];
  const add = (signal: Signal, value: number, points: number, reason: string): void => {
    if (points >= 0.5) found.push({ signal, value: round(value * 100) / 100, points: round(points), reason });
  };
  const weigh = (signal: keyof DetectionConfig['weights'], value: number, reason: string, factor = 1): void =>
    add(signal, value, weights[signal].points * onRamp(value, weights[signal]) * factor, reason);

  const enough = row.media >= evidence.media && row.moments >= evidence.moments;
  if (enough) {
    const together = !changesOver(row, config);
    const repeated =
      together && row.repeatedPositions >= evidence.repeated ? share(row.repeatedPositions, row.positions) : 0;
    const distant = together && row.distantMoments >= evidence.repeated ? share(row.distantMoments, row.moments) : 0;
    const players = row.playerMoments >= evidence.moments ? share(row.playerMoments, row.moments) : 0;
    const countries = row.countryMoments >= evidence.moments ? share(row.countryMoments, row.moments) : 0;
    const sharing = Math.max(onRamp(repeated, weights.repeatedSegments), onRamp(distant, weights.distantPlayheads));
    weigh(
      'repeatedSegments',
      repeated,
      `${percent(repeated)} of the segments fetched again through other networks within ${config.togetherSeconds} s`,
    );
    weigh('distantPlayheads', distant, `networks played at different places in ${percent(distant)} of the time`);
    weigh('concurrentNetworks', row.mostNetworks, `${row.mostNetworks} networks at once`, sharing);
    weigh('concurrentPlayers', players, `several players in several networks ${percent(players)} of the time`);
    // One playback through a relay or a hand-over changes network and country, but its segments are fetched once.
    const alone = 0.4 + 0.6 * sharing;
    weigh('countries', row.countries, `${row.countries} countries (${row.countryList.join(', ')})`, alone);
    weigh('countriesAtOnce', countries, `several countries at once ${percent(countries)} of the time`, alone);
    weigh('autonomousSystems', row.asns, `${row.asns} autonomous systems`);
    const pace = paceOf(row, config, usual);
    weigh('pace', pace, `fetched at ${round(pace)} times real time`);
    const renditions = share(row.renditions - row.positions, row.positions);
    weigh('renditions', renditions, `${percent(renditions)} of the segments fetched in several renditions`);
    const hosting = share(row.hostingMedia, row.media);
    weigh('hosting', hosting, `${percent(hosting)} of the media went to hosting networks`);
    const tool = share(row.toolMedia, row.media);
    weigh('tool', tool, `${percent(tool)} of the media fetched by a downloading tool`);
    const silent = share(row.expectedCmcd - row.cmcdMedia, row.media);
    weigh(
      'missingCmcd',
      silent,
      `no CMCD, which ${percent(share(row.expectedCmcd, row.media))} of the media of others on the same browser or device carries`,
    );
    weigh('rareAgent', row.agentOneIn, `a user agent that one player in ${Math.round(row.agentOneIn)} has`);
    const refusals = share(row.refusedToken + row.refusedRevoked + row.refusedBlackout, row.served);
    weigh('refusals', refusals, `${row.refusedToken + row.refusedRevoked + row.refusedBlackout} refusals`, sharing);
    if (hardRules.concurrentNetworks > 0 && row.mostNetworks >= hardRules.concurrentNetworks && sharing > 0) {
      add(
        'hardRule',
        row.mostNetworks,
        config.threshold,
        `rule: ${row.mostNetworks} networks at once, ${hardRules.concurrentNetworks} are the limit`,
      );
    }
    if (hardRules.countriesPerWindow > 0 && row.countries >= hardRules.countriesPerWindow) {
      add(
        'hardRule',
        row.countries,
        config.threshold,
        `rule: ${row.countries} countries in one window, ${hardRules.countriesPerWindow} are the limit`,
      );
    }
    const whole = pace * playersOf(row);
    if (hardRules.pace > 0 && whole >= hardRules.pace) {
      add('hardRule', whole, config.threshold, `rule: ${round(whole)} times real time, ${hardRules.pace} is the limit`);
    }
  }
  if (account !== undefined && account.concurrency >= config.weights.accountPlaces.from - 1) {
    weigh(
      'accountPlaces',
      account.places,
      `its account was watched from ${account.places} places at once (${account.asns} autonomous systems, ${account.countries} countries)`,
    );
  }
  found.sort((a, b) => b.points - a.points);
  const score = Math.min(100, round(found.reduce((sum, contribution) => sum + contribution.points, 0)));
  return { windowStart: row.windowStart, score, contributions: found, row };
}

/** How much evidence stands behind a verdict: few segments or one window alone leave doubt. */
function confidenceOf(windows: readonly WindowVerdict[], worst: WindowVerdict, config: DetectionConfig): number {
  const { row } = worst;
  const amount = Math.min(1, row.media / (4 * Math.max(1, config.evidence.media)));
  const signals = Math.min(1, worst.contributions.filter((contribution) => contribution.points >= 5).length / 3);
  const lasting = windows.filter((window) => window.score >= config.threshold).length > 1 ? 1 : 0.6;
  const margin = Math.min(1, worst.score / Math.min(100, config.threshold * 1.5));
  return Math.round((0.35 * amount + 0.25 * signals + 0.2 * lasting + 0.2 * margin) * 100) / 100;
}

/**
 * Judges every session that the feature query returned. Deterministic: the same rows give the same verdicts, highest
 * score first.
 *
 * @example
 * const verdicts = judge(await database.rows(), await database.accounts(), config, database.audience);
 */
export function judge(
  rows: readonly FeatureRow[],
  accounts: readonly AccountRow[],
  config: DetectionConfig,
  usual: Usual,
): Verdict[] {
  const account = new Map<string, AccountRow>();
  for (const row of accounts) for (const session of row.sessions) account.set(`${row.windowStart} ${session}`, row);
  const bySession = new Map<string, FeatureRow[]>();
  for (const row of rows) {
    const list = bySession.get(row.session);
    if (list) list.push(row);
    else bySession.set(row.session, [row]);
  }
  const verdicts = [...bySession.values()].map((list) => judgeSession(list, config, usual, account));
  return verdicts.sort((a, b) => b.score - a.score || (a.session < b.session ? -1 : 1));
}

function judgeSession(
  rows: readonly FeatureRow[],
  config: DetectionConfig,
  usual: Usual,
  accounts: ReadonlyMap<string, AccountRow>,
): Verdict {
  const windows = [...rows]
    .sort((a, b) => a.windowStart - b.windowStart)
    .map((row) => judgeWindow(row, config, usual, accounts.get(`${row.windowStart} ${row.session}`)));
  const worst = windows.reduce((a, b) => (b.score > a.score ? b : a));
  const decided = windows.find((window) => window.score >= config.threshold);
  const { session, sessionKind, sessionText } = worst.row;
  const contested = windows.reduce((sum, window) => sum + window.row.contested, 0);
  return {
    session,
    sessionKind,
    sessionText,
    score: worst.score,
    confidence: confidenceOf(windows, worst, config),
    flagged: decided !== undefined,
    firstSeen: Math.min(...windows.map((window) => window.row.firstAt)),
    lastSeen: Math.max(...windows.map((window) => window.row.lastAt)),
    decidedAt: decided === undefined ? undefined : decided.windowStart + config.windowSeconds,
    contributions: worst.contributions,
    reasons: [
      ...worst.contributions.map((contribution) => contribution.reason),
      ...(contested > 0 ? [`${contested} of its requests carried a token of another session, too`] : []),
    ],
    windows,
    subject: worst.contributions.some((contribution) => contribution.signal === 'accountPlaces')
      ? accounts.get(`${worst.windowStart} ${session}`)?.subject
      : undefined,
    contested: contested > 0,
  };
}
