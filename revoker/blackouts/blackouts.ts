import { RevokerError } from '../errors.js';
import type { Ledger, LedgerRecord } from '../ledger/ledger.js';
import { putRecordOver } from '../ledger/records.js';
import type { Revoker } from '../writer.js';
import { blackoutText, checkContentId, parseBlackoutRule, type BlackoutRule, type BlackoutValue } from './rule.js';
import type { ScheduledBlackout } from './schedule.js';

export interface BlackoutOptions {
  readonly ledger: Ledger;
  readonly revoker: Revoker;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export type TargetStates = Readonly<Record<string, string>>;

/** Puts a content's blackout in force, in place of the one it may have. */
export async function setBlackout(
  content: string,
  rule: BlackoutRule,
  about: { readonly by: string; readonly reason: string },
  options: BlackoutOptions,
): Promise<TargetStates> {
  const checked = parseBlackoutRule(rule, checkContentId(content));
  blackoutText(checked);
  const at = Math.floor((options.now ?? Date.now)() / 1000);
  const value: BlackoutValue = { rule: checked, source: 'manual', at, ...about };
  return options.revoker.project([`b:${content}`], {
    by: about.by,
    write: async () => {
      await putRecordOver(options.ledger, 'blackout', content, () => value);
      await options.ledger.audit({
        at,
        by: about.by,
        action: 'blackout set',
        about: content,
        reason: about.reason,
        detail: checked,
      });
    },
  });
}

/** Takes a content's blackout away; false where it has none. */
export async function clearBlackout(
  content: string,
  about: { readonly by: string; readonly reason: string },
  options: BlackoutOptions,
): Promise<{ readonly cleared: boolean; readonly targets: TargetStates }> {
  const at = Math.floor((options.now ?? Date.now)() / 1000);
  let cleared = false;
  const targets = await options.revoker.project([`b:${checkContentId(content)}`], {
    by: about.by,
    write: async () => {
      const record = await options.ledger.record<BlackoutValue>('blackout', content);
      cleared = record !== undefined && (await options.ledger.deleteRecord('blackout', content, record.version));
      if (cleared)
        await options.ledger.audit({
          at,
          by: about.by,
          action: 'blackout cleared',
          about: content,
          reason: about.reason,
        });
    },
  });
  return { cleared, targets };
}

export interface SyncPlan {
  readonly set: readonly ScheduledBlackout[];
  readonly remove: readonly string[];
  readonly unchanged: number;
  /** Contents whose blackout was set by hand: a schedule does not touch them. */
  readonly manual: readonly string[];
}

/**
 * What a schedule changes: rows that touch the window from now on are set, what the same schedule set before and no
 * longer asks for is removed. Of several rows for one content the one in force, else the next, counts.
 */
export async function planSync(
  name: string,
  rows: readonly ScheduledBlackout[],
  window: { readonly seconds: number },
  options: Pick<BlackoutOptions, 'ledger' | 'now'>,
): Promise<SyncPlan> {
  const now = Math.floor((options.now ?? Date.now)() / 1000);
  const wanted = new Map<string, BlackoutRule>();
  const soonest = [...rows].sort((a, b) => (a.rule.from ?? 0) - (b.rule.from ?? 0));
  for (const { content, rule } of soonest) {
    const over = rule.until !== undefined && rule.until <= now;
    const later = rule.from !== undefined && rule.from > now + window.seconds;
    if (!over && !later && !wanted.has(content)) wanted.set(content, rule);
  }
  const standing = new Map((await options.ledger.records<BlackoutValue>('blackout')).map((one) => [one.id, one.value]));
  const isManual = (content: string): boolean => standing.get(content)?.source === 'manual';
  const equal = (content: string, rule: BlackoutRule): boolean => {
    const value = standing.get(content);
    return value?.source === `schedule:${name}` && blackoutText(value.rule) === blackoutText(rule);
  };
  return {
    set: [...wanted]
      .filter(([content, rule]) => !isManual(content) && !equal(content, rule))
      .map(([content, rule]) => ({ content, rule })),
    remove: [...standing]
      .filter(([content, { source }]) => source === `schedule:${name}` && !wanted.has(content))
      .map(([content]) => content),
    unchanged: [...wanted].filter(([content, rule]) => equal(content, rule)).length,
    manual: [...wanted.keys()].filter(isManual),
  };
}

/** Whether a plan removes so much that the schedule is more likely broken than right. */
export function removesTooMuch(plan: SyncPlan): boolean {
  const before = plan.remove.length + plan.unchanged + plan.set.length;
  return plan.remove.length > 10 && plan.remove.length * 2 > before;
}

/**
 * Carries out a plan, in one announced job.
 * @throws RevokerError `schedule_invalid` where it removes more than half and `allowShrink` is not set
 */
export async function applySync(
  name: string,
  plan: SyncPlan,
  about: { readonly by: string; readonly allowShrink?: boolean },
  options: BlackoutOptions,
): Promise<TargetStates> {
  if (removesTooMuch(plan) && !about.allowShrink) {
    throw new RevokerError(
      'schedule_invalid',
      `The schedule would remove ${plan.remove.length} blackouts and keep ${plan.unchanged + plan.set.length}: more likely it is not whole. Nothing was changed.`,
      { hint: 'If it is right, run it again with --allow-shrink.' },
    );
  }
  const at = Math.floor((options.now ?? Date.now)() / 1000);
  const source = `schedule:${name}`;
  const reason = `schedule ${name}`;
  const keys = [...plan.set.map(({ content }) => content), ...plan.remove].map((content) => `b:${content}`);
  if (keys.length === 0) return {};
  return options.revoker.project(keys, {
    by: about.by,
    write: async () => {
      for (const { content, rule } of plan.set) {
        const value: BlackoutValue = { rule, source, by: about.by, at, reason };
        // Somebody may have set one by hand since the plan was made: it stays.
        await putRecordOver<BlackoutValue>(options.ledger, 'blackout', content, (standing) =>
          standing?.source === 'manual' ? undefined : value,
        );
      }
      for (const content of plan.remove) {
        const record = await options.ledger.record<BlackoutValue>('blackout', content);
        if (record?.value.source === source) await options.ledger.deleteRecord('blackout', content, record.version);
      }
      await options.ledger.audit({
        at,
        by: about.by,
        action: 'blackouts synchronised',
        about: name,
        reason,
        detail: { set: plan.set.length, removed: plan.remove.length },
      });
    },
  });
}

/** Removes blackouts that are over. */
export async function expireBlackouts(by: string, options: BlackoutOptions): Promise<number> {
  const now = Math.floor((options.now ?? Date.now)() / 1000);
  const over = (await options.ledger.records<BlackoutValue>('blackout')).filter(
    ({ value }: LedgerRecord<BlackoutValue>) => value.rule.until !== undefined && value.rule.until <= now,
  );
  if (over.length === 0) return 0;
  await options.revoker.project(
    over.map(({ id }) => `b:${id}`),
    {
      by,
      write: async () => {
        for (const { id, version } of over) await options.ledger.deleteRecord('blackout', id, version);
      },
    },
  );
  return over.length;
}
