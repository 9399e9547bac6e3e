import { describe, expect, it } from 'vitest';
import { type DetectionConfig, parseDetectionConfig, readAddressDatabase } from '../../revoker/detection/index.js';
import { readLogs } from '../../revoker/detection/duckdb.js';
import { findLogs } from '../../revoker/detection/sources.js';
import { judge, type Verdict } from '../../revoker/detection/verdict.js';
import { simulatedLog, type SimulatedLog } from './logs.js';

const now = Date.UTC(2026, 6, 1) / 1000;

interface Judged {
  readonly verdicts: readonly Verdict[];
  /** Sessions that were read whole. */
  readonly whole: number;
  readonly sessions: number;
}

async function judged(log: SimulatedLog, config: DetectionConfig, everySession: boolean): Promise<Judged> {
  const addresses = await readAddressDatabase(log.addresses);
  const database = await readLogs(await findLogs([log.folder], log.fields), { config, now, addresses, everySession });
  try {
    const verdicts = judge(await database.rows(), await database.accounts(), config, database.audience);
    const shown = Math.min(config.actions.watch, config.threshold);
    return {
      verdicts: verdicts.filter((verdict) => verdict.score >= shown),
      whole: new Set((await database.rows({ every: true })).map((row) => row.session)).size,
      sessions: database.audience.sessions,
    };
  } finally {
    await database.close();
  }
}

/** Sums of fractions are added up in any order: their last digits are not held against each other. */
function comparable(verdict: Verdict): unknown {
  return JSON.parse(
    JSON.stringify(verdict, (_name, value: unknown) =>
      typeof value === 'number' ? Number(value.toPrecision(10)) : value,
    ),
  );
}

/** Settings under which little is enough to be shown: the ceiling is then held against small scores, too. */
const strict = parseDetectionConfig({
  threshold: 12,
  evidence: { media: 6, repeated: 2, moments: 2 },
  windowSeconds: 120,
  actions: { watch: 6, remint: 12, revokeSession: 30 },
  hardRules: { concurrentNetworks: 3, countriesPerWindow: 2, pace: 3 },
});

/** Settings that give every signal points, so that none is bounded by its weight alone. */
const generous = parseDetectionConfig({
  weights: {
    repeatedSegments: { points: 20, from: 0.02, to: 0.5 },
    distantPlayheads: { points: 20, from: 0.01, to: 0.5 },
    concurrentNetworks: { points: 30, from: 1, to: 20 },
    concurrentPlayers: { points: 30, from: 0.01, to: 0.3 },
    autonomousSystems: { points: 40, from: 1, to: 9 },
    countries: { points: 40, from: 1, to: 9 },
    pace: { points: 60, from: 0.6, to: 3 },
    renditions: { points: 40, from: 0.05, to: 0.9 },
    refusals: { points: 20, from: 0.01, to: 0.5 },
  },
});

describe('reading whole only the sessions that can reach a score', () => {
  it.each([
    [2, 'realtime', parseDetectionConfig()],
    [5, 'standard', parseDetectionConfig()],
    [9, 'parquet', strict],
    [13, 'realtime', generous],
    [17, 'standard', strict],
  ] as const)('gives the verdicts that reading all gives: seed %i, %s', async (seed, format, config) => {
    const log = await simulatedLog({ seed, viewers: 300, minutes: 6, abuserShare: 0.04 }, format);
    try {
      const all = await judged(log, config, true);
      const chosen = await judged(log, config, false);
      // Sessions that were never served make no audience.
      expect(all.whole).toBeGreaterThanOrEqual(all.sessions);
      expect(chosen.whole).toBeLessThan(all.whole);
      expect(chosen.verdicts.length).toBeGreaterThan(5);
      expect(chosen.verdicts.map(comparable)).toEqual(all.verdicts.map(comparable));
    } finally {
      await log.remove();
    }
  });
});
