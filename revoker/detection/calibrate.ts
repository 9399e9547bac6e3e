import type { DetectionConfig, Ramp } from './config.js';
import type { FeatureRow } from './features.js';
import { judge, paceOf, type Usual } from './verdict.js';

/** What calibration proposes for one weight. */
export interface Proposal {
  readonly weight: CalibratedWeight;
  /** The largest value that the given share of clean windows stays under. */
  readonly clean: number;
  readonly current: { readonly from: number; readonly to: number };
  readonly proposed: { readonly from: number; readonly to: number };
}

export interface Calibration {
  readonly windows: number;
  readonly sessions: number;
  readonly proposals: readonly Proposal[];
  /** Sessions of the clean log that the current settings flag: false alarms. */
  readonly flaggedNow: number;
  /** The section to put into the configuration. */
  readonly config: {
    readonly weights: Readonly<Record<string, { from: number; to: number }>>;
    readonly segmentSeconds?: number;
  };
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

type Measure = (row: FeatureRow, config: DetectionConfig, usual: Usual) => number;

/** How each weight's value is measured; the same as in the verdict. */
const measured = {
  repeatedSegments: (row) => share(row.repeatedPositions, row.positions),
  distantPlayheads: (row) => share(row.distantMoments, row.moments),
  concurrentNetworks: (row) => row.mostNetworks,
  concurrentPlayers: (row) => share(row.playerMoments, row.moments),
  autonomousSystems: (row) => row.asns,
  countries: (row) => row.countries,
  countriesAtOnce: (row) => share(row.countryMoments, row.moments),
  pace: paceOf,
  renditions: (row) => share(row.renditions - row.positions, row.positions),
} satisfies Partial<Record<keyof DetectionConfig['weights'], Measure>>;

type CalibratedWeight = keyof typeof measured;

/** A clean window may exceed the proposal in one case out of this many. */
const oneIn = 10_000;

/** The value that all but one in `oneIn` stay at or under; of fewer values, the largest. */
function nearlyAll(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * (1 - 1 / oneIn)) - 1)] ?? 0;
}

const round = (value: number): number => Math.round(value * 100) / 100;

/**
 * Proposes thresholds from a log known to be clean: each ramp begins above what nearly every clean window shows. A ramp is
 * only moved up, never below its default: a clean log cannot tell how little an abuser needs.
 */
export function calibrate(rows: readonly FeatureRow[], config: DetectionConfig, usual: Usual): Calibration {
  const enough = rows.filter((row) => row.media >= config.evidence.media && row.moments >= config.evidence.moments);
  const proposals: Proposal[] = [];
  const weights: Record<string, { from: number; to: number }> = {};
  for (const [name, measure] of Object.entries(measured) as [CalibratedWeight, Measure][]) {
    const { from, to }: Ramp = config.weights[name];
    const clean = round(nearlyAll(enough.map((row) => measure(row, config, usual))));
    const whole = Number.isInteger(from);
    const begin = whole ? Math.max(from, Math.ceil(clean)) : Math.max(from, round(clean * 1.1));
    const proposed = begin === from ? { from, to } : { from: begin, to: round(begin + (to - from)) };
    proposals.push({ weight: name, clean, current: { from, to }, proposed });
    if (begin !== from) weights[name] = proposed;
  }
  const segment = usual.segmentSeconds;
  return {
    windows: enough.length,
    sessions: new Set(enough.map((row) => row.session)).size,
    proposals,
    flaggedNow: judge(rows, [], config, usual).filter((verdict) => verdict.flagged).length,
    config: { weights, ...(segment === undefined ? {} : { segmentSeconds: round(segment) }) },
  };
}
