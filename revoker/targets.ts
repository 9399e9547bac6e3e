import { createHmac, randomUUID } from 'node:crypto';
import type { IvsClient } from '@aws-sdk/client-ivs';
import { RevokerError } from './errors.js';
import type { LedgerEntry } from './ledger/entry.js';
import type { Job } from './ledger/ledger.js';
import { projectToStore, type ProjectionOptions } from './store/projection.js';
import type { KeyValueStore, StoreDescription } from './store/key-value-store.js';

/** What one job asks of a target. `entries` are the job's entries as the ledger has them now. */
export interface TargetTask {
  readonly job: Job;
  readonly entries: readonly LedgerEntry[];
  /** True where something may have to be removed, or an earlier attempt may have been cut short. */
  readonly compare: boolean;
  readonly onProgress?: (count: number) => void;
}

/** A place that revocations are projected to. Applying a task twice does no harm. */
export interface Target {
  readonly name: string;
  readonly kind: 'store' | 'ivs' | 'webhook' | 'network-blocker';
  /** Whether the target needs the job's single entries, not only its buckets. */
  readonly needsEntries: boolean;
  apply(task: TargetTask): Promise<TargetAnswer>;
}

export interface TargetAnswer {
  /** Of a store: what it holds now. */
  readonly store?: StoreDescription;
}

/** A KeyValueStore as a target. */
export function storeTarget(
  store: KeyValueStore,
  options: ProjectionOptions,
): Target & { readonly store: KeyValueStore } {
  return {
    name: store.name,
    kind: 'store',
    needsEntries: false,
    store,
    async apply({ job, compare, onProgress }) {
      const result = await projectToStore(
        store,
        { buckets: job.buckets, keys: job.keys, compare, ...(onProgress ? { onProgress } : {}) },
        options,
      );
      return { store: result.store };
    },
  };
}

/**
 * Amazon IVS: a revoked subject's playback sessions are ended with `StartViewerSessionRevocation`. Our signer gives an
 * IVS token the subject as `aws:viewer-id` and the moment of issue (epoch seconds) as `aws:viewer-session-version`, so
 * a cut-off moment is a version: every session of a token issued up to it ends. IVS knows no other scope, and no way
 * back: what is lifted here simply no longer refuses new tokens.
 */
export function ivsTarget(options: {
  readonly client: IvsClient;
  readonly channelArn: string;
  readonly name?: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): Target {
  const { client, channelArn } = options;
  const now = options.now ?? Date.now;
  return {
    name: options.name ?? `ivs:${channelArn.slice(channelArn.lastIndexOf('/') + 1)}`,
    kind: 'ivs',
    needsEntries: true,
    async apply({ entries }) {
      const { StartViewerSessionRevocationCommand } = await import('@aws-sdk/client-ivs');
      for (const entry of entries) {
        if (entry.scope !== 'subject' || entry.state !== 'active') continue;
        await client.send(
          new StartViewerSessionRevocationCommand({
            channelArn,
            viewerId: entry.id,
            viewerSessionVersionsLessThanOrEqualTo: Math.floor(entry.cutoff ?? now() / 1000),
          }),
        );
      }
      return {};
    },
  };
}

/** What a webhook's receiver gets for each entry. Times are epoch seconds. */
export interface WebhookBody {
  /** The same when a delivery is repeated. */
  readonly id: string;
  readonly action: 'revoke' | 'lift';
  readonly scope: string;
  readonly entry: string;
  readonly at: number;
  readonly until?: number;
  readonly cutoff?: number;
}

/** Header of a webhook's signature: `t=<epoch seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`. */
export const webhookSignatureHeader = 'x-portcullis-signature';

/** The signature header's value. */
export function signWebhook(body: string, secret: string, at: number): string {
  const time = Math.floor(at);
  return `t=${time},v1=${createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')}`;
}

/**
 * A signed webhook, for other CDNs and DRM proxies: one POST of at most 500 entries, `{"entries":[…]}`. An answer other
 * than 2xx is tried again later by the reconciler. Reasons and evidence stay in the ledger.
 */
export function webhookTarget(options: {
  readonly name: string;
  readonly url: string;
  readonly secret: string;
  readonly timeoutMilliseconds?: number;
  readonly fetch?: typeof fetch;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}): Target {
  const send = options.fetch ?? fetch;
  const now = options.now ?? Date.now;
  return {
    name: options.name,
    kind: 'webhook',
    needsEntries: true,
    async apply({ entries }) {
      for (let i = 0; i < entries.length; i += 500) {
        const body = JSON.stringify({ entries: entries.slice(i, i + 500).map(webhookBody) });
        const answer = await send(options.url, {
          method: 'POST',
          redirect: 'error',
          headers: {
            'content-type': 'application/json',
            'x-portcullis-delivery': randomUUID(),
            [webhookSignatureHeader]: signWebhook(body, options.secret, now() / 1000),
          },
          body,
          signal: AbortSignal.timeout(options.timeoutMilliseconds ?? 10_000),
        });
        await answer.body?.cancel();
        if (!answer.ok) {
          throw new RevokerError('target_failed', `Webhook ${options.name} answered ${answer.status}.`);
        }
      }
      return {};
    },
  };
}

function webhookBody(entry: LedgerEntry): WebhookBody {
  return {
    id: `${entry.scope}:${entry.id}:${entry.version}`,
    action: entry.state === 'active' ? 'revoke' : 'lift',
    scope: entry.scope,
    entry: entry.id,
    at: entry.at,
    ...(entry.until === undefined ? {} : { until: entry.until }),
    ...(entry.cutoff === undefined ? {} : { cutoff: entry.cutoff }),
  };
}

/** What blocks networks and autonomous systems, such as the WAF's IP sets. All calls may be repeated. */
export interface NetworkBlocker {
  block(
    networks: readonly { readonly cidr: string; readonly until?: number; readonly reason: string }[],
  ): Promise<void>;
  unblock(cidrs: readonly string[]): Promise<void>;
  blockAsn(asns: readonly number[]): Promise<void>;
  unblockAsn(asns: readonly number[]): Promise<void>;
}

/** Carries revocations of scope `network` and `asn` to a blocker. */
export function networkTarget(blocker: NetworkBlocker, name = 'waf'): Target {
  return {
    name,
    kind: 'network-blocker',
    needsEntries: true,
    async apply({ entries }) {
      const of = (scope: string, active: boolean): LedgerEntry[] =>
        entries.filter((entry) => entry.scope === scope && (entry.state === 'active') === active);
      const networks = of('network', true).map(({ id, until, reason }) => ({
        cidr: id,
        reason,
        ...(until === undefined ? {} : { until }),
      }));
      if (networks.length > 0) await blocker.block(networks);
      const lifted = of('network', false).map((entry) => entry.id);
      if (lifted.length > 0) await blocker.unblock(lifted);
      const asns = of('asn', true).map((entry) => Number(entry.id));
      if (asns.length > 0) await blocker.blockAsn(asns);
      const liftedAsns = of('asn', false).map((entry) => Number(entry.id));
      if (liftedAsns.length > 0) await blocker.unblockAsn(liftedAsns);
      return {};
    },
  };
}
