// The local edge: CloudFront's place taken on one machine. It hosts the compiled functions in workerd around a small
// origin, with the KeyValueStore API, DynamoDB and the vending service beside it. Nothing imports this but the command
// line and tests.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Placement } from '@portcullis/tokens';
import { openLineLog } from './access-log.js';
import type { Behavior } from './behaviors.js';
import { openDemoKeys } from './demo-keys.js';
import { createFirewall } from './firewall.js';
import { startFront } from './front.js';
import { createFunctionsHost, type FunctionsHost } from './functions-host.js';
import { createKvsApi, type KvsFaults } from './kvs-api.js';
import type { StartSettings } from '../../edge/handlers/start.js';
import { contentBehavior, type ContentLambdas } from './lambda-content.js';
import { createLocalStart } from './lambda-start.js';
import { startLedger } from './ledger.js';
import { startOrigin } from './origin.js';
import { projectFolder } from './project.js';
import { startSite } from './site.js';
import { createAssetVending, createDemoVending, defaultPlacements } from './vending.js';
import { createWafApi } from './wafv2-api.js';
import { defaultViewer, type SimulatedViewer, type ViewerHeaderPolicy } from './viewer.js';

export { defaultViewer, readViewer, readViewerHeaderPolicy, ViewerSyntaxError } from './viewer.js';
export type { SimulatedViewer, ViewerHeaderPolicy } from './viewer.js';
export type { Behavior } from './behaviors.js';
export { FunctionSourceError } from './worker.js';

export interface LocalEdgeOptions {
  /** Folder of the compiled functions. Default `dist/functions` of the project. */
  readonly functionsFolder?: string;
  /** Port of the edge; 0 or absent: any free one. */
  readonly port?: number;
  /** Folder that keeps state from one start to the next; absent: memory, and a temporary folder for the logs. */
  readonly stateFolder?: string;
  /** The viewer that every request comes from, unless its `x-sim-viewer` says otherwise. */
  readonly viewer?: SimulatedViewer;
  /** Which of CloudFront's own headers the guarded behaviours' policies list. Default `all`. */
  readonly viewerHeaders?: ViewerHeaderPolicy;
  /** Which request viewer-response is shown. Default `original`, as AWS documents. */
  readonly viewerResponseRequest?: 'original' | 'modified';
  /** Path patterns that have the functions attached. Default `['*']`. Others are served unguarded, as on CloudFront. */
  readonly guard?: readonly string[];
  /** Base URL of an origin to use instead of the demo stream. */
  readonly origin?: string;
  /** `iss` of the tokens that the demo vends. */
  readonly issuer?: string;
  /** Where the functions look for tokens: what the demo vends. The first is the vending service's. */
  readonly placements?: readonly Placement[];
  /** Formats that the functions read, which the page offers. Default: both. */
  readonly formats?: readonly ('cat' | 'jwt')[];
  /** Whether the functions renew tokens (`catr` compiled in): the page offers it or says what it takes. Default true. */
  readonly renewal?: boolean;
  /** Lambda@Edge on the start path: public-key tokens are exchanged there for session tokens. */
  readonly start?: StartSettings;
  /** Lambda@Edge on the guarded patterns. */
  readonly lambdas?: ContentLambdas;
  /** Behaviours before all others, for tests. */
  readonly behaviors?: readonly Behavior[];
  /** Faults of the KeyValueStore API, for tests. */
  readonly kvsFaults?: KvsFaults;
  readonly now?: () => number;
}

export interface LocalEdgeAddresses {
  readonly page: string;
  readonly edge: string;
  readonly origin: string;
  readonly site: string;
  readonly vend: string;
  readonly kvs: { readonly endpoint: string; readonly arn: string };
  readonly dynamodb: { readonly endpoint: string; readonly tablePrefix: string };
  readonly waf: { readonly endpoint: string };
  /** Folder of the signing keys' secrets. */
  readonly secrets: string;
  /** Where the functions look for tokens. */
  readonly placements: readonly Placement[];
  /** Who every request comes from, unless its `x-sim-viewer` says otherwise. */
  readonly viewer: SimulatedViewer;
  readonly accessLog: string;
  readonly functionLog: string;
  readonly pid: number;
}

export interface LocalEdge {
  readonly addresses: LocalEdgeAddresses;
  /** The function host, for tests that look into the store that the function reads. */
  readonly functions: FunctionsHost;
  /** Ends everything; may be called twice. */
  close(): Promise<void>;
}

export const localKvsArn = 'arn:aws:cloudfront::000000000000:key-value-store/00000000-0000-4000-8000-000000000001';

/**
 * Starts the local edge and everything around it.
 *
 * @throws Error when the port is taken, or the compiled functions are missing or do not start.
 * @example
 * const edge = await startLocalEdge({ port: 0 });
 * console.log(edge.addresses.page);
 * await edge.close();
 */
