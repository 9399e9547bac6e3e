import type { RevocationRequest } from '../ledger/entry.js';
import { decide } from './actions.js';
import { athenaQuery, type AthenaQuery, type LogTable, type Stretch } from './athena.js';
import type { DetectionConfig } from './config.js';
import type { SessionPlace } from './duckdb.js';
import { type AccountRow, type FeatureRow, readFeatureRow, readSession } from './features.js';
import { placeOf } from './place.js';
import { judge } from './verdict.js';

/** A row that was judged worth a second look, small enough to be handed from step to step. */
export type CandidateRow = Readonly<Record<string, unknown>>;

/**
 * Detection as a workflow needs it: the query, its rows, the decision. Pure, so that a repeated step decides the
 * same. Structurally the `Judge` of the workflow's Lambdas.
 */
export interface WorkflowJudge {
  query(window: Stretch): AthenaQuery;
  read(rows: readonly Readonly<Record<string, string | null>>[]): {
    readonly sessions: number;
    readonly candidates: CandidateRow[];
  };
  decide(
    candidates: readonly CandidateRow[],
    about: { readonly sessions: number; readonly window: Stretch; readonly at: number },
  ): {
    readonly ready: readonly RevocationRequest[];
    readonly held: readonly { readonly request: RevocationRequest; readonly why: string }[];
    readonly watched: number;
  };
}

/**
 * Makes the workflow's judge over a lake.
 *
 * @example
 * const judge = workflowJudge(config.detection, { database: 'logs', table: 'cloudfront' });
 */
export function workflowJudge(config: DetectionConfig, table: LogTable): WorkflowJudge {
  return {
    query: (window) => athenaQuery(config, table, window),
    read: (rows) => ({
      // Every row tells the same number; a page without rows tells none, and counts none.
      sessions: pageSessions(rows),
      candidates: rows.map((row) => ({ ...row })),
    }),
    decide(candidates, about) {
      const rows: FeatureRow[] = candidates.map((candidate) => readFeatureRow(candidate));
      const first = candidates[0];
      const media = Number(first?.['audience_media'] ?? 0);
      const usual = {
        cmcdShare: media > 0 ? Number(first?.['audience_cmcd'] ?? 0) / media : 0,
        segmentSeconds: present(first?.['audience_segment']) ? Number(first['audience_segment']) : undefined,
      };
      const verdicts = judge(rows, accountsOfRows(candidates, config), config, usual);
      const sessions = Math.max(about.sessions, Number(first?.['audience_sessions'] ?? 0), verdicts.length);
      const plan = decide(verdicts, config, {
        now: about.at,
        sessions,
        places: placesOfRows(candidates, config),
        subjects: subjectsOfRows(candidates),
      });
      return {
        ready: plan.ready.map((entry) => entry.request),
        held: plan.held.map(({ request, why }) => ({ request, why })),
        watched: plan.watched.length,
      };
    },
  };
}

/** The audience is told once in a run, by the first page's first row that is the first of its window. */
function pageSessions(rows: readonly Readonly<Record<string, string | null>>[]): number {
  return rows.filter((row) => row['first_row'] === '1').length;
}

const present = (value: unknown): value is string | number => value !== null && value !== undefined && value !== '';

/** The accounts that are watched from many places, put together from the rows of their sessions. */
export function accountsOfRows(candidates: readonly CandidateRow[], config: DetectionConfig): AccountRow[] {
  const accounts = new Map<string, AccountRow & { sessions: string[] }>();
  for (const row of candidates) {
    const [subject, places] = [row['subject'], Number(row['account_places'] ?? 0)];
    if (!present(subject) || places <= config.weights.accountPlaces.from || !(Number(row['media']) > 0)) continue;
    const key = JSON.stringify([subject, Number(row['window_start'])]);
    const found = accounts.get(key) ?? {
      subject: String(subject),
      windowStart: Number(row['window_start']),
      sessions: [],
      places,
      asns: Number(row['account_asns']),
      countries: Number(row['account_countries']),
      edges: Number(row['account_edges']),
      concurrency: Number(row['account_concurrency']),
    };
    accounts.set(key, found);
    found.sessions.push(readSession(String(row['session'])).session);
  }
  return [...accounts.values()].map((account) => ({ ...account, sessions: account.sessions.sort() }));
}

function subjectsOfRows(candidates: readonly CandidateRow[]): Map<string, string> {
  return new Map(
    candidates.flatMap((row) =>
      present(row['subject']) ? [[readSession(String(row['session'])).session, String(row['subject'])] as const] : [],
    ),
  );
}

/**
 * Where each session was used from, by session: what the rows list, by address, and what they do not list as a place
 * without an address, which is never blocked and never trusted.
 */
export function placesOfRows(
  candidates: readonly CandidateRow[],
  config: DetectionConfig,
): Map<string, SessionPlace[]> {
  const bySession = new Map<string, Map<string, SessionPlace>>();
  for (const row of candidates) {
    const { session } = readSession(String(row['session']));
    const places = bySession.get(session) ?? new Map<string, SessionPlace>();
    bySession.set(session, places);
    const window = { firstAt: Number(row['first_at']), lastAt: Number(row['last_at']) };
    let untold = Number(row['media'] ?? 0);
    const add = (address: string, asn: number | undefined, hosting: boolean, media: number): void => {
      const known = places.get(address);
      places.set(address, {
        address,
        place: placeOf(address, asn, config) ?? '',
        asn,
        country: undefined,
        hosting: hosting || known?.hosting === true,
        media: media + (known?.media ?? 0),
        served: media + (known?.served ?? 0),
        bytes: 0,
        firstAt: Math.min(window.firstAt, known?.firstAt ?? window.firstAt),
        lastAt: Math.max(window.lastAt, known?.lastAt ?? window.lastAt),
      });
    };
    for (const item of String(row['place_list'] ?? '').split(',')) {
      const [address, asn, hosting, media] = item.split(' ');
      if (address === undefined || address === '' || media === undefined) continue;
      add(address, asn === '-' ? undefined : Number(asn), hosting === '1', Number(media));
      untold -= Number(media);
    }
    if (untold > 0) add('', undefined, false, untold);
  }
  return new Map([...bySession].map(([session, places]) => [session, [...places.values()]]));
}
