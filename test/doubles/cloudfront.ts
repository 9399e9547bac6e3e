// A loopback double of the CloudFront control plane, for the real SDK client: REST-XML, ETags and If-Match, states that
// take time, the documented errors, throttling, and faults before or after any call takes effect.
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type {
  CacheBehavior,
  DefaultCacheBehavior,
  DistributionConfig,
  FunctionAssociation,
  FunctionConfig,
  OriginRequestPolicyConfig,
} from '@aws-sdk/client-cloudfront';
import { createKvsApi, memoryStorage, type KvsApi } from '../../scripts/local-edge/kvs-api.js';
import {
  account,
  ApiError,
  newState,
  type FunctionStageRecord,
  type State,
  type StoredDistribution,
  type StoredFunction,
  type StoredKeyValueStore,
  type StoredPolicy,
} from './cloudfront-state.js';
import { errorStatus, errorXml, operations, readXml, writeXml, type Operation } from './cloudfront-xml.js';

/** What running a function once gave. */
export interface FunctionRun {
  /** The request or response that the handler returned; absent after an error. */
  readonly output?: unknown;
  readonly error?: string;
  readonly logs: readonly string[];
  /** 0 to 100. */
  readonly utilization: number;
}

/** Runs a function's code on an event, with the pairs of its KeyValueStore. */
export type FunctionRunner = (input: {
  readonly code: string;
  readonly event: unknown;
  readonly pairs: ReadonlyMap<string, string>;
}) => Promise<FunctionRun>;

/** What a fault hook can make of one call. */
export type ApiFault =
  | { readonly kind: 'throttle' }
  | { readonly kind: 'drop'; readonly when: 'before' | 'after' }
  | { readonly kind: 'error'; readonly code: string; readonly message?: string };

export interface ApiCall {
  readonly operation: string;
  /** Counts all calls from 1. */
  readonly call: number;
}

export interface CloudFrontDoubleOptions {
  readonly runFunction: FunctionRunner;
  readonly port?: number;
  readonly faults?: (call: ApiCall) => ApiFault | undefined;
  /** Reads until a distribution is `Deployed`. Default 2. */
  readonly readsUntilDeployed?: number;
  /** Reads until a KeyValueStore is `READY`. Default 2. */
  readonly readsUntilReady?: number;
  readonly now?: () => Date;
}

export interface CloudFrontDouble {
  readonly endpoint: string;
  readonly state: State;
  /** The names of the calls answered so far, in order. */
  readonly calls: string[];
  faults: ((call: ApiCall) => ApiFault | undefined) | undefined;
  /** Adds a distribution that is there already, `Deployed`. */
  addDistribution(id: string, config: DistributionConfig): StoredDistribution;
  /** Adds a published function of somebody else's. */
  addFunction(name: string, code: string): StoredFunction;
  addOriginRequestPolicy(id: string, config: OriginRequestPolicyConfig): void;
  addCachePolicy(id: string, config: import('@aws-sdk/client-cloudfront').CachePolicyConfig): void;
  /** The bytes that GetDistributionConfig answers. */
  distributionXml(id: string): string;
  /** Makes GetDistributionConfig of a distribution show XML that the SDK does not know. */
  foreignXml: Map<string, string>;
  /** The pairs of a store, by its ARN: to look at; written through the API alone. */
  pairs(arn: string): ReadonlyMap<string, string>;
  close(): Promise<void>;
}

type Input = Record<string, unknown>;
type Output = Record<string, unknown>;

const maximumFunctionBytes = 10_240;

/**
 * Starts the double on the loopback address. The data plane of its KeyValueStores answers on the same port.
 *
 * @example
 * const double = await startCloudFrontDouble({ runFunction });
 * const client = new CloudFrontClient({ endpoint: double.endpoint, region: 'us-east-1', credentials });
 */
