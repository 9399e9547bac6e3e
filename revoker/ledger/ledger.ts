import type { BucketEntry } from '../store/buckets.js';
import type { Target } from '../targets.js';
import type { EntryRef, LedgerEntry } from './entry.js';

/**
 * Work that was announced and may not be done: written before the first entry it is about, removed when every target has
 * it. What a crash leaves behind is found here.
 */
export interface Job {
  readonly id: string;
  readonly by: string;
  /** Epoch seconds. */
  readonly at: number;
  /** Epoch seconds; while it lies ahead, the job's writer may still be adding entries. */
  readonly leaseUntil: number;
  /** Buckets whose content may differ from the ledger's. */
  readonly buckets: readonly number[];
  /** Store keys outside the buckets that may differ, such as `k:<kid>` and `b:<content>`. */
  readonly keys: readonly string[];
  /** The entries themselves, for targets that take them one by one. */
  readonly refs: readonly EntryRef[];
  /** Names of the targets that have not confirmed, with the last error if there was one. */
  readonly pending: Readonly<Record<string, string>>;
  /** What the targets are, by name; announcements of earlier versions have none. */
  readonly kinds?: Readonly<Record<string, Target['kind']>>;
}

/** A record of another kind that the ledger keeps: a key, a blackout, a mode, a schedule. */
export interface LedgerRecord<Value = unknown> {
  readonly kind: RecordKind;
  readonly id: string;
  readonly version: number;
  readonly value: Value;
}

export type RecordKind = 'key' | 'blackout' | 'mode' | 'schedule';

/** One line about keys, modes and blackouts; entries carry their own history. */
export interface AuditLine {
  readonly at: number;
  readonly by: string;
  readonly action: string;
  readonly about: string;
  readonly reason: string;
  readonly detail?: unknown;
}

/** What a scan gives; absent: everything. */
export interface ScanFilter {
  readonly states?: readonly LedgerEntry['state'][];
  readonly scopes?: readonly LedgerEntry['scope'][];
  /** Epoch seconds: passes over what was lifted, or seen to have expired, before this moment. Active entries are given. */
  readonly endedSince?: number;
}

/** The truth about what is revoked. Reads are strongly consistent. */
export interface Ledger {
  get(ref: EntryRef): Promise<LedgerEntry | undefined>;
  /** As many as exist, in any order. */
  getMany(refs: readonly EntryRef[]): Promise<LedgerEntry[]>;
  /** Writes an entry that stands on version `entry.version - 1`; false if another writer was first. */
  write(entry: LedgerEntry): Promise<boolean>;
  /** Writes many new entries without a condition each; for bulk imports. */
  writeMany(entries: readonly LedgerEntry[]): Promise<void>;
  /** What a bucket must hold at `now` (epoch seconds). */
  bucket(bucket: number, now: number): Promise<BucketEntry[]>;
  /** Every entry, in any order. */
  scan(options?: ScanFilter): AsyncIterable<LedgerEntry>;
  putJob(job: Job): Promise<void>;
  deleteJob(id: string): Promise<void>;
  jobs(): Promise<Job[]>;
  record<Value>(kind: RecordKind, id: string): Promise<LedgerRecord<Value> | undefined>;
  records<Value>(kind: RecordKind): Promise<LedgerRecord<Value>[]>;
  /** Writes a record that stands on version `record.version - 1`; false if another writer was first. */
  putRecord(record: LedgerRecord): Promise<boolean>;
  deleteRecord(kind: RecordKind, id: string, version: number): Promise<boolean>;
  audit(line: AuditLine): Promise<void>;
  /**
   * Takes a turn that others wait for, until `until` (epoch seconds) at the latest; false while somebody else has it. It
   * saves work and guards nothing: whoever waits too long goes ahead.
   */
  takeTurn(name: string, owner: string, until: number): Promise<boolean>;
  endTurn(name: string, owner: string): Promise<void>;
  /** The latest lines, newest first. */
  auditLines(limit: number): Promise<AuditLine[]>;
}
