import type { RevocationRequest } from '../ledger/entry.js';
import { addressToHex, placeName, rangeOfNetwork } from './addresses.js';
import type { DetectionConfig } from './config.js';
import type { SessionPlace } from './duckdb.js';
import type { Verdict } from './verdict.js';

/** The ladder: each rung takes more from a viewer than the one before. */
export type Action = 'remint' | 'revokeSession' | 'revokeSubject' | 'blockAddress';

/** One thing to do, as the ledger takes it, with the evidence it rests on. */
export interface PlannedAction {
  readonly action: Action;
  readonly request: RevocationRequest;
  /** The session whose behaviour led to it. */
  readonly session: string;
  readonly score: number;
  readonly confidence: number;
}

/** Something that waits for a person, and why. */
export interface HeldAction extends PlannedAction {
  readonly why: string;
}

export interface ActionPlan {
  /** Certain enough, and within the ceilings. */
  readonly ready: readonly PlannedAction[];
  readonly held: readonly HeldAction[];
  /** Sessions that are reported and left alone. */
  readonly watched: readonly Verdict[];
  /** Sessions that would have been acted upon, but for the allow list. */
  readonly allowed: readonly string[];
}

/** What the decisions need to know besides the verdicts. */
export interface DecisionFacts {
  /** Cut-offs and ends are counted from here, seconds since 1970. */
  readonly now: number;
  /** Sessions seen in the run: the ceiling on the share acted upon is a share of these. */
  readonly sessions: number;
  /** Where each session was used from, by session. */
  readonly places?: ReadonlyMap<string, readonly SessionPlace[]>;
  /** The account of each session, by session. */
  readonly subjects?: ReadonlyMap<string, string>;
}

/**
 * Decides what to do about verdicts: a pure function, so that a repeated step decides the same. Nothing is written here.
 *
 * Only a session's own tokens are reminted or revoked on its own behaviour; its account is when the account is what was
 * shared, or when several of its sessions fall in one run; addresses are blocked only where a hosting network, or one
 * address alone, took the session's media, since a shared address carries honest viewers too.
 */
export function decide(verdicts: readonly Verdict[], config: DetectionConfig, facts: DecisionFacts): ActionPlan {
  const { actions, allow } = config;
  const allowedNetworks = allow.networks.map(rangeOfNetwork).filter((range) => range !== undefined);
  const within = (address: string): boolean => {
    const hex = addressToHex(address);
    return hex !== undefined && allowedNetworks.some((range) => hex >= range.first && hex <= range.last);
  };
  const planned: PlannedAction[] = [];
  const watched: Verdict[] = [];
  const allowed: string[] = [];
  const reported = new Map<string, Set<string>>();
  const accounts = new Set<string>();
  const blocked = new Set<string>();

  for (const verdict of verdicts) {
    if (!verdict.flagged || verdict.score < actions.remint) {
      if (verdict.score >= actions.watch) watched.push(verdict);
      continue;
    }
    const places = facts.places?.get(verdict.session) ?? [];
    const subject = verdict.subject ?? facts.subjects?.get(verdict.session);
    // Where nothing was served, anybody can have asked with a token made up.
    const served = places.filter((place) => place.media > 0);
    const trusted = served.length > 0 && served.every((place) => within(place.address));
    if (
      trusted ||
      allow.sessions.includes(verdict.session) ||
      (subject !== undefined && allow.subjects.includes(subject))
    ) {
      allowed.push(verdict.session);
      continue;
    }
    const add = (action: Action, request: RevocationRequest): void =>
      void planned.push({
        action,
        request,
        session: verdict.session,
        score: verdict.score,
        confidence: verdict.confidence,
      });
    const reason = `detection: ${verdict.reasons.slice(0, 3).join('; ')}`.slice(0, 400);
    const evidence = evidenceOf(verdict, config);
    const common = { reason, evidence };

    const shared = verdict.subject;
    if (shared !== undefined && verdict.contributions[0]?.signal === 'accountPlaces') {
      // The account is what was passed on: its players come back through the CMS, which knows who may.
      if (!accounts.has(shared)) {
        accounts.add(shared);
        add('revokeSubject', {
          scope: 'subject',
          id: shared,
          cutoff: facts.now,
          remint: true,
          until: facts.now + actions.revokeSubjectSeconds,
          ...common,
        });
      }
      const own = verdict.score - (verdict.contributions[0]?.points ?? 0);
      if (own < actions.remint) continue;
    }
    if (verdict.sessionKind === 'hash') {
      watched.push(verdict);
    } else if (verdict.score >= actions.revokeSession || verdict.sessionKind === 'token') {
      add('revokeSession', {
        scope: verdict.sessionKind === 'token' ? 'token' : 'session',
        id: verdict.session,
        until: facts.now + actions.revokeSessionSeconds,
        ...common,
      });
      if (subject !== undefined) reported.set(subject, (reported.get(subject) ?? new Set()).add(verdict.session));
    } else {
      add('remint', {
        scope: 'session',
        id: verdict.session,
        cutoff: facts.now,
        remint: true,
        until: facts.now + actions.remintSeconds,
        ...common,
      });
    }
    if (verdict.score >= actions.blockAddresses) {
      for (const place of blockable(places, config)) {
        if (blocked.has(place.address) || within(place.address)) continue;
        blocked.add(place.address);
        const network = place.address.includes(':') ? placeName(place.place) : `${place.address}/32`;
        add('blockAddress', { scope: 'network', id: network, until: facts.now + actions.blockSeconds, ...common });
      }
    }
  }

  if (actions.revokeSubjectFrom > 0) {
    for (const [subject, sessions] of reported) {
      if (sessions.size < actions.revokeSubjectFrom || accounts.has(subject)) continue;
      const worst = planned.find((entry) => sessions.has(entry.session)) as PlannedAction;
      planned.push({
        ...worst,
        action: 'revokeSubject',
        request: {
          scope: 'subject',
          id: subject,
          cutoff: facts.now,
          until: facts.now + actions.revokeSubjectSeconds,
          reason: `detection: ${sessions.size} sessions of the account revoked in one run`,
          evidence: { sessions: [...sessions].sort() },
        },
      });
    }
  }
  const contested = new Set(verdicts.filter((verdict) => verdict.contested).map(({ session }) => session));
  return { ...ceilings(planned, config, facts, contested), watched, allowed };
}

