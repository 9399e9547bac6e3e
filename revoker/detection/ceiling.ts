import type { DetectionConfig, Ramp } from './config.js';
import { literal } from './dialect.js';
import { sessionTexts } from './features.js';
import { onRamp } from './verdict.js';

/*
 * What a session can score at most, from counts alone. Every signal of the verdict is held against the largest value that
 * the counts allow:
 *
 * - A place repeats another's segment, or plays elsewhere at the same moment, only with a request of its own. So there are
 *   no more repeated positions, and no more moments with several networks, than media requests outside the busiest place.
 *   Below the least evidence for them the verdict takes them for none.
 * - A position has several renditions only where the session fetched more than one.
 * - The media seconds of positions are at most those of all requests, and the pace is at most theirs for one player.
 * - Networks at once are at most the places of the window. Autonomous systems, countries, hosting, tools, CMCD, rare user
 *   agents and refusals are counted as the features count them.
 *
 * Each bound is from above, and every signal's points rise with its value; so a session whose ceiling is below a score
 * cannot reach it. `test/detection/pruning.test.ts` holds verdicts with and without this against each other.
 */

/** Contributions are rounded to a tenth before they are added up: sixteen of them at most. */
const rounding = 1;

function ramp(weight: Ramp, value: string): string {
  return `${weight.points} * least(1e0, greatest(0e0, (${value} - ${weight.from}) / ${weight.to - weight.from}))`;
}

/** The ceiling of a row of `windows` (see `createCandidates`). */
export function scoreCeiling(config: DetectionConfig, segmentSeconds: number): string {
  const { weights, evidence, hardRules } = config;
  const share = (part: string, whole: string): string => `cast(${part} as double) / greatest(${whole}, 1)`;
  const elsewhere = (least: number): string => `(places > 1 and media - busiest >= ${least})`;
  const atMostAll = (condition: string): string => `case when ${condition} then 1e0 else 0e0 end`;
  const repeats = elsewhere(evidence.repeated);
  const together = elsewhere(evidence.moments);
  const withoutSharing = Math.max(onRamp(0, weights.repeatedSegments), onRamp(0, weights.distantPlayheads));
  const sharing = `case when ${repeats} then 1e0 else ${withoutSharing} end`;
  const alone = `(0.4 + 0.6 * (${sharing}))`;
  const pace =
    `greatest(0e0, greatest(media_ms / 1000.0, media * ${segmentSeconds}) - ${config.bufferSeconds}) ` +
    `/ greatest(last_at - first_at, ${config.momentSeconds})`;
  const rule = (limit: number, condition: string): string[] =>
    limit > 0 ? [`case when ${condition} then ${config.threshold} else 0 end`] : [];
  const points = [
    ramp(weights.repeatedSegments, atMostAll(repeats)),
    ramp(weights.distantPlayheads, atMostAll(repeats)),
    `${ramp(weights.concurrentNetworks, 'places')} * (${sharing})`,
    ramp(weights.concurrentPlayers, atMostAll(together)),
    `${ramp(weights.countries, 'countries')} * ${alone}`,
    `${ramp(weights.countriesAtOnce, atMostAll(`${together} and countries > 1`))} * ${alone}`,
    ramp(weights.autonomousSystems, 'asns'),
    ramp(weights.pace, pace),
    ramp(weights.renditions, atMostAll('several_renditions')),
    ramp(weights.hosting, share('hosting', 'media')),
    ramp(weights.tool, share('tool', 'media')),
    ramp(weights.missingCmcd, share('(expected_cmcd - cmcd)', 'media')),
    ramp(weights.rareAgent, 'one_in'),
    `${ramp(weights.refusals, share('refused', 'served'))} * (${sharing})`,
    ...rule(hardRules.concurrentNetworks, `places >= ${hardRules.concurrentNetworks} and (${sharing}) > 0`),
    ...rule(hardRules.countriesPerWindow, `countries >= ${hardRules.countriesPerWindow}`),
    ...rule(hardRules.pace, `${pace} >= ${hardRules.pace}`),
  ];
  return `case when media >= ${evidence.media} then ${points.join('\n  + ')} else 0 end`;
}

/**
 * The sessions that are read whole, from tables `visits`, `families`, `agents`, `crowd` and `sessions`: those whose ceiling
 * in some window reaches a score that is shown, those of accounts in many places, and those asked for.
 */
export function createCandidates(
  config: DetectionConfig,
  segmentSeconds: number,
  { every, focus }: { readonly every: boolean; readonly focus: readonly string[] },
): string {
  if (every) return 'create table candidates as select session from sessions';
  const least = Math.min(config.actions.watch, config.threshold) - rounding;
  const asked = focus.flatMap(sessionTexts).map(literal).join(', ') || "''";
  return [
    'create table candidates as with busy as (',
    '  select session, window_start, max(media) as busiest from (',
    '    select session, window_start, sum(media) as media from visits group by session, window_start, place) group by all),',
    'windows as (',
    '  select session, window_start, any_value(busiest) as busiest, count(distinct place) filter (where served > 0) as places,',
    '    count(distinct asn) filter (where served > 0) as asns, count(distinct country) filter (where served > 0) as countries,',
    '    sum(media) as media, sum(served) as served, sum(cmcd) as cmcd, sum(tool) as tool, sum(refused) as refused,',
    '    sum(media_ms) as media_ms, min(first_at) as first_at, max(last_at) as last_at,',
    '    sum(case when hosting = 1 then media else 0 end) as hosting, sum(media * coalesce(cmcd_share, 0)) as expected_cmcd,',
    '    coalesce(max(case when media > 0 then one_in end), 0) as one_in,',
    '    coalesce(min(rendition_low) <> max(rendition_high), false) as several_renditions',
    '  from visits left join families using (family) left join agents using (agent) join busy using (session, window_start)',
    '  group by session, window_start)',
    `select distinct session from windows where ${scoreCeiling(config, segmentSeconds)} >= ${least}`,
    'union select session from crowd',
    `union select session from sessions where session_text in (${asked})`,
  ].join('\n');
}
