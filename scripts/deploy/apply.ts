// Carries a plan out. Every round reads the state anew and plans again, so an interrupted deployment is completed by the
// next one, and a round without steps is the proof that what was wanted is there.
import { randomBytes } from 'node:crypto';
import {
  CreateFunctionCommand,
  CreateKeyValueStoreCommand,
  CreateOriginRequestPolicyCommand,
  DescribeKeyValueStoreCommand,
  GetDistributionCommand,
  PublishFunctionCommand,
  UpdateDistributionCommand,
  UpdateFunctionCommand,
} from '@aws-sdk/client-cloudfront';
import { currentValue, withValues, type BehaviourChange } from './behaviour-changes.js';
import { DeployError } from './errors.js';
import { blockingFindings } from './findings.js';
import { testFunction } from './function-tests.js';
import { canonicalJson, configurationHash } from './hashes.js';
import { errorName, observe, readStage, type ReadAccess } from './observe.js';
import { makePlan, pendingFunction, pendingPolicy, type Plan, type PlanOptions, type Step } from './plan.js';
import {
  mergeChanges,
  type CheckRecord,
  type DeploymentManifest,
  type DeploymentRecord,
  type FunctionRecord,
} from './record.js';
import type { DesiredFunction, DesiredState, ObservedState } from './state.js';
import type { TestSuite } from './test-cases.js';
import { installTestKey, makeTestKey, removeTestKey, testKeyLeft, type TestKey } from './test-key.js';

/** Everything outside that a deployment needs; tests put doubles here. */
export interface DeployAccess extends ReadAccess {
  readonly record: DeploymentRecord;
  readonly wait: (milliseconds: number) => Promise<void>;
  readonly now: () => Date;
  /** Progress, for people. */
  readonly note: (text: string) => void;
  /** The test requests of the policy, signed with the test key. */
  readonly testSuite: (key: TestKey, contentPath: string) => Promise<TestSuite>;
  /** A content path behind a guarded behaviour, for the test tokens. */
  readonly testPath: string;
  /** Percent of TestFunction's compute utilisation over which nothing is published. */
  readonly computeCeiling: number;
}

export interface ApplyResult {
  readonly manifest: DeploymentManifest;
  /** Steps that were carried out, over all rounds. */
  readonly steps: readonly Step[];
  readonly plan: Plan;
}

const maximumRounds = 6;
const storePoll = { milliseconds: 2_000, attempts: 150 };
const distributionPoll = { milliseconds: 10_000, attempts: 180 };

/** Errors that mean: somebody else was here in between. Reading again and planning again is the answer. */
const staleErrors = new Set([
  'PreconditionFailed',
  'InvalidIfMatchVersion',
  'FunctionAlreadyExists',
  'EntityAlreadyExists',
  'OriginRequestPolicyAlreadyExists',
]);

/**
 * Brings the distribution to the desired state.
 *
 * @throws DeployError `plan_refused` before anything is changed; `function_test_failed`, `compute_ceiling` and
 * `readback_mismatch` before the distribution is; errors of the API as they are. Whatever was thrown, a second call goes
 * on where this one stopped.
 */
export async function applyDeployment(
  access: DeployAccess,
  desired: DesiredState,
  options: PlanOptions = {},
): Promise<ApplyResult> {
  const carried: Step[] = [];
  let journal: Journal | undefined;
  for (let round = 1; round <= maximumRounds; round += 1) {
    const observed = await observe(access, desired);
    const plan = makePlan(desired, observed, options);
    const blocking = blockingFindings(plan.findings);
    if (blocking.length > 0) {
      throw new DeployError(
        'plan_refused',
        `The plan has ${blocking.length} error${blocking.length === 1 ? '' : 's'}; nothing was changed in this round.`,
        {
          details: blocking.map((finding) => `${finding.code}: ${finding.message}`),
          hint: 'See them with: npx portcullis deploy plan',
        },
      );
    }
    if (observed.store?.ready) {
      const values = access.keyValues(observed.store.arn);
      if (await testKeyLeft(values)) await removeTestKey(values);
    }
    journal ??= await Journal.open(access, desired, observed, plan.steps.length > 0);
    if (plan.steps.length === 0) {
      const manifest = await journal.finish(observed);
      return { manifest, steps: carried, plan };
    }
    try {
      await carryOut(access, desired, observed, plan, journal, carried);
    } catch (error) {
      if (!staleErrors.has(errorName(error))) throw error;
      access.note(`Changed by somebody else meanwhile (${errorName(error)}); reading it again.`);
      await access.wait(1_000 * round);
    }
  }
  throw new DeployError(
    'conflict',
    `The distribution ${desired.distribution} kept changing while it was being deployed.`,
    {
      hint: 'See who else writes to it (CloudTrail: UpdateDistribution), then apply again.',
    },
  );
}