/**
 * The addresses that may be blocked: hosting networks, or the one address that took nearly all of the session's media. Not
 * relays', nor any through which sessions are served that nothing is said against: those are other people.
 */
function blockable(places: readonly SessionPlace[], config: DetectionConfig): SessionPlace[] {
  const media = places.reduce((sum, place) => sum + place.media, 0);
  const enough = Math.min(config.evidence.media, 0.95 * media);
  return places
    .filter((place) => place.media > 0 && !place.place.startsWith('AS') && (place.others ?? 0) === 0)
    .filter((place) => (place.hosting && place.media >= enough) || place.media >= 0.95 * media)
    .slice(0, config.actions.addressesPerSession);
}

/** What the ledger keeps of a verdict: measures and words, no address, no token. */
function evidenceOf(verdict: Verdict, config: DetectionConfig): unknown {
  return {
    score: verdict.score,
    confidence: verdict.confidence,
    threshold: config.threshold,
    firstSeen: verdict.firstSeen,
    lastSeen: verdict.lastSeen,
    decidedAt: verdict.decidedAt,
    windows: verdict.windows.filter((window) => window.score >= config.threshold).length,
    contributions: verdict.contributions.map(({ signal, value, points }) => ({ signal, value, points })),
  };
}

/** Over a ceiling, everything of that kind waits: a run that wants too much is a run that may be wrong. */
function ceilings(
  planned: readonly PlannedAction[],
  config: DetectionConfig,
  facts: DecisionFacts,
  contested: ReadonlySet<string>,
): { ready: PlannedAction[]; held: HeldAction[] } {
  const counts = new Map<Action, number>();
  for (const { action } of planned) counts.set(action, (counts.get(action) ?? 0) + 1);
  const acted = new Set(planned.map((entry) => entry.session)).size;
  const limit = Math.max(config.ceilings.floorOfSessions, Math.floor(config.ceilings.shareOfSessions * facts.sessions));
  const ready: PlannedAction[] = [];
  const held: HeldAction[] = [];
  for (const entry of planned) {
    const count = counts.get(entry.action) as number;
    const ceiling = config.ceilings[entry.action];
    if (acted > limit)
      held.push({
        ...entry,
        why: `the run would act on ${acted} of ${facts.sessions} sessions, the ceiling is ${limit}`,
      });
    else if (count > ceiling)
      held.push({
        ...entry,
        why: `${count} actions of the kind ${entry.action} in one run, the ceiling is ${ceiling}`,
      });
    else if (contested.has(entry.session))
      held.push({ ...entry, why: 'its requests carried tokens of other sessions, too: they may be somebody else’s' });
    else if (entry.confidence < config.approvalBelow)
      held.push({ ...entry, why: `confidence ${entry.confidence} is below ${config.approvalBelow}` });
    else ready.push(entry);
  }
  return { ready, held };
}
