import type { DetectionConfig, Ramp } from './config.js';
import type { AccountRow, FeatureRow } from './features.js';
import { judge, judgeWindow, type Usual } from './verdict.js';

/** What calibration proposes for one weight. */
export interface Proposal {
  readonly weight: CalibratedWeight;
  /** The largest value that the given share of clean windows stays under. */
  readonly clean: number;
  readonly current: { readonly from: number; readonly to: number };
  readonly proposed: { readonly from: number; readonly to: number };
  /** Whether the log shows so much of this that it can hardly be clean: nothing is proposed then. */
  readonly abused: boolean;
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

/** The weights that a clean log can tell something about; the largest value of those that are shares. */
const calibrated = {
  repeatedSegments: 1,
  distantPlayheads: 1,
  concurrentNetworks: Infinity,
  concurrentPlayers: 1,
  autonomousSystems: Infinity,
  countries: Infinity,
  countriesAtOnce: 1,
  pace: Infinity,
  renditions: Infinity,
} as const satisfies Partial<Record<keyof DetectionConfig['weights'], number>>;

type CalibratedWeight = keyof typeof calibrated;

/**
 * The configuration under which the verdict tells every value it measures, so that evidence and changes-over count here as
 * they do there: all signals have all their points at 0, and no rule adds its own.
 */
function telling(config: DetectionConfig): DetectionConfig {
  const everything = { points: 100, from: -1, to: 0 };
  return {
    ...config,
    weights: Object.fromEntries(
      Object.keys(config.weights).map((name) => [name, everything]),
    ) as unknown as DetectionConfig['weights'],
    hardRules: { concurrentNetworks: 0, countriesPerWindow: 0, pace: 0 },
  };
}

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
 * only moved up, never below its default: a clean log cannot tell how little an abuser needs. Nor is it moved where no
 * value could reach its end: a log that shows so much is not clean.
 */
export function calibrate(
  rows: readonly FeatureRow[],
  config: DetectionConfig,
  usual: Usual,
  accounts: readonly AccountRow[] = [],
): Calibration {
  const enough = rows.filter((row) => row.media >= config.evidence.media && row.moments >= config.evidence.moments);
  const all = telling(config);
  const values = new Map<string, number[]>();
  for (const row of enough) {
    for (const { signal, value } of judgeWindow(row, all, usual).contributions) {
      const list = values.get(signal);
      if (list) list.push(value);
      else values.set(signal, [value]);
    }
  }
  const proposals: Proposal[] = [];
  const weights: Record<string, { from: number; to: number }> = {};
  for (const [name, largest] of Object.entries(calibrated) as [CalibratedWeight, number][]) {
    const { from, to }: Ramp = config.weights[name];
    const current = { from, to };
    const clean = round(nearlyAll(values.get(name) ?? []));
    const whole = Number.isInteger(from);
    const begin = whole ? Math.max(from, Math.ceil(clean)) : Math.max(from, round(clean * 1.1));
    const moved = { from: begin, to: round(begin + (to - from)) };
    const abused = begin !== from && moved.to > largest;
    const proposed = begin === from || abused ? current : moved;
    proposals.push({ weight: name, clean, current, proposed, abused });
    if (proposed !== current) weights[name] = proposed;
  }
  const segment = round(usual.segmentSeconds ?? 0);
  return {
    windows: enough.length,
    sessions: new Set(enough.map((row) => row.session)).size,
    proposals,
    flaggedNow: judge(rows, accounts, config, usual).filter((verdict) => verdict.flagged).length,
    config: { weights, ...(segment > 0 ? { segmentSeconds: segment } : {}) },
  };
}