async function carryOut(
  access: DeployAccess,
  desired: DesiredState,
  observed: ObservedState,
  plan: Plan,
  journal: Journal,
  carried: Step[],
): Promise<void> {
  const made = new Map<string, string>();
  let storeArn = observed.store?.arn;
  let etag = observed.distribution.etag;
  let config = observed.distribution.config;
  let session: TestSession | undefined;
  try {
    for (const step of plan.steps) {
      access.note(describeStep(step));
      switch (step.kind) {
        case 'createStore':
          await journal.willCreate({ store: step.name });
          await access.cloudFront.send(
            new CreateKeyValueStoreCommand({ Name: step.name, Comment: 'Portcullis: keys, revocations, blackouts' }),
          );
          break;
        case 'waitForStore':
          storeArn = await waitForStore(access, step.name);
          break;
        case 'createPolicy': {
          await journal.willCreate({ policy: step.name });
          const answer = await access.cloudFront.send(
            new CreateOriginRequestPolicyCommand({ OriginRequestPolicyConfig: step.config }),
          );
          made.set(pendingPolicy(step.name), answer.OriginRequestPolicy?.Id as string);
          break;
        }
        case 'publishFunction': {
          if (storeArn === undefined)
            throw new DeployError('not_found', `The KeyValueStore ${desired.storeName} is gone.`);
          session ??= await TestSession.open(access, storeArn);
          const target = desired.functions.find((item) => item.name === step.name) as DesiredFunction;
          const arn = await publishFunction(access, desired, target, storeArn, journal, session);
          made.set(pendingFunction(step.name), arn);
          break;
        }
        case 'updateDistribution': {
          const changes = resolveChanges(step.changes, made);
          await journal.willChange(changes);
          const next = withValues(
            config,
            changes.map((change) => ({ ...change, value: change.after })),
          );
          const answer = await access.cloudFront.send(
            new UpdateDistributionCommand({ Id: desired.distribution, IfMatch: etag, DistributionConfig: next }),
          );
          etag = answer.ETag as string;
          config = next;
          break;
        }
        case 'waitForDistribution':
          await waitForDistribution(access, desired.distribution);
          break;
      }
      carried.push(step);
    }
  } finally {
    await session?.close();
  }
}

