import { WafRulesError } from './errors.js';

/** Side effects of waiting, passed in so that tests need neither time nor luck. */
export interface Patience {
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly random: () => number;
  /** Longest wait between two tries. Default 8,000 ms. */
  readonly longestWait?: number;
  /** Tries before giving up. Default 12. */
  readonly tries?: number;
}

export const realPatience: Patience = {
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  random: Math.random,
};

const nameOf = (error: unknown): string => (error as { name?: string } | undefined)?.name ?? '';

/** Somebody changed the thing since it was read: read again (API:UpdateIPSet). */
export const isLockConflict = (error: unknown): boolean => nameOf(error) === 'WAFOptimisticLockException';

/** The thing does not exist, or not yet for this caller. */
export const isMissing = (error: unknown): boolean => nameOf(error) === 'WAFNonexistentItemException';

export const isDuplicate = (error: unknown): boolean => nameOf(error) === 'WAFDuplicateItemException';

/** A quota; a repeat cannot cure it. */
export const isLimit = (error: unknown): boolean => nameOf(error) === 'WAFLimitsExceededException';

/** Waiting cures it: a fresh set not readable yet, the API's rate, a fault on AWS's side, a broken connection. */
export function isPassing(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  return (
    /^(WAFUnavailableEntityException|ThrottlingException|TooManyRequestsException|WAFInternalErrorException|TimeoutError)$/.test(
      nameOf(error),
    ) ||
    code === 'ECONNRESET' ||
    /socket hang up/.test(message ?? '')
  );
}

/** Waits before try number `attempt` (from 1): exponential, fully jittered, so that racing writers spread out. */
export async function backOff(attempt: number, patience: Patience): Promise<void> {
  const ceiling = Math.min(patience.longestWait ?? 8000, 100 * 2 ** attempt);
  await patience.sleep(Math.ceil(patience.random() * ceiling));
}

/**
 * Repeats a call while a wait can cure its failure. `also` names further errors worth a try, such as a lock conflict
 * where `call` reads afresh each time.
 *
 * @throws the last error, or WafRulesError `lock_conflict` / `entity_unavailable` when tries run out on those
 */
export async function patiently<T>(
  what: string,
  patience: Patience,
  call: (attempt: number) => Promise<T>,
  also: (error: unknown) => boolean = () => false,
): Promise<T> {
  const tries = patience.tries ?? 12;
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(attempt);
    } catch (error) {
      if (!isPassing(error) && !also(error)) throw error;
      if (attempt >= tries) {
        const code = isLockConflict(error) ? 'lock_conflict' : 'entity_unavailable';
        throw new WafRulesError(
          code,
          `${what}: gave up after ${attempt} tries (${nameOf(error)}: ${(error as Error).message}).`,
          { attempts: attempt },
          { cause: error },
        );
      }
      await backOff(attempt, patience);
    }
  }
}
