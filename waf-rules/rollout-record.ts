import type { CustomResponseBody, Rule } from '@aws-sdk/client-wafv2';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromStoredJson, toStoredJson } from './canonical.js';
import { WafRulesError } from './errors.js';
import type { Stage, StageOf } from './rule-set.js';

/** A decision about a rule's stage: what, who, when, why. */
export interface StageDecision {
  readonly rule: string;
  readonly stage: Stage;
  /** ISO 8601. */
  readonly at: string;
  readonly by: string;
  readonly why: string;
}

/** Our part of a web ACL at one time. Groups and sets it refers to are never changed, so ARNs say it all. */
export interface AclSnapshot {
  readonly rules: readonly Rule[];
  readonly bodies: Readonly<Record<string, CustomResponseBody>>;
}

/** One version that was put in force. */
export interface AppliedVersion {
  readonly version: number;
  /** `started` stays where a run died between the update and its record. */
  readonly status: 'started' | 'applied' | 'failed' | 'rolled-back';
  readonly at: string;
  readonly by: string;
  readonly summary: readonly string[];
  readonly before: AclSnapshot;
  readonly after: AclSnapshot;
}

/** Everything recorded about one web ACL. */
export interface RolloutRecord {
  readonly acl: string;
  readonly revision: number;
  readonly decisions: readonly StageDecision[];
  /** The last {@link keptVersions}, oldest first. */
  readonly versions: readonly AppliedVersion[];
}

/** How many versions can be gone back to. */
export const keptVersions = 20;

/** Where the record lives. `write` refuses when somebody wrote since `record` was read. */
export interface RolloutRecordStore {
  read(acl: string): Promise<RolloutRecord>;
  /** @throws WafRulesError `record_conflict` */
  write(record: RolloutRecord): Promise<RolloutRecord>;
}

const emptyRecord = (acl: string): RolloutRecord => ({ acl, revision: 0, decisions: [], versions: [] });

/** The stage of each rule: the last decision, else how rules start. */
export function stagesOf(record: RolloutRecord, start: Stage): StageOf {
  const stages = new Map<string, Stage>();
  for (const decision of record.decisions) stages.set(decision.rule, decision.stage);
  return (rule) => stages.get(rule) ?? start;
}

function advance(current: RolloutRecord, record: RolloutRecord): RolloutRecord {
  if (current.revision !== record.revision) {
    throw new WafRulesError(
      'record_conflict',
      `The rollout record of ${record.acl} was changed meanwhile. Run the command again.`,
      { acl: record.acl },
    );
  }
  return { ...record, revision: record.revision + 1, versions: record.versions.slice(-keptVersions) };
}

/** A record in memory. */
export function createMemoryRollout(): RolloutRecordStore {
  const records = new Map<string, string>();
  const read = (acl: string): RolloutRecord => {
    const text = records.get(acl);
    return text === undefined ? emptyRecord(acl) : (fromStoredJson(text) as RolloutRecord);
  };
  return {
    read: (acl) => Promise.resolve(read(acl)),
    write(record) {
      try {
        const next = advance(read(record.acl), record);
        records.set(record.acl, toStoredJson(next));
        return Promise.resolve(next);
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
  };
}

/** A record in a JSON file, one entry per web ACL; keep it in version control. */
export function createFileRollout(path: string): RolloutRecordStore {
  const readAll = async (): Promise<Record<string, RolloutRecord>> => {
    try {
      return fromStoredJson(await readFile(path, 'utf8')) as Record<string, RolloutRecord>;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw new WafRulesError('record_conflict', `${path} cannot be read: ${(error as Error).message}`, { path });
    }
  };
  return {
    async read(acl) {
      return (await readAll())[acl] ?? emptyRecord(acl);
    },
    async write(record) {
      const records = await readAll();
      const next = advance(records[record.acl] ?? emptyRecord(record.acl), record);
      await mkdir(dirname(path), { recursive: true });
      const draft = `${path}.${process.pid}.new`;
      await writeFile(draft, `${toStoredJson({ ...records, [record.acl]: next })}\n`);
      await rename(draft, path);
      return next;
    },
  };
}
