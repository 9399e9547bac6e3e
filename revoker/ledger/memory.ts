import type { BucketEntry } from '../store/buckets.js';
import { bucketEntryOf, edgePlace, entryKey, isActive, type LedgerEntry } from './entry.js';
import type { AuditLine, Job, Ledger, LedgerRecord } from './ledger.js';

/** A ledger in memory: for rehearsals, and for tests that need no database. */
export function createMemoryLedger(): Ledger {
  const entries = new Map<string, LedgerEntry>();
  const buckets = new Map<number, Set<string>>();
  const jobs = new Map<string, Job>();
  const records = new Map<string, LedgerRecord>();
  const audit: AuditLine[] = [];
  const turns = new Map<string, { readonly owner: string; readonly until: number }>();
  const recordKey = (kind: string, id: string): string => `${kind}\n${id}`;

  function set(entry: LedgerEntry): void {
    const key = entryKey(entry);
    entries.set(key, entry);
    const place = edgePlace(entry);
    if (!place) return;
    const bucket = buckets.get(place.bucket) ?? new Set();
    bucket.add(key);
    buckets.set(place.bucket, bucket);
  }

  return {
    get: (ref) => Promise.resolve(entries.get(entryKey(ref))),
    getMany: (refs) =>
      Promise.resolve(refs.map((ref) => entries.get(entryKey(ref))).filter((entry) => entry !== undefined)),
    write(entry) {
      const fits = (entries.get(entryKey(entry))?.version ?? 0) === entry.version - 1;
      if (fits) set(entry);
      return Promise.resolve(fits);
    },
    writeMany(list) {
      for (const entry of list) set(entry);
      return Promise.resolve();
    },
    bucket(bucket, now) {
      const found: BucketEntry[] = [];
      for (const key of buckets.get(bucket) ?? []) {
        const entry = entries.get(key);
        const packed = isActive(entry, now) ? bucketEntryOf(entry) : undefined;
        if (packed) found.push(packed);
      }
      return Promise.resolve(found);
    },
    async *scan(options = {}) {
      await Promise.resolve();
      for (const entry of [...entries.values()]) {
        if (options.states && !options.states.includes(entry.state)) continue;
        if (options.scopes && !options.scopes.includes(entry.scope)) continue;
        if (options.endedSince !== undefined && entry.state !== 'active' && entry.at < options.endedSince) continue;
        yield entry;
      }
    },
    putJob(job) {
      jobs.set(job.id, job);
      return Promise.resolve();
    },
    deleteJob(id) {
      jobs.delete(id);
      return Promise.resolve();
    },
    jobs: () => Promise.resolve([...jobs.values()]),
    record: <Value>(kind: string, id: string) =>
      Promise.resolve(records.get(recordKey(kind, id)) as LedgerRecord<Value> | undefined),
    records: <Value>(kind: string) =>
      Promise.resolve([...records.values()].filter((record) => record.kind === kind) as LedgerRecord<Value>[]),
    putRecord(record) {
      const key = recordKey(record.kind, record.id);
      const fits = (records.get(key)?.version ?? 0) === record.version - 1;
      if (fits) records.set(key, record);
      return Promise.resolve(fits);
    },
    deleteRecord(kind, id, version) {
      const key = recordKey(kind, id);
      const fits = records.get(key)?.version === version;
      if (fits) records.delete(key);
      return Promise.resolve(fits);
    },
    audit(line) {
      audit.push(line);
      return Promise.resolve();
    },
    takeTurn(name, owner, until) {
      const turn = turns.get(name);
      if (turn && turn.owner !== owner && turn.until > Date.now() / 1000) return Promise.resolve(false);
      turns.set(name, { owner, until });
      return Promise.resolve(true);
    },
    endTurn(name, owner) {
      if (turns.get(name)?.owner === owner) turns.delete(name);
      return Promise.resolve();
    },
    auditLines: (limit) => Promise.resolve(audit.slice(-limit).reverse()),
  };
}