export async function startLocalEdge(options: LocalEdgeOptions = {}): Promise<LocalEdge> {
  const project = projectFolder();
  const here = join(project, 'scripts/local-edge');
  const now = options.now ?? Date.now;
  const closers: (() => Promise<unknown>)[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      for (const closer of closers.reverse()) await closer().catch(() => undefined);
    })());

  try {
    const kept = options.stateFolder === undefined ? undefined : resolve(options.stateFolder);
    if (kept !== undefined) await mkdir(kept, { recursive: true });
    const logFolder = kept ?? (await mkdtemp(join(tmpdir(), 'portcullis-')));
    if (kept === undefined) closers.push(() => rm(logFolder, { recursive: true, force: true }));
    const accessLogFile = join(logFolder, 'access.log');
    const functionLogFile = join(logFolder, 'function.log');
    const accessLog = await openLineLog(accessLogFile);
    closers.push(() => accessLog.close());
    const functionLog = await openLineLog(functionLogFile);
    closers.push(() => functionLog.close());

    const functions = await createFunctionsHost({
      functionsFolder: options.functionsFolder ?? join(project, 'dist/functions'),
      kvsFolder: kept && join(kept, 'kvs'),
    });
    closers.push(() => functions.close());
    const kvs = await createKvsApi({
      storage: functions.storage,
      arn: localKvsArn,
      ...(options.kvsFaults ? { faults: options.kvsFaults } : {}),
    });
    closers.push(() => kvs.close());
    const ledger = await startLedger(kept && join(kept, 'dynamodb'));
    closers.push(() => ledger.close());

    const waf = await createWafApi(kept === undefined ? {} : { file: join(kept, 'waf.json') });
    closers.push(() => waf.close());

    const dynamodb = { endpoint: ledger.url, tablePrefix: 'portcullis-' };
    const secretsFolder = join(logFolder, 'secrets');
    const keys = await openDemoKeys({ kvs, dynamodb, secretsFolder, now });
    closers.push(() => Promise.resolve(keys.close()));

    const origin = await startOrigin({ streamFolder: join(here, 'stream'), now });
    closers.push(() => origin.close());
    const originUrl = options.origin ?? origin.url;
    const { issuer = 'demo', placements = defaultPlacements, formats = ['cat', 'jwt'], renewal = true } = options;
    let edgeUrl = '';
    const start =
      options.start &&
      (await createLocalStart({
        settings: options.start,
        readSecret: ({ secret }) => keys.readSecret(secret),
        dynamodb,
        log: functionLog,
        now,
      }));
    if (start && options.start) {
      for (const kid of options.start.config.kids) await keys.ensureKey(kid);
      await functions.storage.put(start.record.key, start.record.value);
    }
    const site = await startSite({
      pageFolder: join(here, 'page'),
      vend: createDemoVending(keys, issuer, placements, start),
      vending: createAssetVending(keys, issuer, placements, () => edgeUrl),
      pageConfig: () => ({
        edge: edgeUrl,
        placements: placements.map(({ kind }) => kind),
        formats,
        renewal,
        start: start?.path,
      }),
    });
    closers.push(() => site.close());

    const { viewer = defaultViewer, viewerHeaders = 'all' } = options;
    const guarded = (options.guard ?? ['*']).map((pattern): Behavior => ({
      pattern,
      origin: 'media',
      ...contentBehavior(options.lambdas ?? {}, {
        readSecret: ({ secret }) => keys.readSecret(secret),
        log: functionLog,
        now,
      }),
      viewerHeaders,
    }));
    const front = await startFront({
      port: options.port ?? 0,
      functions,
      behaviors: [
        ...(options.behaviors ?? []),
        { pattern: '/demo/*', origin: 'site', guarded: false, viewerHeaders: 'none', firewall: false },
        ...(start ? [start.behavior({ origin: 'media', viewerHeaders })] : []),
        ...guarded,
        { pattern: '*', origin: 'media', guarded: false, viewerHeaders },
      ],
      origins: { site: site.url, media: originUrl },
      viewer,
      firewall: createFirewall(waf),
      viewerResponseRequest: options.viewerResponseRequest ?? 'original',
      accessLog,
      functionLog,
      now,
    });
    closers.push(() => front.close());
    edgeUrl = front.url;
    return {
      addresses: {
        page: `${front.url}/demo/`,
        edge: front.url,
        origin: originUrl,
        site: site.url,
        vend: `${site.url}/vend`,
        kvs: { endpoint: kvs.endpoint, arn: kvs.arn },
        dynamodb,
        waf: { endpoint: waf.endpoint },
        secrets: secretsFolder,
        placements,
        viewer,
        accessLog: accessLogFile,
        functionLog: functionLogFile,
        pid: process.pid,
      },
      functions,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
