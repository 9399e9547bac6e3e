import { randomUUID } from 'node:crypto';
import type { ReplayStore } from './proof.js';
import type { OneTimeStore } from './replay/index.js';

/** Proofs in the store of used tokens: one for all execution environments, where a proof is good once and nowhere else. */
export function proofsIn(store: OneTimeStore): ReplayStore {
  // Nobody asks again for the same proof: each attempt is another's.
  return { spend: (id, until) => store.spend(`proof-${id}`, randomUUID(), until) };
}