export async function startCloudFrontDouble(options: CloudFrontDoubleOptions): Promise<CloudFrontDouble> {
  const now = options.now ?? ((): Date => new Date());
  const state = newState(now());
  const dataPlanes = new Map<string, { readonly api: KvsApi; readonly map: Map<string, string> }>();
  const calls: string[] = [];
  let etagCount = 0;
  let idCount = 0;

  const newEtag = (): string => {
    etagCount += 1;
    return `E${createHash('sha256').update(`etag${etagCount}`).digest('hex').slice(0, 13).toUpperCase()}`;
  };
  const newId = (prefix: string): string => {
    idCount += 1;
    return `${prefix}${createHash('sha256').update(`id${idCount}`).digest('hex').slice(0, 13).toUpperCase()}`;
  };

  function record(operation: string): void {
    state.history.push({
      operation,
      distributions: new Map([...state.distributions].map(([id, item]) => [id, structuredClone(item.config)])),
      live: new Map(
        [...state.functions.values()]
          .filter((item) => item.live)
          .map((item) => [
            item.name,
            {
              code: Buffer.from((item.live as FunctionStageRecord).code).toString('utf8'),
              stores: ((item.live as FunctionStageRecord).config.KeyValueStoreAssociations?.Items ?? []).map(
                (association) => association.KeyValueStoreARN as string,
              ),
            },
          ]),
      ),
      originRequestPolicies: new Map(
        [...state.originRequestPolicies].map(([id, item]) => [id, structuredClone(item.config)]),
      ),
    });
  }

  function found<Item>(item: Item | undefined, code: string, what: string): Item {
    if (item === undefined) throw new ApiError(code, `The specified ${what} does not exist.`);
    return item;
  }

  function checkIfMatch(input: Input, etag: string): void {
    const ifMatch = input['IfMatch'];
    if (typeof ifMatch !== 'string' || ifMatch === '') {
      throw new ApiError('InvalidIfMatchVersion', 'The If-Match version is missing or not valid for the resource.');
    }
    if (ifMatch !== etag) {
      throw new ApiError(
        'PreconditionFailed',
        "The request failed because it didn't meet the preconditions in one or more request-header fields.",
      );
    }
  }

  const liveFunctionArns = (): Set<string> =>
    new Set([...state.functions.values()].filter((item) => item.live).map((item) => item.arn));

  function behavioursOf(config: DistributionConfig): (DefaultCacheBehavior | CacheBehavior)[] {
    return [...(config.CacheBehaviors?.Items ?? []), config.DefaultCacheBehavior as DefaultCacheBehavior];
  }

  function checkQuantity(list: { Quantity?: number | undefined; Items?: unknown[] | undefined } | undefined): void {
    if (list && (list.Quantity ?? 0) !== (list.Items ?? []).length) {
      throw new ApiError('InconsistentQuantities', 'The value of Quantity and the size of Items do not match.');
    }
  }

  function checkBehaviour(config: DistributionConfig, behaviour: DefaultCacheBehavior | CacheBehavior): void {
    checkQuantity(behaviour.FunctionAssociations);
    checkQuantity(behaviour.LambdaFunctionAssociations);
    const origins = new Set([
      ...(config.Origins?.Items ?? []).map((origin) => origin.Id),
      ...(config.OriginGroups?.Items ?? []).map((group) => group.Id),
    ]);
    if (!origins.has(behaviour.TargetOriginId)) {
      throw new ApiError('NoSuchOrigin', 'One or more of your origins or origin groups do not exist.');
    }
    const lives = liveFunctionArns();
    const events = new Set<string>();
    for (const association of (behaviour.FunctionAssociations?.Items ?? []) as FunctionAssociation[]) {
      if (association.EventType !== 'viewer-request' && association.EventType !== 'viewer-response') {
        throw new ApiError(
          'InvalidFunctionAssociation',
          'The event type of a CloudFront function must be a viewer event.',
        );
      }
      if (!lives.has(association.FunctionARN as string)) {
        throw new ApiError(
          'InvalidFunctionAssociation',
          'A CloudFront function that is associated with a cache behaviour must be published in the LIVE stage.',
        );
      }
      if (events.has(association.EventType)) {
        throw new ApiError('TooManyFunctionAssociations', 'Only one function per event type is allowed.');
      }
      events.add(association.EventType);
    }
    for (const association of behaviour.LambdaFunctionAssociations?.Items ?? []) {
      const viewerEvent = association.EventType === 'viewer-request' || association.EventType === 'viewer-response';
      if (viewerEvent && events.size > 0) {
        throw new ApiError(
          'InvalidLambdaFunctionAssociation',
          'A CloudFront function and a Lambda@Edge function cannot both be on viewer events of one cache behaviour.',
        );
      }
      if (!/:\d+$/.test(association.LambdaFunctionARN ?? '')) {
        throw new ApiError('InvalidLambdaFunctionAssociation', 'The function ARN must name a numbered version.');
      }
    }
    if (behaviour.CachePolicyId)
      found(state.cachePolicies.get(behaviour.CachePolicyId), 'NoSuchCachePolicy', 'cache policy');
    if (behaviour.OriginRequestPolicyId) {
      found(
        state.originRequestPolicies.get(behaviour.OriginRequestPolicyId),
        'NoSuchOriginRequestPolicy',
        'origin request policy',
      );
      if (!behaviour.CachePolicyId) {
        throw new ApiError(
          'InvalidArgument',
          'An origin request policy needs a cache policy on the same cache behaviour.',
        );
      }
    }
    if (behaviour.ResponseHeadersPolicyId) {
      found(
        state.responseHeadersPolicies.get(behaviour.ResponseHeadersPolicyId),
        'NoSuchResponseHeadersPolicy',
        'response headers policy',
      );
    }
  }

  const acceptedErrorCodes = new Set([400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504]);

  function checkConfig(config: DistributionConfig): void {
    for (const required of ['CallerReference', 'Origins', 'DefaultCacheBehavior', 'Comment', 'Enabled'] as const) {
      if (config[required] === undefined) throw new ApiError('InvalidArgument', `${required} is missing.`);
    }
    checkQuantity(config.Origins);
    checkQuantity(config.CacheBehaviors);
    for (const answer of config.CustomErrorResponses?.Items ?? []) {
      if (!acceptedErrorCodes.has(answer.ErrorCode as number)) {
        throw new ApiError('InvalidErrorCode', 'An invalid error code was specified.');
      }
    }
    if (config.ContinuousDeploymentPolicyId) {
      found(
        state.continuousDeploymentPolicies.get(config.ContinuousDeploymentPolicyId),
        'NoSuchContinuousDeploymentPolicy',
        'continuous deployment policy',
      );
      if ((config.HttpVersion ?? '').includes('3')) {
        throw new ApiError('InvalidArgument', 'Continuous deployment is not supported with HTTP/3.');
      }
    }
    for (const behaviour of behavioursOf(config)) checkBehaviour(config, behaviour);
  }

  function distributionView(item: StoredDistribution): Output {
    return {
      Id: item.id,
      ARN: item.arn,
      Status: item.pending > 0 ? 'InProgress' : 'Deployed',
      LastModifiedTime: item.modified,
      InProgressInvalidationBatches: 0,
      DomainName: item.domainName,
      ActiveTrustedSigners: { Enabled: false, Quantity: 0 },
      ActiveTrustedKeyGroups: { Enabled: false, Quantity: 0 },
      DistributionConfig: item.config,
    };
  }

  function storeDistribution(id: string, config: DistributionConfig, pending: number): StoredDistribution {
    const item: StoredDistribution = {
      id,
      arn: `arn:aws:cloudfront::${account}:distribution/${id}`,
      domainName: `d${id.slice(1).toLowerCase()}.cloudfront.net`,
      // Through the wire form once, so that what is stored is what a client could have sent.
      config: readXml('DistributionConfig', writeXml('DistributionConfig', config)) as unknown as DistributionConfig,
      etag: newEtag(),
      pending,
      modified: now(),
      tags: new Map(),
    };
    state.distributions.set(id, item);
    return item;
  }

  function distribution(input: Input): StoredDistribution {
    return found(state.distributions.get(String(input['Id'])), 'NoSuchDistribution', 'distribution');
  }

  function storedFunction(input: Input): StoredFunction {
    return found(state.functions.get(String(input['Name'])), 'NoSuchFunctionExists', 'function');
  }

  function functionStage(input: Input): FunctionStageRecord {
    const item = storedFunction(input);
    const stage = input['Stage'] === 'LIVE' ? item.live : item.development;
    return found(stage, 'NoSuchFunctionExists', 'function stage');
  }

  function functionSummary(item: StoredFunction, stage: FunctionStageRecord): Output {
    const published = item.live !== undefined && item.live.code === item.development.code;
    return {
      Name: item.name,
      Status: stage === item.live ? 'UNASSOCIATED' : published ? 'UNASSOCIATED' : 'UNPUBLISHED',
      FunctionConfig: stage.config,
      FunctionMetadata: {
        FunctionARN: item.arn,
        Stage: stage === item.live ? 'LIVE' : 'DEVELOPMENT',
        CreatedTime: item.created,
        LastModifiedTime: stage.modified,
      },
    };
  }

  function checkFunction(config: FunctionConfig | undefined, code: Uint8Array | undefined): void {
    if (!config?.Runtime || !code || code.length === 0)
      throw new ApiError('InvalidArgument', 'FunctionCode is missing.');
    if (code.length > maximumFunctionBytes) {
      throw new ApiError('FunctionSizeLimitExceeded', 'The function is larger than the maximum allowed size.');
    }
    checkQuantity(config.KeyValueStoreAssociations);
    const associations = config.KeyValueStoreAssociations?.Items ?? [];
    if (associations.length > 1) throw new ApiError('InvalidArgument', 'One KeyValueStore per function.');
    for (const association of associations) {
      const store = [...state.stores.values()].find((item) => item.arn === association.KeyValueStoreARN);
      if (!store || store.pending > 0) {
        throw new ApiError('InvalidArgument', 'The KeyValueStore does not exist or is not READY.');
      }
    }
  }

  function inUse(arn: string): boolean {
    return [...state.distributions.values()].some((item) =>
      behavioursOf(item.config).some((behaviour) =>
        (behaviour.FunctionAssociations?.Items ?? []).some((association) => association.FunctionARN === arn),
      ),
    );
  }

  function storeView(item: StoredKeyValueStore): Output {
    return {
      Name: item.name,
      Id: item.id,
      Comment: item.comment,
      ARN: item.arn,
      Status: item.pending > 0 ? 'PROVISIONING' : 'READY',
      LastModifiedTime: item.modified,
    };
  }

  function page<Item>(items: readonly Item[], input: Input, idOf: (item: Item) => string): [Item[], Output] {
    const size = Number(input['MaxItems'] ?? 100);
    const marker = input['Marker'];
    const start = marker === undefined ? 0 : items.findIndex((item) => idOf(item) === marker) + 1;
    const slice = items.slice(start, start + size);
    const more = start + size < items.length;
    const last = slice[slice.length - 1];
    return [
      slice,
      { MaxItems: size, Quantity: slice.length, ...(more && last !== undefined ? { NextMarker: idOf(last) } : {}) },
    ];
  }

  interface PolicyKind<Config> {
    readonly noun: string;
    readonly table: Map<string, StoredPolicy<Config>>;
    readonly nameOf: (config: Config) => string;
    readonly check: (config: Config) => void;
    readonly usedBy: (behaviour: DefaultCacheBehavior | CacheBehavior, id: string) => boolean;
  }

  /** The six operations that the three kinds of policy share. */
  function policyOperations<Config>(kind: PolicyKind<Config>): Record<string, (input: Input) => Output> {
    const { noun, table } = kind;
    const plural = noun.replace(/y$/, 'ies');
    const view = (item: StoredPolicy<Config>): Output => ({
      Id: item.id,
      LastModifiedTime: item.modified,
      [`${noun}Config`]: item.config,
    });
    const get = (input: Input): StoredPolicy<Config> => found(table.get(String(input['Id'])), `NoSuch${noun}`, noun);
    const write = (id: string, config: Config): StoredPolicy<Config> => {
      kind.check(config);
      for (const other of table.values()) {
        if (other.id !== id && kind.nameOf(other.config) === kind.nameOf(config)) {
          throw new ApiError(`${noun}AlreadyExists`, `A ${noun} with this name already exists.`);
        }
      }
      const item: StoredPolicy<Config> = { id, managed: false, config, etag: newEtag(), modified: now() };
      table.set(id, item);
      return item;
    };
    const change = (input: Input): StoredPolicy<Config> => {
      const item = get(input);
      if (item.managed) throw new ApiError('IllegalUpdate', 'Managed policies cannot be changed.');
      checkIfMatch(input, item.etag);
      return item;
    };
    return {
      [`Create${noun}`]: (input) => {
        const item = write(randomUUID(), input[`${noun}Config`] as Config);
        return { [noun]: view(item), ETag: item.etag, Location: item.id };
      },
      [`Get${noun}`]: (input) => ({ [noun]: view(get(input)), ETag: get(input).etag }),
      [`Get${noun}Config`]: (input) => ({ [`${noun}Config`]: get(input).config, ETag: get(input).etag }),
      [`List${plural}`]: (input) => {
        const items = [...table.values()].filter(
          (item) => input['Type'] === undefined || (input['Type'] === 'managed') === item.managed,
        );
        const [slice, about] = page(items, input, (item) => item.id);
        return {
          [`${noun}List`]: {
            ...about,
            Items: slice.map((item) => ({ Type: item.managed ? 'managed' : 'custom', [noun]: view(item) })),
          },
        };
      },
      [`Update${noun}`]: (input) => {
        const item = write(change(input).id, input[`${noun}Config`] as Config);
        record(`Update${noun}`);
        return { [noun]: view(item), ETag: item.etag };
      },
      [`Delete${noun}`]: (input) => {
        const item = change(input);
        const used = [...state.distributions.values()].some((owner) =>
          behavioursOf(owner.config).some((behaviour) => kind.usedBy(behaviour, item.id)),
        );
        if (used) throw new ApiError(`${noun}InUse`, `The ${noun} is attached to a cache behaviour.`);
        table.delete(item.id);
        return {};
      },
    };
  }

  async function startDataPlane(store: StoredKeyValueStore): Promise<void> {
    const storage = memoryStorage();
    const api = await createKvsApi({
      storage,
      arn: store.arn,
      status: () => (store.pending > 0 ? 'PROVISIONING' : 'READY'),
    });
    dataPlanes.set(store.arn, { api, map: storage.map });
  }

  const handlers: Record<string, (input: Input) => Output | Promise<Output>> = {
    ...policyOperations({
      noun: 'CachePolicy',
      table: state.cachePolicies,
      nameOf: (config) => config.Name as string,
      check: () => undefined,
      usedBy: (behaviour, id) => behaviour.CachePolicyId === id,
    }),
    ...policyOperations({
      noun: 'OriginRequestPolicy',
      table: state.originRequestPolicies,
      nameOf: (config) => config.Name as string,
      check: (config) => {
        checkQuantity(config.HeadersConfig?.Headers);
        if ((config.HeadersConfig?.Headers?.Quantity ?? 0) > 10) {
          throw new ApiError('TooManyHeadersInOriginRequestPolicy', 'At most 10 headers per origin request policy.');
        }
      },
      usedBy: (behaviour, id) => behaviour.OriginRequestPolicyId === id,
    }),
    ...policyOperations({
      noun: 'ResponseHeadersPolicy',
      table: state.responseHeadersPolicies,
      nameOf: (config) => config.Name as string,
      check: () => undefined,
      usedBy: (behaviour, id) => behaviour.ResponseHeadersPolicyId === id,
    }),

    CreateDistribution(input) {
      const config = input['DistributionConfig'] as DistributionConfig;
      checkConfig(config);
      const item = storeDistribution(newId('E'), config, options.readsUntilDeployed ?? 2);
      record('CreateDistribution');
      return { Distribution: distributionView(item), ETag: item.etag, Location: item.id };
    },
    GetDistribution(input) {
      const item = distribution(input);
      const view = distributionView(item);
      if (item.pending > 0) item.pending -= 1;
      return { Distribution: view, ETag: item.etag };
    },
    GetDistributionConfig(input) {
      const item = distribution(input);
      return { DistributionConfig: item.config, ETag: item.etag };
    },
    UpdateDistribution(input) {
      const item = distribution(input);
      checkIfMatch(input, item.etag);
      const config = input['DistributionConfig'] as DistributionConfig;
      if (config.CallerReference !== item.config.CallerReference || config.Staging !== item.config.Staging) {
        throw new ApiError('IllegalUpdate', 'The update contains modifications that are not allowed.');
      }
      checkConfig(config);
      item.config = config;
      item.etag = newEtag();
      item.pending = options.readsUntilDeployed ?? 2;
      item.modified = now();
      record('UpdateDistribution');
      return { Distribution: distributionView(item), ETag: item.etag };
    },
    DeleteDistribution(input) {
      const item = distribution(input);
      checkIfMatch(input, item.etag);
      if (item.config.Enabled) throw new ApiError('DistributionNotDisabled', 'The distribution is enabled.');
      const usedByPolicy = [...state.continuousDeploymentPolicies.values()].some((policy) =>
        (policy.config.StagingDistributionDnsNames?.Items ?? []).includes(item.domainName),
      );
      if (item.config.Staging && usedByPolicy) {
        throw new ApiError('StagingDistributionInUse', 'A continuous deployment policy uses the staging distribution.');
      }
      state.distributions.delete(item.id);
      return {};
    },
    ListDistributions(input) {
      const [slice, about] = page([...state.distributions.values()], input, (item) => item.id);
      return {
        DistributionList: {
          ...about,
          Marker: input['Marker'] ?? '',
          IsTruncated: about['NextMarker'] !== undefined,
          Items: slice.map((item) => ({ ...item.config, ...distributionView(item), DistributionConfig: undefined })),
        },
      };
    },
    CopyDistribution(input) {
      const primary = found(
        state.distributions.get(String(input['PrimaryDistributionId'])),
        'NoSuchDistribution',
        'distribution',
      );
      checkIfMatch(input, primary.etag);
      const known = [...state.distributions.values()].find(
        (item) => item.config.CallerReference === input['CallerReference'],
      );
      if (known) throw new ApiError('DistributionAlreadyExists', 'The caller reference has been used already.');
      const item = storeDistribution(
        newId('E'),
        {
          ...primary.config,
          CallerReference: String(input['CallerReference']),
          Staging: true,
          Enabled: input['Enabled'] !== false,
          Aliases: { Quantity: 0 },
          ContinuousDeploymentPolicyId: '',
        },
        options.readsUntilDeployed ?? 2,
      );
      record('CopyDistribution');
      return { Distribution: distributionView(item), ETag: item.etag, Location: item.id };
    },

    async CreateKeyValueStore(input) {
      const name = String(input['Name']);
      if (state.stores.has(name)) throw new ApiError('EntityAlreadyExists', 'The key value store already exists.');
      const id = randomUUID();
      const store: StoredKeyValueStore = {
        name,
        id,
        arn: `arn:aws:cloudfront::${account}:key-value-store/${id}`,
        comment: String(input['Comment'] ?? ''),
        etag: newEtag(),
        pending: options.readsUntilReady ?? 2,
        modified: now(),
      };
      state.stores.set(name, store);
      await startDataPlane(store);
      return { KeyValueStore: storeView(store), ETag: store.etag, Location: store.id };
    },
    DescribeKeyValueStore(input) {
      const store = found(state.stores.get(String(input['Name'])), 'EntityNotFound', 'key value store');
      const view = storeView(store);
      if (store.pending > 0) store.pending -= 1;
      return { KeyValueStore: view, ETag: store.etag };
    },
    ListKeyValueStores(input) {
      const [slice, about] = page([...state.stores.values()], input, (item) => item.name);
      return { KeyValueStoreList: { ...about, Items: slice.map(storeView) } };
    },
    DeleteKeyValueStore(input) {
      const store = found(state.stores.get(String(input['Name'])), 'EntityNotFound', 'key value store');
      checkIfMatch(input, store.etag);
      const used = [...state.functions.values()].some((item) =>
        [item.development, item.live].some((stage) =>
          (stage?.config.KeyValueStoreAssociations?.Items ?? []).some((entry) => entry.KeyValueStoreARN === store.arn),
        ),
      );
      if (used)
        throw new ApiError('CannotDeleteEntityWhileInUse', 'A function is associated with the key value store.');
      state.stores.delete(store.name);
      return {};
    },

    CreateFunction(input) {
      const name = String(input['Name']);
      if (state.functions.has(name)) throw new ApiError('FunctionAlreadyExists', 'A function with this name exists.');
      const config = input['FunctionConfig'] as FunctionConfig;
      const code = input['FunctionCode'] as Uint8Array;
      checkFunction(config, code);
      const item: StoredFunction = {
        name,
        arn: `arn:aws:cloudfront::${account}:function/${name}`,
        created: now(),
        development: { config, code, etag: newEtag(), modified: now() },
        live: undefined,
      };
      state.functions.set(name, item);
      return { FunctionSummary: functionSummary(item, item.development), ETag: item.development.etag, Location: name };
    },
    UpdateFunction(input) {
      const item = storedFunction(input);
      checkIfMatch(input, item.development.etag);
      const config = input['FunctionConfig'] as FunctionConfig;
      const code = input['FunctionCode'] as Uint8Array;
      checkFunction(config, code);
      item.development = { config, code, etag: newEtag(), modified: now() };
      return { FunctionSummary: functionSummary(item, item.development), ETag: item.development.etag };
    },
    PublishFunction(input) {
      const item = storedFunction(input);
      checkIfMatch(input, item.development.etag);
      item.live = { ...item.development, etag: newEtag(), modified: now() };
      record('PublishFunction');
      return { FunctionSummary: functionSummary(item, item.live), ETag: item.development.etag };
    },
    DescribeFunction(input) {
      const stage = functionStage(input);
      return { FunctionSummary: functionSummary(storedFunction(input), stage), ETag: stage.etag };
    },
    GetFunction(input) {
      const stage = functionStage(input);
      return { FunctionCode: stage.code, ETag: stage.etag, ContentType: 'application/octet-stream' };
    },
    ListFunctions(input) {
      const live = input['Stage'] === 'LIVE';
      const items = [...state.functions.values()].filter((item) => !live || item.live);
      const [slice, about] = page(items, input, (item) => item.name);
      return {
        FunctionList: {
          ...about,
          Items: slice.map((item) =>
            functionSummary(item, live ? (item.live as FunctionStageRecord) : item.development),
          ),
        },
      };
    },
    DeleteFunction(input) {
      const item = storedFunction(input);
      checkIfMatch(input, item.development.etag);
      if (inUse(item.arn)) throw new ApiError('FunctionInUse', 'The function is associated with a cache behaviour.');
      state.functions.delete(item.name);
      return {};
    },
    async TestFunction(input) {
      const item = storedFunction(input);
      const stage = functionStage(input);
      checkIfMatch(input, stage.etag);
      const text = Buffer.from(input['EventObject'] as Uint8Array).toString('utf8');
      let event: unknown;
      try {
        event = JSON.parse(text);
      } catch {
        throw new ApiError('InvalidArgument', 'The event object is not valid JSON.');
      }
      const arn = stage.config.KeyValueStoreAssociations?.Items?.[0]?.KeyValueStoreARN;
      const run = await options.runFunction({
        code: Buffer.from(stage.code).toString('utf8'),
        event,
        pairs: (arn === undefined ? undefined : dataPlanes.get(arn)?.map) ?? new Map<string, string>(),
      });
      return {
        TestResult: {
          FunctionSummary: functionSummary(item, stage),
          ComputeUtilization: String(Math.round(run.utilization)),
          FunctionExecutionLogs: [...run.logs],
          FunctionErrorMessage: run.error ?? '',
          FunctionOutput: run.output === undefined ? '' : JSON.stringify(run.output),
        },
      };
    },

    CreateContinuousDeploymentPolicy(input) {
      const config = input['ContinuousDeploymentPolicyConfig'] as State['continuousDeploymentPolicies'] extends Map<
        string,
        StoredPolicy<infer Config>
      >
        ? Config
        : never;
      checkContinuousDeployment(config);
      const item = { id: randomUUID(), managed: false, config, etag: newEtag(), modified: now() };
      state.continuousDeploymentPolicies.set(item.id, item);
      return { ContinuousDeploymentPolicy: continuousView(item), ETag: item.etag, Location: item.id };
    },
    GetContinuousDeploymentPolicy(input) {
      const item = continuousPolicy(input);
      return { ContinuousDeploymentPolicy: continuousView(item), ETag: item.etag };
    },
    UpdateContinuousDeploymentPolicy(input) {
      const item = continuousPolicy(input);
      checkIfMatch(input, item.etag);
      const config = input['ContinuousDeploymentPolicyConfig'] as typeof item.config;
      checkContinuousDeployment(config);
      item.config = config;
      item.etag = newEtag();
      return { ContinuousDeploymentPolicy: continuousView(item), ETag: item.etag };
    },
    DeleteContinuousDeploymentPolicy(input) {
      const item = continuousPolicy(input);
      checkIfMatch(input, item.etag);
      const used = [...state.distributions.values()].some(
        (owner) => owner.config.ContinuousDeploymentPolicyId === item.id,
      );
      if (used) throw new ApiError('ContinuousDeploymentPolicyInUse', 'The policy is attached to a distribution.');
      state.continuousDeploymentPolicies.delete(item.id);
      return {};
    },
    ListContinuousDeploymentPolicies(input) {
      const [slice, about] = page([...state.continuousDeploymentPolicies.values()], input, (item) => item.id);
      return {
        ContinuousDeploymentPolicyList: {
          ...about,
          Items: slice.map((item) => ({ ContinuousDeploymentPolicy: continuousView(item) })),
        },
      };
    },

    TagResource(input) {
      const item = [...state.distributions.values()].find((entry) => entry.arn === input['Resource']);
      const tags = (input['Tags'] as { Items?: { Key: string; Value?: string }[] }).Items ?? [];
      for (const tag of tags) item?.tags.set(tag.Key, tag.Value ?? '');
      return {};
    },
    ListTagsForResource(input) {
      const item = [...state.distributions.values()].find((entry) => entry.arn === input['Resource']);
      return { Tags: { Items: [...(item?.tags ?? [])].map(([Key, Value]) => ({ Key, Value })) } };
    },
  };

  type ContinuousPolicy = State['continuousDeploymentPolicies'] extends Map<string, infer Item> ? Item : never;

  function continuousPolicy(input: Input): ContinuousPolicy {
    return found(
      state.continuousDeploymentPolicies.get(String(input['Id'])),
      'NoSuchContinuousDeploymentPolicy',
      'continuous deployment policy',
    );
  }

  function continuousView(item: ContinuousPolicy): Output {
    return { Id: item.id, LastModifiedTime: item.modified, ContinuousDeploymentPolicyConfig: item.config };
  }

  function checkContinuousDeployment(config: ContinuousPolicy['config']): void {
    checkQuantity(config.StagingDistributionDnsNames);
    const weight = config.TrafficConfig?.SingleWeightConfig?.Weight;
    if (weight !== undefined && (weight < 0 || weight > 0.15)) {
      throw new ApiError('InvalidArgument', 'The weight must be between 0 and 0.15.');
    }
    const header = config.TrafficConfig?.SingleHeaderConfig?.Header;
    if (header !== undefined && !header.toLowerCase().startsWith('aws-cf-cd-')) {
      throw new ApiError('InvalidArgument', 'The header must begin with aws-cf-cd-.');
    }
    for (const name of config.StagingDistributionDnsNames?.Items ?? []) {
      const staging = [...state.distributions.values()].find((item) => item.domainName === name && item.config.Staging);
      if (!staging) throw new ApiError('InvalidArgument', 'The staging distribution does not exist.');
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (url.pathname.startsWith('/key-value-stores/')) return forward(request, response, url, body);

    const route = routeOf(request.method ?? 'GET', url);
    if (!route) throw new ApiError('UnsupportedOperation', `${request.method} ${url.pathname} is not an operation.`);
    const { operation, labels } = route;
    calls.push(operation.name);
    if (!(request.headers.authorization ?? '').startsWith('AWS4-HMAC-SHA256 ')) {
      throw new ApiError('AccessDenied', 'The request is not signed with Signature Version 4.');
    }
    const fault = double.faults?.({ operation: operation.name, call: calls.length });
    if (fault?.kind === 'throttle') throw new ApiError('Throttling', 'Rate exceeded');
    if (fault?.kind === 'error') throw new ApiError(fault.code, fault.message ?? `Injected ${fault.code}`);
    if (fault?.kind === 'drop' && fault.when === 'before') return void request.socket.destroy();
    const handler = handlers[operation.name];
    if (!handler) throw new ApiError('UnsupportedOperation', `The double does not do ${operation.name}.`);
    const headers = new Headers(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]),
    );
    const output = await handler(operation.read(labels, url.searchParams, headers, body));
    if (fault?.kind === 'drop') return void request.socket.destroy();
    const written = operation.write(output);
    if (operation.name === 'GetDistributionConfig') {
      const foreign = double.foreignXml.get(labels['Id'] ?? '');
      if (foreign !== undefined) {
        written.body = String(written.body).replace('</DistributionConfig>', `${foreign}</DistributionConfig>`);
      }
    }
    response.writeHead(operation.status, {
      ...written.headers,
      'x-amzn-requestid': randomUUID(),
      'content-length': Buffer.byteLength(written.body),
    });
    response.end(written.body);
  }

  function routeOf(method: string, url: URL): { operation: Operation; labels: Record<string, string> } | undefined {
    const path = url.pathname;
    for (const operation of operations) {
      if (operation.method !== method) continue;
      const labels = operation.match(path, url.searchParams);
      if (labels) return { operation, labels };
    }
    return undefined;
  }

  /** The data plane: handed on to the store's own server. */
  async function forward(request: IncomingMessage, response: ServerResponse, url: URL, body: Buffer): Promise<void> {
    const arn = decodeURIComponent(url.pathname.split('/')[2] ?? '');
    calls.push(`KeyValueStore ${request.method}`);
    const fault = double.faults?.({ operation: `KeyValueStore ${request.method}`, call: calls.length });
    if (fault && !(fault.kind === 'drop' && fault.when === 'after')) {
      if (fault.kind === 'drop') return void request.socket.destroy();
      const code = fault.kind === 'throttle' ? 'ThrottlingException' : 'InternalServerException';
      response.writeHead(fault.kind === 'throttle' ? 429 : 500, { 'x-amzn-errortype': code });
      response.end(JSON.stringify({ Message: 'Injected' }));
      return;
    }
    const plane = dataPlanes.get(arn);
    if (!plane) {
      response.writeHead(404, { 'x-amzn-errortype': 'ResourceNotFoundException', 'content-type': 'application/json' });
      response.end(JSON.stringify({ Message: `Key value store ${arn} does not exist` }));
      return;
    }
    const headers: Record<string, string> = {};
    for (const name of ['authorization', 'if-match', 'content-type']) {
      const value = request.headers[name];
      if (typeof value === 'string') headers[name] = value;
    }
    const reply = await fetch(`${plane.api.endpoint}${url.pathname}${url.search}`, {
      method: request.method ?? 'GET',
      headers,
      ...(body.length > 0 ? { body: new Uint8Array(body) } : {}),
    });
    const text = await reply.text();
    if (fault) return void request.socket.destroy();
    const passed: Record<string, string> = { 'content-length': String(Buffer.byteLength(text)) };
    for (const name of ['etag', 'content-type', 'x-amzn-errortype', 'x-amzn-requestid']) {
      const value = reply.headers.get(name);
      if (value !== null) passed[name] = value;
    }
    response.writeHead(reply.status, passed);
    response.end(text);
  }

  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const code = error instanceof ApiError ? error.code : 'InternalError';
      const status = error instanceof ApiError ? (code === 'Throttling' ? 429 : errorStatus(code)) : 500;
      const text = errorXml(code, error instanceof Error ? error.message : String(error), randomUUID());
      response.writeHead(status, { 'content-type': 'text/xml', 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });

  const policyEntry = <Config>(id: string, config: Config): StoredPolicy<Config> => ({
    id,
    managed: false,
    config,
    etag: newEtag(),
    modified: now(),
  });

  const double: CloudFrontDouble = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state,
    calls,
    faults: options.faults,
    foreignXml: new Map(),
    addDistribution(id, config) {
      checkConfig(config);
      const item = storeDistribution(id, config, 0);
      record('seed');
      return item;
    },
    addFunction(name, code) {
      const stage: FunctionStageRecord = {
        config: { Comment: '', Runtime: 'cloudfront-js-2.0' },
        code: Buffer.from(code),
        etag: newEtag(),
        modified: now(),
      };
      const item: StoredFunction = {
        name,
        arn: `arn:aws:cloudfront::${account}:function/${name}`,
        created: now(),
        development: stage,
        live: { ...stage, etag: newEtag() },
      };
      state.functions.set(name, item);
      return item;
    },
    addOriginRequestPolicy(id, config) {
      state.originRequestPolicies.set(id, policyEntry(id, config));
    },
    addCachePolicy(id, config) {
      state.cachePolicies.set(id, policyEntry(id, config));
    },
    distributionXml(id) {
      return writeXml(
        'DistributionConfig',
        found(state.distributions.get(id), 'NoSuchDistribution', 'distribution').config,
      );
    },
    pairs(arn) {
      return found(dataPlanes.get(arn), 'EntityNotFound', 'key value store').map;
    },
    async close() {
      await Promise.all([...dataPlanes.values()].map((plane) => plane.api.close()));
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
    },
  };
  return double;
}
