import type { DetectionConfig } from '../detection/config.js';
import type { FeatureRow, SessionKind } from '../detection/features.js';
import { judge, type Verdict } from '../detection/verdict.js';
import type { StreamedRequest } from './record.js';
import { shortHash } from './record.js';

/**
 * One request as a member of a session's set. Aggregates are sets of these and nothing else: a record that comes twice, late
 * or out of order is the same member, so no delivery can be counted twice and no order matters.
 */
export function entryOf(request: StreamedRequest, momentSeconds: number): string {
  const flags =
    (request.tool ? 1 : 0) + (request.hosting ? 2 : 0) + (request.cmcd ? 4 : 0) + (request.contested ? 8 : 0);
  return [
    Math.floor(request.at / momentSeconds).toString(36),
    request.place.startsWith('AS') ? request.place : shortHash(request.place, 6),
    request.content,
    request.track === 'audio' ? 'a' : 'v',
    request.position.toString(36),
    request.player ?? '',
    request.country ?? '',
    request.asn?.toString(36) ?? '',
    flags,
  ].join('|');
}

/** The features of a set. */
export function rowOf(
  about: { readonly session: string; readonly sessionKind: SessionKind; readonly windowStart: number },
  entries: Iterable<string>,
  config: DetectionConfig,
): FeatureRow {
  const positions = new Map<string, Set<string>>();
  const moments = new Map<
    number,
    Map<string, { heads: number[]; contents: Set<string>; players: Set<string>; countries: Set<string> }>
  >();
  const places = new Set<string>();
  const asns = new Set<number>();
  const countries = new Set<string>();
  const players = new Set<string>();
  const contents = new Set<string>();
  let [media, tool, hosting, cmcd, contested, video] = [0, 0, 0, 0, 0, 0];
  for (const entry of entries) {
    const [
      moment36 = '',
      place = '',
      content = '',
      track = '',
      position = '',
      player = '',
      country = '',
      asn = '',
      flags = '0',
    ] = entry.split('|');
    const moment = parseInt(moment36, 36);
    media++;
    if ((Number(flags) & 1) !== 0) tool++;
    if ((Number(flags) & 2) !== 0) hosting++;
    if ((Number(flags) & 4) !== 0) cmcd++;
    if ((Number(flags) & 8) !== 0) contested++;
    places.add(place);
    contents.add(content);
    if (asn !== '') asns.add(parseInt(asn, 36));
    if (country !== '') countries.add(country);
    if (player !== '') players.add(player);
    const key = `${content}|${track}|${position}`;
    const through = positions.get(key);
    if (through) through.add(place);
    else {
      positions.set(key, new Set([place]));
      if (track === 'v') video++;
    }
    const inMoment =
      moments.get(moment) ??
      new Map<string, { heads: number[]; contents: Set<string>; players: Set<string>; countries: Set<string> }>();
    moments.set(moment, inMoment);
    const here = inMoment.get(place) ?? {
      heads: [],
      contents: new Set<string>(),
      players: new Set<string>(),
      countries: new Set<string>(),
    };
    inMoment.set(place, here);
    if (track === 'v') here.heads.push(parseInt(position, 36));
    here.contents.add(content);
    if (player !== '') here.players.add(player);
    if (country !== '') here.countries.add(country);
  }
  let [sharedMoments, distantMoments, playerMoments, countryMoments, mostNetworks] = [0, 0, 0, 0, 0];
  for (const inMoment of moments.values()) {
    mostNetworks = Math.max(mostNetworks, inMoment.size);
    if (inMoment.size < 2) continue;
    sharedMoments++;
    const here = [...inMoment.values()];
    const several = (sets: readonly Set<string>[]): boolean => new Set(sets.flatMap((set) => [...set])).size > 1;
    const heads = here
      .filter(({ heads: found }) => found.length > 0)
      .map(({ heads: found }) => found.reduce((a, b) => a + b, 0) / found.length);
    const apart = heads.length > 1 && Math.max(...heads) - Math.min(...heads) > config.playheadPositions;
    if (apart || several(here.map((one) => one.contents))) distantMoments++;
    if (several(here.map((one) => one.players))) playerMoments++;
    if (several(here.map((one) => one.countries))) countryMoments++;
  }
  const times = [...moments.keys()];
  return {
    ...about,
    sessionText: about.session,
    requests: media,
    served: media,
    bytes: 0,
    media,
    cmcdMedia: cmcd,
    expectedCmcd: 0,
    agentOneIn: 0,
    toolMedia: tool,
    hostingMedia: hosting,
    refusedToken: 0,
    refusedRevoked: 0,
    refusedBlackout: 0,
    failed: 0,
    contested,
    firstAt: times.length > 0 ? Math.min(...times) * config.momentSeconds : about.windowStart,
    lastAt: times.length > 0 ? (Math.max(...times) + 1) * config.momentSeconds : about.windowStart,
    addresses: places.size,
    networks: places.size,
    asns: asns.size,
    countries: countries.size,
    agents: 0,
    players: players.size,
    edges: 0,
    countryList: [...countries].sort(),
    asnList: [...asns].sort((a, b) => a - b),
    positions: positions.size,
    repeatedPositions: [...positions.values()].filter((through) => through.size > 1).length,
    copies: [...positions.values()].reduce((sum, through) => sum + through.size, 0),
    refetched: 0,
    renditions: positions.size,
    mediaMilliseconds: 0,
    timedPositions: video,
    contents: contents.size,
    moments: moments.size,
    sharedMoments,
    mostNetworks,
    distantMoments,
    playerMoments,
    countryMoments,
  };
}

/**
 * Judges a set by the same verdict as the logs at rest. A set that is full (`most` members) holds no further evidence, so
 * that somebody could fill it to hide the rest; but no player asks for so much, and so it is a finding by itself, for which
 * the session's tokens are minted anew.
 */
export function judgeEntries(
  about: { readonly session: string; readonly sessionKind: SessionKind; readonly windowStart: number },
  entries: readonly string[],
  config: DetectionConfig,
  most = Infinity,
): Verdict {
  const usual = { cmcdShare: 0, segmentSeconds: undefined };
  const verdict = judge([rowOf(about, entries, config)], [], config, usual)[0] as Verdict;
  if (entries.length < most || verdict.score >= Math.max(config.threshold, config.actions.remint)) return verdict;
  const points = Math.max(config.threshold, config.actions.remint);
  const reason = `rule: ${entries.length} media requests in ${config.windowSeconds} s, ${most} are the limit`;
  return {
    ...verdict,
    score: points,
    confidence: 1,
    flagged: true,
    decidedAt: about.windowStart + config.windowSeconds,
    contributions: [{ signal: 'hardRule', value: entries.length, points, reason }, ...verdict.contributions],
    reasons: [reason, ...verdict.reasons],
  };
}
