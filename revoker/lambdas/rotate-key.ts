import { z } from 'zod';
import { RevokerError } from '../errors.js';
import type { Keyring } from '../keys/keyring.js';
import { PermanentFault, TransientFault, type Handler } from './observe.js';
import { part } from './parts.js';
import type { RunStore } from './runs.js';

const runEvent = z.object({ run: z.string().min(1) });
const signEvent = z.object({ run: z.string().min(1), tokenSeconds: z.int().min(1) });

/** What one rotation is about. */
interface RunRotation {
  /** The key that is replaced; null where none signed. */
  readonly from: string | null;
  /** The key that takes over, once it is published. */
  readonly kid?: string;
}

export interface RotateKeyOptions {
  readonly runs: RunStore;
  readonly keyring: Pick<Keyring, 'signingKey' | 'rotate' | 'sign' | 'list' | 'retire'>;
}

/** Ends the keyring's rotation at the point where it would wait for the edge: the workflow does the waiting. */
class Published extends Error {
  constructor(readonly kid: string) {
    super(`Key ${kid} is published.`);
  }
}

const aboutOf = (run: string): { by: string; reason: string } => ({
  by: `rotate-key ${run}`,
  reason: 'scheduled rotation',
});

/** Makes the next key and takes it to every store. It signs nothing yet. */
export function publishKey({ runs, keyring }: RotateKeyOptions): Handler<unknown, { readonly kid: string }> {
  return async (given, scope) => {
    const { run } = runEvent.parse(given);
    const from = (await keyring.signingKey())?.kid ?? null;
    const rotation = await runs.putOnce<RunRotation>(run, part.rotation, { from });
    if (rotation.kid !== undefined) return { kid: rotation.kid };
    try {
      await keyring.rotate({
        ...aboutOf(run),
        ...(rotation.from === null ? {} : { from: rotation.from }),
        tokenSeconds: 0,
        waitForEdge: (kid) => Promise.reject(new Published(kid)),
      });
    } catch (error) {
      if (!(error instanceof Published)) throw error;
      await runs.put(run, part.rotation, { ...rotation, kid: error.kid } satisfies RunRotation);
      scope.log('key published', { run, kid: error.kid });
      return { kid: error.kid };
    }
    throw new PermanentFault('The rotation did not stop at the edge.');
  };
}

/** New tokens are signed with the next key from now on; the old one is kept for the tokens that are out. */
export function signWithKey({
  runs,
  keyring,
}: RotateKeyOptions): Handler<unknown, { readonly retireAt: string | null }> {
  return async (given, scope) => {
    const { run, tokenSeconds } = signEvent.parse(given);
    const rotation = await runs.get<RunRotation>(run, part.rotation);
    if (rotation?.kid === undefined) throw new PermanentFault(`Rotation ${run} has published no key.`);
    const { kid, from } = rotation;
    const keys = await keyring.list();
    const stateOf = (one: string): string | undefined => keys.find((key) => key.kid === one)?.state;
    const switched =
      // A later rotation has gone on from this key: going back would undo it.
      ['retiring', 'retired'].includes(stateOf(kid) ?? '') ||
      ((await keyring.signingKey())?.kid === kid &&
        stateOf(kid) === 'signing' &&
        (from === null || ['retiring', 'retired', 'unmanaged'].includes(stateOf(from) ?? 'retired')));
    if (!switched) {
      await keyring.sign(kid, { ...aboutOf(run), tokenSeconds });
      scope.log('signing switched', { run, kid });
    }
    const old = from === null ? undefined : (await keyring.list()).find((key) => key.kid === from);
    const retireAt = old?.retireAfter;
    return { retireAt: retireAt === undefined ? null : new Date(retireAt * 1000).toISOString() };
  };
}

/** Takes the old key from every store: the last of its tokens is dead. */
export function retireKey({ runs, keyring }: RotateKeyOptions): Handler<unknown, { readonly retired: string | null }> {
  return async (given, scope) => {
    const { run } = runEvent.parse(given);
    const rotation = await runs.get<RunRotation>(run, part.rotation);
    if (!rotation) throw new PermanentFault(`There is no rotation ${run}.`);
    if (rotation.from === null) return { retired: null };
    try {
      await keyring.retire(rotation.from, aboutOf(run));
    } catch (error) {
      // Clocks of the workflow and of this function may differ by a moment.
      if (error instanceof RevokerError && error.code === 'key_in_use') throw new TransientFault(error.message);
      throw error;
    }
    scope.log('key retired', { run, kid: rotation.from });
    return { retired: rotation.from };
  };
}
