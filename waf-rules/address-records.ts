import { mkdir, open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WafRulesError } from './errors.js';

/** One blocked range or network, and until when. An IP set holds addresses only, so this has to live elsewhere. */
export interface AddressRecord {
  /** A canonical CIDR range, or `AS` and a network's number. */
  readonly key: string;
  /** Epoch seconds; absent: until it is removed. */
  readonly until?: number;
  readonly why?: string;
  /** Epoch seconds. */
  readonly addedAt: number;
}

/**
 * Where blocked addresses are remembered with their ends: the ledger's DynamoDB table in production, a file where the
 * command line works alone. The sets in WAF are a projection of it.
 *
 * Two promises make concurrent writers safe: `all` sees every write that finished before it was called (a strongly
 * consistent read), and each method is atomic for each record.
 */
export interface AddressRecordStore {
  /**
   * True where others write records without asking the blocker, as the ledger's writers do: each is then held against
   * the blocker's rules (allow list, private and very wide ranges) before it is blocked.
   */
  readonly unscreened?: boolean;
  /** Adds records. Of two ends of one key the later stays, and none is later than any. */
  put(records: readonly AddressRecord[]): Promise<void>;
  /** Sets the end of these keys to `at`, whatever it was. Unknown keys are passed over. */
  end(keys: readonly string[], at: number): Promise<void>;
  /** Forgets those of these keys whose end is `now` or earlier at the time of the call. */
  forgetDue(keys: readonly string[], now: number): Promise<void>;
  all(): Promise<readonly AddressRecord[]>;
}

/** Whether a record's end has come. */
export const isDue = (record: AddressRecord, now: number): boolean => record.until !== undefined && record.until <= now;

/** The record of two for one key that ends later. */
export function laterRecord(a: AddressRecord, b: AddressRecord): AddressRecord {
  if (a.until === undefined) return a;
  if (b.until === undefined || b.until >= a.until) return b;
  return a;
}

type Records = Map<string, AddressRecord>;

function applyPut(records: Records, added: readonly AddressRecord[]): void {
  for (const record of added) {
    const known = records.get(record.key);
    records.set(record.key, known ? laterRecord(known, record) : record);
  }
}

function applyEnd(records: Records, keys: readonly string[], at: number): void {
  for (const key of keys) {
    const known = records.get(key);
    if (known) records.set(key, { ...known, until: at });
  }
}

function applyForget(records: Records, keys: readonly string[], now: number): void {
  for (const key of keys) {
    const known = records.get(key);
    if (known && isDue(known, now)) records.delete(key);
  }
}

/** Records in memory, for tests and for callers that keep them elsewhere. */
export function createMemoryRecords(initial: readonly AddressRecord[] = []): AddressRecordStore {
  const records: Records = new Map(initial.map((record) => [record.key, record]));
  return {
    put: (added) => Promise.resolve(applyPut(records, added)),
    end: (keys, at) => Promise.resolve(applyEnd(records, keys, at)),
    forgetDue: (keys, now) => Promise.resolve(applyForget(records, keys, now)),
    all: () => Promise.resolve([...records.values()]),
  };
}

/**
 * Records in a file, for one machine: written whole to a second file and renamed, under a lock file, so that several
 * processes may use it and a crash leaves the old state.
 *
 * @example createFileRecords('.portcullis/waf-addresses.json')
 */
export function createFileRecords(
  path: string,
  options: { readonly sleep?: (milliseconds: number) => Promise<void>; readonly staleAfter?: number } = {},
): AddressRecordStore {
  const sleep = options.sleep ?? ((milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)));
  const staleAfter = options.staleAfter ?? 10_000;
  const lockPath = `${path}.lock`;

  async function read(): Promise<Records> {
    try {
      const list = JSON.parse(await readFile(path, 'utf8')) as AddressRecord[];
      return new Map(list.map((record) => [record.key, record]));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
      throw new WafRulesError('record_conflict', `${path} cannot be read: ${(error as Error).message}`, { path });
    }
  }

  async function lock(): Promise<void> {
    for (let attempt = 0; attempt < 1000; attempt++) {
      try {
        const handle = await open(lockPath, 'wx');
        await handle.close();
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        // A process that died holding the lock left it behind.
        const age = await stat(lockPath).then(
          (found) => Date.now() - found.mtimeMs,
          () => 0,
        );
        if (age > staleAfter) await unlink(lockPath).catch(() => undefined);
        else await sleep(5 + Math.random() * 20);
      }
    }
    throw new WafRulesError('record_conflict', `${lockPath} stays taken; remove it if no other command runs.`, {
      path,
    });
  }

  async function change(apply: (records: Records) => void): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await lock();
    try {
      const records = await read();
      apply(records);
      const list = [...records.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
      const draft = `${path}.${process.pid}.new`;
      await writeFile(draft, `[\n${list.map((record) => JSON.stringify(record)).join(',\n')}\n]\n`, { mode: 0o600 });
      await rename(draft, path);
    } finally {
      await unlink(lockPath).catch(() => undefined);
    }
  }

  return {
    put: (added) => change((records) => applyPut(records, added)),
    end: (keys, at) => change((records) => applyEnd(records, keys, at)),
    forgetDue: (keys, now) => change((records) => applyForget(records, keys, now)),
    all: async () => [...(await read()).values()],
  };
}
