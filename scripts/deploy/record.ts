// The deployment manifest: what was and what is, as hashes and resource names. Nothing of a configuration's content and
// no key is in it. The code that a deployment replaced is kept beside it, by its hash.
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BehaviourChange } from './behaviour-changes.js';

export interface FunctionRecord {
  readonly name: string;
  readonly liveSha256: string | null;
  readonly developmentSha256: string | null;
  readonly stores: readonly string[];
}

export interface CheckRecord {
  readonly name: string;
  readonly passed: boolean;
  /** A status, a reason, a percentage: never a token. */
  readonly outcome: string;
}

export interface DeploymentManifest {
  readonly version: 1;
  /** Sorts by time. */
  readonly id: string;
  readonly name: string;
  readonly distribution: string;
  readonly state: 'started' | 'applied' | 'rolling-back' | 'rolled-back';
  readonly startedAt: string;
  readonly finishedAt?: string | undefined;
  readonly before: {
    readonly configurationSha256: string;
    /** Functions that were there; those not listed were made by this deployment. */
    readonly functions: readonly FunctionRecord[];
    readonly storeExisted: boolean;
  };
  readonly after?: { readonly configurationSha256: string; readonly functions: readonly FunctionRecord[] } | undefined;
  /** Written before each change is made. */
  readonly changes: readonly BehaviourChange[];
  readonly created: {
    readonly functions: readonly string[];
    /** Names of origin request policies. */
    readonly policies: readonly string[];
    readonly store: string | null;
  };
  readonly checks: readonly CheckRecord[];
  /** What viewer-response was found to see, where that was probed. */
  readonly viewerResponseSees?: 'original' | 'modified' | undefined;
}

/** Where manifests and replaced code are kept. */
export interface DeploymentRecord {
  /** All of an environment, oldest first. */
  list(name: string): Promise<DeploymentManifest[]>;
  put(manifest: DeploymentManifest): Promise<void>;
  putCode(sha256: string, code: Uint8Array): Promise<void>;
  getCode(sha256: string): Promise<Uint8Array | undefined>;
}

/** Keeps the record in a folder: `<folder>/<name>/<id>.json` and `<folder>/code/<sha256>.js`. */
export function folderRecord(folder: string): DeploymentRecord {
  const write = async (directory: string, file: string, data: string | Uint8Array): Promise<void> => {
    await mkdir(directory, { recursive: true });
    const partial = join(directory, `.${file}.partial`);
    await writeFile(partial, data);
    await rename(partial, join(directory, file));
  };
  return {
    async list(name) {
      const directory = join(folder, name);
      const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith('.json')).sort();
      return Promise.all(
        files.map(async (file) => JSON.parse(await readFile(join(directory, file), 'utf8')) as DeploymentManifest),
      );
    },
    put: (manifest) =>
      write(join(folder, manifest.name), `${manifest.id}.json`, `${JSON.stringify(manifest, null, 2)}\n`),
    putCode: (hash, code) => write(join(folder, 'code'), `${hash}.js`, code),
    getCode: (hash) => readFile(join(folder, 'code', `${hash}.js`)).catch(() => undefined),
  };
}

/** Writes to all, reads from the first that has it: a local folder and the ledger. */
export function combinedRecord(records: readonly DeploymentRecord[]): DeploymentRecord {
  return {
    async list(name) {
      const byId = new Map<string, DeploymentManifest>();
      for (const record of [...records].reverse()) {
        for (const manifest of await record.list(name)) byId.set(manifest.id, manifest);
      }
      return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    async put(manifest) {
      for (const record of records) await record.put(manifest);
    },
    async putCode(hash, code) {
      for (const record of records) await record.putCode(hash, code);
    },
    async getCode(hash) {
      for (const record of records) {
        const code = await record.getCode(hash);
        if (code) return code;
      }
      return undefined;
    },
  };
}

/** Joins changes of one member: the first `before` and the last `after` count. */
export function mergeChanges(
  recorded: readonly BehaviourChange[],
  added: readonly BehaviourChange[],
): BehaviourChange[] {
  const key = (change: BehaviourChange): string => `${change.pattern ?? ''}\n${change.field}`;
  const merged = new Map<string, BehaviourChange>(recorded.map((change) => [key(change), change]));
  for (const change of added) {
    const first = merged.get(key(change));
    merged.set(key(change), first ? { ...change, before: first.before } : change);
  }
  return [...merged.values()];
}
