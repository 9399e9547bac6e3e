import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDetectionConfig, readAddressDatabase } from '../../revoker/detection/index.js';
import { readLogs } from '../../revoker/detection/duckdb.js';
import { findLogs } from '../../revoker/detection/sources.js';
import { judge, type Verdict } from '../../revoker/detection/verdict.js';
import { simulate, writeSimulation, type SessionLabel } from '../../revoker/simulate/index.js';
import type { BenchFigure } from './figure.js';

/** Seeds 1 to 20 are for tuning; what is reported comes from others. */
const firstHeldOutSeed = 1001;
const viewers = Number(process.env['PORTCULLIS_BENCH_VIEWERS'] ?? 100_000);
const rowsMeant = 10_000_000;

/** The process's largest resident set since `forgetPeak`, in GiB. */
function peakMemory(): number {
  if (!existsSync('/proc/self/status')) return process.memoryUsage().rss / 2 ** 30;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 2 ** 20;
}

function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Where it cannot be reset, the peak includes making the log.
  }
}

interface KindCount {
  sessions: number;
  found: number;
}

/** How the verdicts stand against the truth. An abused session is found when it is flagged within two windows of its first abuse. */
export function scoreOf(
  verdicts: readonly Verdict[],
  labels: readonly SessionLabel[],
  windowSeconds: number,
  leastRows: number,
) {
  const flagged = new Map(verdicts.filter((verdict) => verdict.flagged).map((verdict) => [verdict.session, verdict]));
  const kinds = new Map<string, KindCount & { abuser: boolean }>();
  let [truePositive, falsePositive, missed, late, unseen] = [0, 0, 0, 0, 0];
  for (const label of labels) {
    const verdict = flagged.get(label.session);
    if (label.abuser && label.rows < leastRows) {
      // Too short in the log for any verdict: less than the least evidence.
      unseen++;
      continue;
    }
    const kind = kinds.get(label.kind) ?? { sessions: 0, found: 0, abuser: label.abuser };
    kinds.set(label.kind, kind);
    kind.sessions++;
    if (verdict !== undefined) kind.found++;
    if (!label.abuser) {
      if (verdict !== undefined) falsePositive++;
      continue;
    }
    if (verdict === undefined) {
      missed++;
      continue;
    }
    truePositive++;
    const began = label.abuseFrom ?? label.firstSeen ?? verdict.firstSeen;
    if ((verdict.decidedAt as number) > (Math.floor(began / windowSeconds) + 2) * windowSeconds) late++;
  }
  return {
    recall: (truePositive - late) / Math.max(1, truePositive + missed),
    precision: truePositive / Math.max(1, truePositive + falsePositive),
    kinds,
    unseen,
  };
}

/** Detection on a simulated event that nothing was tuned on. */
export async function bench(): Promise<BenchFigure[]> {
  const seed = Number(process.env['PORTCULLIS_BENCH_SEED'] ?? firstHeldOutSeed);
  const config = parseDetectionConfig();
  const root = await mkdtemp(join(tmpdir(), 'portcullis-bench-detect-'));
  try {
    const simulation = simulate({
      seed,
      viewers,
      minutes: 10,
      abuserShare: 0.01,
      lookAlikeShare: 0.15,
      logged: 'media',
    });
    const written = await writeSimulation(simulation, { format: 'parquet', folder: join(root, 'logs') });
    const addresses = await readAddressDatabase(written.addresses);
    forgetPeak();
    const began = performance.now();
    const usedBefore = process.cpuUsage();
    const database = await readLogs(await findLogs([join(root, 'logs')]), {
      config,
      now: Math.floor(Date.now() / 1000),
      addresses,
    });
    const verdicts = judge(await database.rows(), await database.accounts(), config, database.audience);
    const seconds = (performance.now() - began) / 1000;
    const used = process.cpuUsage(usedBefore);
    const memory = peakMemory();
    const { records } = database.reading;
    await database.close();
    const scored = scoreOf(verdicts, simulation.labels(), config.windowSeconds, config.evidence.media);
    const scale = rowsMeant / Math.max(1, records);
    const about = `seed ${seed}, ${viewers} viewers, ${records} rows, windows of ${config.windowSeconds} s`;
    return [
      {
        name: 'detect.recall',
        value: scored.recall,
        unit: 'share',
        budget: 0.98,
        higherIsBetter: true,
        note: `within two windows; ${about}; ${scored.unseen} abused sessions left out that had fewer than ${config.evidence.media} segments in the log`,
      },
      {
        name: 'detect.precision',
        value: scored.precision,
        unit: 'share',
        budget: 0.999,
        higherIsBetter: true,
        note: about,
      },
      ...[...scored.kinds]
        .sort(([a, one], [b, other]) => Number(other.abuser) - Number(one.abuser) || (a < b ? -1 : 1))
        .map(([kind, { sessions, found, abuser }]) => ({
          name: `detect.${abuser ? 'found' : 'falseAlarms'}.${kind}`,
          value: found,
          unit: `of ${sessions}`,
        })),
      {
        name: 'detect.rows10M.seconds',
        value: seconds * scale,
        unit: 's',
        budget: 10,
        note: `Parquet, tokens decoded in SQL, ${config.resources.threads} threads; ${((used.user + used.system) / 1e6).toFixed(1)} CPU seconds for ${records} rows, scaled to ${rowsMeant}`,
      },
      {
        name: 'detect.rows10M.peakMemory',
        value: memory,
        unit: 'GiB',
        budget: 4,
        note: "the process's largest resident set",
      },
    ];
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
