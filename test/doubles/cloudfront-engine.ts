// Runs what was uploaded to the double: in njs where the machine has it, as CloudFront's engine is njs-like, or in Node.
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  findEngine,
  njsHost,
  nodeVmHost,
  type FunctionEvent,
  type FunctionHost,
  type HostResult,
} from '../../scripts/engine/index.js';
import type { FunctionRun, FunctionRunner } from './cloudfront.js';

/** CloudFront's maximum is unpublished; about a millisecond of CPU is the common reading. */
const allowedMicroseconds = 1_000;

/** The cost of one HMAC-SHA-256 over 200 bytes on this machine now, in microseconds: what compute is measured in. */
function hmacMicroseconds(): number {
  const data = Buffer.alloc(200);
  const started = process.hrtime.bigint();
  for (let i = 0; i < 500; i += 1) createHmac('sha256', 'key').update(data).digest();
  return Number(process.hrtime.bigint() - started) / 500 / 1_000;
}

export interface EngineOptions {
  readonly now?: () => number;
  /** Runs of the same event behind one utilisation figure. Default 1: no figure, 10 is answered. */
  readonly measuredRuns?: number;
}

/** A runner on the given host. With `measuredRuns` the utilisation comes from the time that the runs took. */
export function functionRunner(host: FunctionHost, options: EngineOptions = {}): FunctionRunner {
  const runs = options.measuredRuns ?? 1;
  return async ({ code, event, pairs }): Promise<FunctionRun> => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudfront-double-'));
    try {
      const file = join(folder, 'function.js');
      writeFileSync(file, code);
      const timed = async (count: number): Promise<{ first: HostResult | undefined; microseconds: number }> => {
        const started = process.hrtime.bigint();
        const results = await host.run(
          file,
          Array.from({ length: count }, () => ({ event: withRawQuery(event as FunctionEvent) })),
          { now: options.now?.() ?? Date.now(), store: { entries: Object.fromEntries(pairs) }, timeout: 10_000 },
        );
        return { first: results[0], microseconds: Number(process.hrtime.bigint() - started) / 1_000 };
      };
      const once = await timed(1);
      const { first } = once;
      if (!first) return { error: 'The engine gave no answer.', logs: [], utilization: 100 };
      let utilization = 10;
      if (runs > 1 && !first.error) {
        // The engine's own start is in both.
        const many = await timed(runs + 1);
        utilization = utilizationOf(Math.max(0, many.microseconds - once.microseconds) / runs);
      }
      if (first.error) {
        return { error: `${first.error.name}: ${first.error.message}`, logs: first.logs, utilization };
      }
      const output = first.result as Record<string, unknown> | null;
      return {
        output: output !== null && output['statusCode'] !== undefined ? { response: output } : { request: output },
        logs: first.logs,
        utilization,
      };
    } catch (error) {
      // The file does not even load: CloudFront reports that as the function's error.
      return { error: error instanceof Error ? error.message : String(error), logs: [], utilization: 0 };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

/** Scaled by the machine's own speed, so that a busy machine does not look like a costly function. */
function utilizationOf(microseconds: number): number {
  const reference = 2.5;
  return Math.min(
    100,
    Math.round((microseconds / Math.max(1, hmacMicroseconds() / reference) / allowedMicroseconds) * 100),
  );
}

function withRawQuery(event: FunctionEvent): FunctionEvent {
  const query = Object.entries(event.request.querystring)
    .map(([name, item]) => (item.value === '' ? name : `${name}=${item.value}`))
    .join('&');
  return { ...structuredClone(event), request: { ...structuredClone(event.request), rawQueryString: () => query } };
}

/** In Node: quick, for tests that are not about the engine. */
export function vmRunner(options: EngineOptions = {}): FunctionRunner {
  return functionRunner(nodeVmHost(), options);
}

/** In njs, the version nearest to CloudFront's; throws where it cannot be had. */
export async function njsRunner(options: EngineOptions = {}): Promise<FunctionRunner> {
  return functionRunner(njsHost(await findEngine('0.8.9')), options);
}