/** One line for a step, for people. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'createStore':
      return `create the KeyValueStore ${step.name}`;
    case 'waitForStore':
      return `wait until the KeyValueStore ${step.name} is READY`;
    case 'createPolicy':
      return `create the origin request policy ${step.name} (+ ${step.headers.join(', ')}) for ${step.behaviours.join(', ')}`;
    case 'publishFunction':
      return `${step.uploaded ? 'test and publish' : 'upload, test and publish'} ${step.name} (${step.bytes} bytes, ${step.reason === 'new' ? 'new' : step.reason === 'code' ? 'changed code' : 'lost its KeyValueStore'})`;
    case 'updateDistribution':
      return step.phase === 'headers'
        ? `update the distribution: deliver headers first (${step.changes.length} change${step.changes.length === 1 ? '' : 's'})`
        : `update the distribution (${step.changes.length} change${step.changes.length === 1 ? '' : 's'})`;
    case 'waitForDistribution':
      return 'wait until the distribution is Deployed';
  }
}

/** Puts the ids of what was made in the place of the placeholders. */
function resolveChanges(changes: readonly BehaviourChange[], made: ReadonlyMap<string, string>): BehaviourChange[] {
  const resolve = (value: unknown): unknown => {
    if (typeof value === 'string') {
      if (!value.startsWith('{{')) return value;
      const id = made.get(value);
      if (id === undefined) throw new DeployError('not_found', `A step before did not make ${value}.`);
      return id;
    }
    if (Array.isArray(value)) return value.map(resolve);
    if (value !== null && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    return value;
  };
  return changes.map((change) => ({ ...change, after: resolve(change.after) }));
}

async function waitForStore(access: Pick<DeployAccess, 'cloudFront' | 'wait'>, name: string): Promise<string> {
  for (let attempt = 0; attempt < storePoll.attempts; attempt += 1) {
    const { KeyValueStore: store } = await access.cloudFront.send(new DescribeKeyValueStoreCommand({ Name: name }));
    if (store?.Status === 'READY') return store.ARN as string;
    await access.wait(storePoll.milliseconds);
  }
  throw new DeployError('timed_out', `The KeyValueStore ${name} did not become READY.`);
}

/** Waits until every edge location has the distribution's configuration. */
export async function waitForDistribution(
  access: Pick<DeployAccess, 'cloudFront' | 'wait'>,
  id: string,
): Promise<void> {
  for (let attempt = 0; attempt < distributionPoll.attempts; attempt += 1) {
    const { Distribution: distribution } = await access.cloudFront.send(new GetDistributionCommand({ Id: id }));
    if (distribution?.Status === 'Deployed') return;
    await access.wait(distributionPoll.milliseconds);
  }
  throw new DeployError('timed_out', `The distribution ${id} did not become Deployed.`, {
    hint: 'CloudFront goes on by itself; apply again later, it completes what is left.',
  });
}

type TestAccess = Pick<DeployAccess, 'keyValues' | 'testSuite' | 'testPath'>;

/** The test key and its revoked token, from the first function tested to the last. */
export class TestSession {
  readonly suite: TestSuite;
  readonly #access: TestAccess;
  readonly #storeArn: string;

  private constructor(access: TestAccess, storeArn: string, suite: TestSuite) {
    this.#access = access;
    this.#storeArn = storeArn;
    this.suite = suite;
  }

  static async open(access: TestAccess, storeArn: string): Promise<TestSession> {
    const values = access.keyValues(storeArn);
    if (await testKeyLeft(values)) await removeTestKey(values);
    const folder = access.testPath.slice(0, access.testPath.lastIndexOf('/')) || '/';
    const key = makeTestKey();
    const suite = await access.testSuite(key, access.testPath);
    await installTestKey(values, key, [folder], suite.revokedTokenId);
    return new TestSession(access, storeArn, suite);
  }

  async close(): Promise<void> {
    await removeTestKey(this.#access.keyValues(this.#storeArn));
  }
}

/** DEVELOPMENT, TestFunction, LIVE, and a look at what is LIVE then. */
async function publishFunction(
  access: DeployAccess,
  desired: DesiredState,
  target: DesiredFunction,
  storeArn: string,
  journal: Journal,
  session: TestSession,
): Promise<string> {
  const { cloudFront } = access;
  const config = {
    Comment: `Portcullis ${target.event}, ${desired.name}, stage ${target.stage}`,
    Runtime: 'cloudfront-js-2.0' as const,
    // Always sent: an update without it takes the association away.
    KeyValueStoreAssociations: { Quantity: 1, Items: [{ KeyValueStoreARN: storeArn }] },
  };
  const code = Buffer.from(target.code, 'utf8');
  const present = await readStage(cloudFront, target.name, 'DEVELOPMENT');
  let etag = present?.etag;
  if (!present) {
    await journal.willCreate({ function: target.name });
    const created = await cloudFront.send(
      new CreateFunctionCommand({ Name: target.name, FunctionConfig: config, FunctionCode: code }),
    );
    etag = created.ETag;
  } else if (present.sha256 !== target.sha256 || present.stores.length !== 1 || present.stores[0] !== storeArn) {
    await journal.willReplace(target.name);
    const updated = await cloudFront.send(
      new UpdateFunctionCommand({ Name: target.name, IfMatch: etag, FunctionConfig: config, FunctionCode: code }),
    );
    etag = updated.ETag;
  }
  journal.checked(
    await testFunction({
      cloudFront,
      target,
      etag: etag as string,
      suite: session.suite,
      headers: desired.headers,
      computeCeiling: access.computeCeiling,
      wait: access.wait,
    }),
  );
  await cloudFront.send(new PublishFunctionCommand({ Name: target.name, IfMatch: etag }));
  const live = await readStage(cloudFront, target.name, 'LIVE');
  if (live?.sha256 !== target.sha256 || live.stores.length !== 1 || live.stores[0] !== storeArn) {
    throw new DeployError(
      'readback_mismatch',
      `${target.name} in LIVE is not what was published: ${live?.sha256 === target.sha256 ? 'its KeyValueStore association is missing' : 'its code differs'}.`,
      { hint: 'Somebody else publishes the same function; stop that, then apply again.' },
    );
  }
  return live.arn;
}

type Created = { readonly store: string } | { readonly policy: string } | { readonly function: string };

/** The manifest of the deployment under way: written before each change, so that a rollback knows of it. */
class Journal {
  #manifest: DeploymentManifest;
  readonly #access: DeployAccess;
  #checks: CheckRecord[] = [];
  #written: boolean;

  private constructor(access: DeployAccess, manifest: DeploymentManifest, written: boolean) {
    this.#access = access;
    this.#manifest = manifest;
    this.#written = written;
  }

  /** Goes on with an unfinished deployment's manifest, else starts one. Nothing is written where nothing is to do. */
  static async open(
    access: DeployAccess,
    desired: DesiredState,
    observed: ObservedState,
    changes: boolean,
  ): Promise<Journal> {
    const all = await access.record.list(desired.name);
    const last = all[all.length - 1];
    if (last && last.distribution === desired.distribution && (last.state === 'started' || !changes)) {
      return new Journal(access, last, true);
    }
    const now = access.now();
    const manifest: DeploymentManifest = {
      version: 1,
      id: `${now.toISOString().replace(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}`,
      name: desired.name,
      distribution: desired.distribution,
      state: 'started',
      startedAt: now.toISOString(),
      before: {
        configurationSha256: configurationHash(observed.distribution.config),
        functions: functionRecords(observed),
        storeExisted: observed.store !== undefined,
      },
      changes: [],
      created: { functions: [], policies: [], store: null },
      checks: [],
    };
    const journal = new Journal(access, manifest, false);
    if (changes) {
      for (const item of observed.functions.values()) await journal.#archive(item.name);
      await journal.#write();
    }
    return journal;
  }

  async #write(): Promise<void> {
    await this.#access.record.put(this.#manifest);
    this.#written = true;
  }

  /** Keeps the code that is about to be replaced. */
  async #archive(name: string): Promise<void> {
    for (const stage of ['DEVELOPMENT', 'LIVE'] as const) {
      const found = await readStage(this.#access.cloudFront, name, stage);
      if (found) await this.#access.record.putCode(found.sha256, found.code);
    }
  }

  async willCreate(what: Created): Promise<void> {
    const { created } = this.#manifest;
    const added = (list: readonly string[], name: string | undefined): readonly string[] =>
      name === undefined || list.includes(name) ? list : [...list, name];
    this.#manifest = {
      ...this.#manifest,
      created: {
        functions: added(created.functions, 'function' in what ? what.function : undefined),
        policies: added(created.policies, 'policy' in what ? what.policy : undefined),
        store: 'store' in what ? what.store : created.store,
      },
    };
    await this.#write();
  }

  async willReplace(name: string): Promise<void> {
    await this.#archive(name);
  }

  async willChange(changes: readonly BehaviourChange[]): Promise<void> {
    this.#manifest = { ...this.#manifest, changes: mergeChanges(this.#manifest.changes, changes) };
    await this.#write();
  }

  checked(checks: readonly CheckRecord[]): void {
    this.#checks = [...this.#checks, ...checks];
  }

  async finish(observed: ObservedState): Promise<DeploymentManifest> {
    if (this.#manifest.state !== 'started') return this.#manifest;
    this.#manifest = {
      ...this.#manifest,
      state: 'applied',
      finishedAt: this.#access.now().toISOString(),
      after: {
        configurationSha256: configurationHash(observed.distribution.config),
        functions: functionRecords(observed),
      },
      checks: [...this.#manifest.checks, ...this.#checks],
    };
    // A first look that finds everything in place is no deployment.
    if (this.#written) await this.#write();
    return this.#manifest;
  }
}

function functionRecords(observed: ObservedState): FunctionRecord[] {
  return [...observed.functions.values()].map((item) => ({
    name: item.name,
    liveSha256: item.live?.sha256 ?? null,
    developmentSha256: item.development?.sha256 ?? null,
    stores: item.live?.stores ?? [],
  }));
}

/** True where every recorded change is in the configuration. */
export function changesPresent(
  config: Parameters<typeof currentValue>[0],
  changes: readonly BehaviourChange[],
): boolean {
  return changes.every((change) => canonicalJson(currentValue(config, change)) === canonicalJson(change.after));
}
