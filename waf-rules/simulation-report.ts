import type { RecordedRequest } from './request-sources.js';
import type { Decision, Simulator } from './simulator.js';
import type { SimulatedRequest } from './simulated-request.js';

/** A request in short, tokens cut out. */
export interface Example {
  readonly time: string;
  readonly method: string;
  readonly uri: string;
  readonly address: string;
  readonly status: number | undefined;
}

/** What one rule did. */
export interface RuleFigure {
  readonly rule: string;
  readonly group: string | undefined;
  /** Requests it matched. */
  readonly matched: number;
  /** Requests it ended: blocked or challenged. */
  readonly ended: number;
  /** Of those, the ones that were served at the time: look here for false positives. */
  readonly servedThen: number;
  /** Requests it could not judge from what was recorded. */
  readonly undecided: number;
  readonly addresses: number;
  readonly examples: readonly Example[];
}

/** The answer to "what would have been blocked?". */
export interface SimulationReport {
  readonly requests: number;
  readonly allowed: number;
  readonly blocked: number;
  readonly challenged: number;
  readonly rules: readonly RuleFigure[];
  readonly remarks: readonly string[];
}

const tokenLike = /[A-Za-z0-9_.~-]{32,}={0,2}/g;

/** The URI with everything cut out that could be a token. */
export function redactUri(request: Pick<SimulatedRequest, 'path' | 'query'>): string {
  const uri = request.query === '' ? request.path : `${request.path}?${request.query}`;
  return uri.replace(tokenLike, '<token>');
}

interface Counters {
  group: string | undefined;
  matched: number;
  ended: number;
  servedThen: number;
  undecided: number;
  addresses: Set<string>;
  examples: Example[];
}

/** Collects decisions into a report. */
export function createReport(
  simulator: Simulator,
  exampleCount = 3,
): {
  add(record: RecordedRequest): Decision;
  finish(): SimulationReport;
} {
  const rules = new Map<string, Counters>();
  let requests = 0;
  let allowed = 0;
  let blocked = 0;
  let challenged = 0;
  const of = (name: string, group: string | undefined): Counters => {
    let counters = rules.get(name);
    if (!counters) {
      counters = { group, matched: 0, ended: 0, servedThen: 0, undecided: 0, addresses: new Set(), examples: [] };
      rules.set(name, counters);
    }
    return counters;
  };
  return {
    add(record) {
      const { request, status } = record;
      const decision = simulator.decide(request);
      requests++;
      if (decision.action === 'ALLOW') allowed++;
      else if (decision.action === 'BLOCK') blocked++;
      else challenged++;
      for (const match of decision.matches) of(match.rule, match.group).matched++;
      for (const rule of decision.undecided) of(rule, undefined).undecided++;
      if (decision.rule !== undefined && decision.action !== 'ALLOW') {
        const counters = of(decision.rule, decision.group);
        counters.ended++;
        if (status !== undefined && status < 400) counters.servedThen++;
        if (counters.addresses.size < 100_000) counters.addresses.add(request.address);
        if (counters.examples.length < exampleCount) {
          counters.examples.push({
            time: new Date(request.time).toISOString(),
            method: request.method,
            uri: redactUri(request),
            address: request.address,
            status,
          });
        }
      }
      return decision;
    },
    finish() {
      return {
        requests,
        allowed,
        blocked,
        challenged,
        rules: [...rules].map(([rule, { addresses, ...counters }]) => ({
          rule,
          ...counters,
          addresses: addresses.size,
        })),
        remarks: simulator.remarks,
      };
    },
  };
}
