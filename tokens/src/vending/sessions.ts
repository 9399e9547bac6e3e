/** One viewing, as the limit of concurrent sessions counts it. */
export interface SessionStart {
  readonly subject: string;
  /** Assets that count together. */
  readonly group: string;
  /** Handle, base64url. */
  readonly session: string;
  readonly limit: number;
  /** Over the limit: the newest is refused, or the oldest ends. */
  readonly over: 'refuse' | 'replace';
  /** Epoch seconds until which the session counts without a renewal. */
  readonly expires: number;
  readonly now: number;
}

export type SessionOutcome =
  | {
      readonly admitted: true;
      /** The session that had to end for this one. */
      readonly replaced?: string;
    }
  | { readonly admitted: false };

/** Counts sessions. Must be exact under concurrency: of simultaneous starts, no more than the limit are admitted. */
export interface SessionStore {
  start(start: SessionStart): Promise<SessionOutcome>;
  /** Keeps a session counted; one that was replaced in the meantime is not admitted again. */
  renew(start: SessionStart): Promise<SessionOutcome>;
  /** The viewer stopped: frees the place. */
  end(session: Pick<SessionStart, 'subject' | 'group' | 'session'>): Promise<void>;
}

interface Place {
  session: string;
  started: number;
  expires: number;
}

/** Subjects kept in memory at most; the longest unused go first. */
const maximumSubjects = 100_000;

/** Counts in this process's memory: for one instance, and for the local edge. */
export function memorySessions(): SessionStore {
  const subjects = new Map<string, Place[]>();
  let order = 0;

  const live = ({ subject, group, now }: SessionStart): Place[] => {
    const key = JSON.stringify([subject, group]);
    const places = (subjects.get(key) ?? []).filter(({ expires }) => expires > now);
    subjects.delete(key);
    subjects.set(key, places);
    if (subjects.size > maximumSubjects) subjects.delete(subjects.keys().next().value as string);
    return places;
  };

  return {
    start(start) {
      const places = live(start);
      const known = places.find(({ session }) => session === start.session);
      if (known) {
        known.expires = start.expires;
        return Promise.resolve({ admitted: true });
      }
      let replaced: string | undefined;
      if (places.length >= start.limit) {
        if (start.over === 'refuse') return Promise.resolve({ admitted: false });
        places.sort((a, b) => a.started - b.started);
        replaced = places.shift()?.session;
      }
      places.push({ session: start.session, started: order++, expires: start.expires });
      return Promise.resolve(replaced === undefined ? { admitted: true } : { admitted: true, replaced });
    },
    renew(start) {
      const places = live(start);
      const known = places.find(({ session }) => session === start.session);
      if (known) known.expires = start.expires;
      else if (places.length < start.limit)
        places.push({ session: start.session, started: order++, expires: start.expires });
      else return Promise.resolve({ admitted: false });
      return Promise.resolve({ admitted: true });
    },
    end({ subject, group, session }) {
      const key = JSON.stringify([subject, group]);
      const places = subjects.get(key)?.filter((place) => place.session !== session);
      if (places?.length) subjects.set(key, places);
      else subjects.delete(key);
      return Promise.resolve();
    },
  };
}
