import {
  CreateIPSetCommand,
  CreateRuleGroupCommand,
  GetIPSetCommand,
  GetRuleGroupCommand,
  ListIPSetsCommand,
  ListRuleGroupsCommand,
  UpdateIPSetCommand,
  UpdateRuleGroupCommand,
  type IPSetSummary,
  type WAFV2Client,
} from '@aws-sdk/client-wafv2';
import { isDue, type AddressRecord, type AddressRecordStore } from './address-records.js';
import {
  mergeRanges,
  overlaps,
  parseRange,
  reservedRanges,
  subtractRanges,
  toCidrs,
  type AddressFamily,
  type AddressRange,
} from './addresses.js';
import { blockedBody, blockedGroupRules } from './blocked-group.js';
import { sameJson } from './canonical.js';
import { WafRulesError } from './errors.js';
import { ipSetLimits, statementLimits } from './limits.js';
import { blockedGroupName } from './presets.js';
import { isDuplicate, isLimit, isLockConflict, isMissing, patiently, realPatience, type Patience } from './retry.js';

/** An address or range to block. */
export interface BlockRequest {
  /** An address or CIDR range, IPv4 or IPv6. */
  readonly address: string;
  /** Epoch seconds; absent: until it is removed. */
  readonly until?: number;
  readonly why?: string;
  /** Block it although it is private, set apart for documentation, allow-listed or very wide. Never `/0`. */
  readonly force?: boolean;
}

/** A network to block, by its number. */
export interface NetworkBlockRequest {
  readonly asn: number;
  readonly until?: number;
  readonly why?: string;
  readonly force?: boolean;
}

export type RefusalReason =
  'invalid' | 'whole_internet' | 'private' | 'documentation' | 'special' | 'allow_listed' | 'too_wide' | 'already_over';

/** A request that was not carried out, and why. */
export interface Refusal {
  readonly address: string;
  readonly reason: RefusalReason;
  readonly message: string;
}

/** What an operation did. */
export interface BlockOutcome {
  /** Canonical ranges, or `AS…`, that are blocked (or no longer) through this call. */
  readonly done: readonly string[];
  readonly refused: readonly Refusal[];
  /** Updates sent to WAF by the flush that carried this call; other calls may have shared it. */
  readonly updates: number;
}

/** How things stand. */
export interface BlockStatus {
  readonly records: readonly AddressRecord[];
  readonly sets: readonly { readonly name: string; readonly ranges: number }[];
  /** Recorded, not due, and not in any set: a {@link AddressBlocker.reconcile} brings them in. */
  readonly missing: readonly string[];
  /** In a set without a record: put there by hand. Never removed by expiry. */
  readonly unrecorded: readonly string[];
}

/** Blocks addresses and networks at WAF. Every method may be called at any time, from any number of processes. */
export interface AddressBlocker {
  add(requests: readonly BlockRequest[]): Promise<BlockOutcome>;
  addNetworks(requests: readonly NetworkBlockRequest[]): Promise<BlockOutcome>;
  /** Unblocks ranges and networks (`AS64500`) now. */
  remove(keys: readonly string[]): Promise<BlockOutcome>;
  /** Unblocks what is due at `now` (epoch seconds), and nothing else. */
  expire(now: number): Promise<BlockOutcome>;
  /** Brings the sets in line with the records: after a crash, or when a set was emptied by hand. */
  reconcile(): Promise<BlockOutcome>;
  status(): Promise<BlockStatus>;
}

export interface AddressBlockerOptions {
  readonly client: Pick<WAFV2Client, 'send'>;
  readonly scope?: 'CLOUDFRONT' | 'REGIONAL';
  /** The name of the web ACL: sets are `<prefix>-blocked-v4-1`, the group `<prefix>-blocked`. */
  readonly prefix: string;
  /** Where blocked addresses are remembered with their ends. */
  readonly records: AddressRecordStore;
  /** Ranges never blocked unless forced: offices, probes, partner CDNs. */
  readonly allow?: readonly string[];
  readonly allowAsns?: readonly number[];
  /** Ranges and numbers set apart for documentation: `block` for a loopback service, whose viewers have no others. */
  readonly documentation?: 'refuse' | 'block';
  /** Narrowest prefixes that pass without force. Default 16 for IPv4, 32 for IPv6. */
  readonly widest?: { readonly v4: number; readonly v6: number };
  /** Capacity of the group where it has to be made. Default 25. */
  readonly groupCapacity?: number;
  /** Entries per set; only tests need another figure than AWS's 10,000. */
  readonly setSize?: number;
  readonly cors?: false | { readonly origin: string };
  /** Epoch seconds. */
  readonly now?: () => number;
  readonly patience?: Patience;
}

interface Shard {
  readonly name: string;
  readonly number: number;
  readonly family: AddressFamily;
  readonly id: string;
  readonly arn: string;
  lock: string;
  ranges: readonly AddressRange[];
}

interface FlushResult {
  readonly updates: number;
  readonly expired: readonly string[];
}

/** The address ranges of records, merged; networks left out. */
const rangesOf = (list: readonly AddressRecord[]): AddressRange[] =>
  mergeRanges(list.filter((each) => asnOf(each.key) === undefined).map((each) => parseRange(each.key)));

const asnKey = (asn: number): string => `AS${asn}`;
const asnOf = (key: string): number | undefined => (/^AS\d+$/.test(key) ? Number(key.slice(2)) : undefined);

/**
 * Makes an updater for the address sets of a rule set.
 *
 * How it stays right among many writers: a call first writes its records, then projects all records onto the sets. The
 * sets' lock tokens are taken before the records are read, so whoever writes a set last has read every record whose
 * writer finished before; a writer whose token went stale starts again. What stands in a set without a record is left
 * alone.
 *
 * @example
 * const blocker = createAddressBlocker({ client, prefix: 'portcullis', records: createFileRecords(path) });
 * await blocker.add([{ address: '203.0.113.9', until: now + 3600, why: 're-stream of ch1' }]);
 */
export function createAddressBlocker(options: AddressBlockerOptions): AddressBlocker {
  const { client, records } = options;
  const Scope = options.scope ?? 'CLOUDFRONT';
  const patience = { tries: 40, ...(options.patience ?? realPatience) };
  const clock = options.now ?? (() => Math.floor(Date.now() / 1000));
  const setSize = options.setSize ?? ipSetLimits.addresses;
  const widest = options.widest ?? { v4: 16, v6: 32 };
  const allowed = mergeRanges((options.allow ?? []).map(parseRange));
  const allowedAsns = new Set(options.allowAsns ?? []);
  const groupName = blockedGroupName(options.prefix);
  const setName = (family: AddressFamily, number: number): string => `${groupName}-v${family}-${number}`;
  /** Contents by lock token: a set whose token is unchanged need not be fetched again. */
  const contents = new Map<string, { lock: string; ranges: readonly AddressRange[] }>();

  async function listShards(): Promise<Shard[]> {
    const pattern = new RegExp(`^${groupName}-v([46])-([0-9]+)$`);
    const shards: Shard[] = [];
    let NextMarker: string | undefined;
    do {
      const page = await patiently('ListIPSets', patience, () =>
        client.send(new ListIPSetsCommand({ Scope, Limit: 100, ...(NextMarker ? { NextMarker } : {}) })),
      );
      for (const summary of page.IPSets ?? []) {
        const match = pattern.exec(summary.Name ?? '');
        if (match) shards.push(await readShard(summary, Number(match[1]) as AddressFamily, Number(match[2])));
      }
      NextMarker = page.NextMarker;
    } while (NextMarker !== undefined && NextMarker !== '');
    return shards.sort((a, b) => a.family - b.family || a.number - b.number);
  }

  async function readShard(summary: IPSetSummary, family: AddressFamily, number: number): Promise<Shard> {
    const { Name = '', Id = '', ARN = '', LockToken = '' } = summary;
    const shard = { name: Name, number, family, id: Id, arn: ARN };
    const known = contents.get(Id);
    if (known && known.lock === LockToken) return { ...shard, ...known };
    const found = await patiently('GetIPSet', patience, () => client.send(new GetIPSetCommand({ Scope, Name, Id })));
    const read = {
      lock: found.LockToken ?? '',
      ranges: mergeRanges((found.IPSet?.Addresses ?? []).map(parseRange)),
    };
    contents.set(Id, read);
    return { ...shard, ...read };
  }

  async function writeShard(shard: Shard, ranges: readonly AddressRange[]): Promise<void> {
    const answer = await patiently('UpdateIPSet', patience, () =>
      client.send(
        new UpdateIPSetCommand({
          Scope,
          Name: shard.name,
          Id: shard.id,
          LockToken: shard.lock,
          Description: 'Portcullis: addresses cut off by revocation',
          Addresses: ranges.flatMap(toCidrs),
        }),
      ),
    );
    contents.set(shard.id, { lock: answer.NextLockToken ?? '', ranges });
  }

  async function createShard(family: AddressFamily, number: number, blocks: readonly string[]): Promise<void> {
    const Name = setName(family, number);
    try {
      await patiently('CreateIPSet', patience, () =>
        client.send(
          new CreateIPSetCommand({
            Scope,
            Name,
            Description: 'Portcullis: addresses cut off by revocation',
            IPAddressVersion: family === 4 ? 'IPV4' : 'IPV6',
            Addresses: [...blocks],
          }),
        ),
      );
    } catch (error) {
      if (!isLimit(error)) throw error;
      throw new WafRulesError(
        'limit_exceeded',
        `No room for the set ${Name}: the account's quota of IP sets is used up. Raise it (100 by default); the ` +
          'addresses are recorded and go in with the next flush.',
        { set: Name },
        { cause: error },
      );
    }
  }

  /** One pass from records to sets. Throws a lock conflict when somebody else wrote a set meanwhile. */
  async function project(now: number, removeDue: boolean): Promise<FlushResult & { removed: readonly AddressRange[] }> {
    const shards = await listShards();
    // After the lock tokens, never before: see above.
    const known = await records.all();
    const blocked = known.filter((each) => isBlocked(each, now));
    const live = rangesOf(blocked);
    const due = removeDue ? known.filter((each) => isDue(each, now)) : [];
    const removed = subtractRanges(rangesOf(due), live);
    let updates = 0;
    for (const family of [4, 6] as const) {
      const own = shards.filter((shard) => shard.family === family);
      const kept: (readonly AddressRange[])[] = [];
      for (const shard of own) {
        // What an earlier set holds is taken out of a later one: two writers may have found room in different sets.
        const gone = mergeRanges([...removed, ...kept.flat()]);
        kept.push(gone.length > 0 ? subtractRanges(shard.ranges, gone) : shard.ranges);
      }
      const blocks = subtractRanges(
        live.filter((range) => range.family === family),
        kept.flat(),
      ).flatMap(toCidrs);
      let next = 0;
      for (const [index, shard] of own.entries()) {
        const rest = kept[index] as readonly AddressRange[];
        const room = setSize - rest.reduce((sum, range) => sum + toCidrs(range).length, 0);
        const added = blocks.slice(next, next + Math.max(0, room));
        next += added.length;
        const wanted = added.length > 0 ? mergeRanges([...rest, ...added.map(parseRange)]) : rest;
        if (sameRanges(wanted, shard.ranges)) continue;
        await writeShard(shard, wanted);
        updates++;
      }
      let number = Math.max(0, ...own.map((shard) => shard.number));
      while (next < blocks.length || number === 0) {
        number++;
        await createShard(family, number, blocks.slice(next, next + setSize));
        next += setSize;
        updates++;
      }
    }
    const asns = blocked.flatMap((each) => asnOf(each.key) ?? []);
    updates += await projectGroup(asns);
    return { updates, removed, expired: due.map((each) => each.key) };
  }

  /** Keeps the group's rules: every set, every blocked network. */
  async function projectGroup(asns: readonly number[]): Promise<number> {
    const body = (arns: readonly string[]) => ({
      Scope,
      Name: groupName,
      Description: 'Portcullis: addresses and networks cut off by revocation',
      Rules: blockedGroupRules(arns, asns, options.cors ?? { origin: '*' }),
      VisibilityConfig: { CloudWatchMetricsEnabled: true, MetricName: groupName, SampledRequestsEnabled: false },
      CustomResponseBodies: { ...blockedBody },
    });
    return patiently(
      `rule group ${groupName}`,
      patience,
      async () => {
        const summary = await findGroup();
        const found = summary
          ? await client.send(new GetRuleGroupCommand({ Scope, Name: groupName, Id: summary.Id }))
          : undefined;
        // Listed after the group was read: a set made before that read is in the list.
        const arns = (await listShards()).map((shard) => shard.arn);
        const needed = arns.length + Math.ceil(asns.length / statementLimits.asns) + 1;
        const capacity = found?.RuleGroup?.Capacity ?? options.groupCapacity ?? 25;
        if (needed > capacity) {
          throw new WafRulesError(
            'set_limit',
            `The rule group ${groupName} has ${capacity} capacity units and would need ${needed}: a group's capacity ` +
              'is fixed. Remove addresses, or make a larger group under another name.',
            { needed, capacity },
          );
        }
        if (!found) {
          await client.send(new CreateRuleGroupCommand({ ...body(arns), Capacity: capacity }));
          return 1;
        }
        const wanted = body(arns);
        if (sameJson(found.RuleGroup?.Rules ?? [], wanted.Rules)) return 0;
        await client.send(new UpdateRuleGroupCommand({ ...wanted, Id: summary?.Id, LockToken: found.LockToken }));
        return 1;
      },
      (error) => isLockConflict(error) || isDuplicate(error) || isMissing(error),
    );
  }

  async function findGroup(): Promise<{ Id?: string | undefined } | undefined> {
    let NextMarker: string | undefined;
    do {
      const page = await client.send(
        new ListRuleGroupsCommand({ Scope, Limit: 100, ...(NextMarker ? { NextMarker } : {}) }),
      );
      const found = (page.RuleGroups ?? []).find((each) => each.Name === groupName);
      if (found) return found;
      NextMarker = page.NextMarker;
    } while (NextMarker !== undefined && NextMarker !== '');
    return undefined;
  }

  async function flushOnce(now: number, removeDue: boolean): Promise<FlushResult> {
    let updates = 0;
    const expired = new Set<string>();
    for (;;) {
      const pass = await patiently(
        'address sets',
        patience,
        () => project(now, removeDue),
        (error) => {
          const again = isLockConflict(error) || isDuplicate(error) || isMissing(error);
          if (again) contents.clear();
          return again;
        },
      );
      updates += pass.updates;
      pass.expired.forEach((key) => expired.add(key));
      if (pass.removed.length > 0) {
        // Somebody may have renewed a range between our reading the records and our writing the sets, found it still
        // in its set and written nothing: it must go back in.
        const live = rangesOf((await records.all()).filter((record) => isBlocked(record, now)));
        const renewed = !sameRanges(subtractRanges(pass.removed, live), mergeRanges(pass.removed));
        if (renewed) continue;
      }
      if (expired.size > 0) await records.forgetDue([...expired], now);
      return { updates, expired: [...expired] };
    }
  }

  /** Calls that arrive while a flush runs share the next one. */
  let running: Promise<unknown> = Promise.resolve();
  let waiting: { now: number; removeDue: boolean; result: Promise<FlushResult> } | undefined;
  function flush(now: number, removeDue: boolean): Promise<FlushResult> {
    if (waiting && waiting.removeDue === removeDue) {
      waiting.now = Math.max(waiting.now, now);
      return waiting.result;
    }
    const turn = {
      now,
      removeDue,
      result: Promise.resolve({ updates: 0, expired: [] as string[] }) as Promise<FlushResult>,
    };
    turn.result = running
      .catch(() => undefined)
      .then(() => {
        if (waiting === turn) waiting = undefined;
        return flushOnce(turn.now, turn.removeDue);
      });
    waiting = turn;
    running = turn.result;
    return turn.result;
  }

  function screen(request: BlockRequest): { key: string } | Refusal {
    const refuse = (reason: RefusalReason, message: string): Refusal => ({ address: request.address, reason, message });
    let range: AddressRange;
    try {
      range = parseRange(request.address);
    } catch (error) {
      return refuse('invalid', (error as Error).message);
    }
    const [key = ''] = toCidrs(range);
    if (key.endsWith('/0')) return refuse('whole_internet', `${key} is every address; an IP set does not take it.`);
    if (request.until !== undefined && request.until <= clock()) {
      return refuse('already_over', `${key}: its end lies in the past.`);
    }
    if (request.force) return { key };
    const allow = allowed.find((each) => overlaps(each, range));
    if (allow) return refuse('allow_listed', `${key} touches the allow-listed ${toCidrs(allow).join(', ')}.`);
    const apart = reservedRanges.find((each) => overlaps(each.range, range));
    if (apart && !(apart.kind === 'documentation' && options.documentation === 'block'))
      return refuse(apart.kind, `${key} touches ${toCidrs(apart.range).join(', ')} (${apart.kind}, ${apart.source}).`);
    const prefix = Number(key.slice(key.indexOf('/') + 1));
    const limit = range.family === 4 ? widest.v4 : widest.v6;
    if (prefix < limit) return refuse('too_wide', `${key} is wider than /${limit}.`);
    return { key };
  }

  function screenNetwork(request: NetworkBlockRequest): { key: string } | Refusal {
    const { asn } = request;
    const address = asnKey(asn);
    if (!Number.isInteger(asn) || asn < 0 || asn > statementLimits.asnMaximum) {
      return { address, reason: 'invalid', message: `${address} is not a network's number.` };
    }
    if (request.until !== undefined && request.until <= clock()) {
      return { address, reason: 'already_over', message: `${address}: its end lies in the past.` };
    }
    if (request.force) return { key: address };
    if (allowedAsns.has(asn)) return { address, reason: 'allow_listed', message: `${address} is allow-listed.` };
    // 0 is WAF's number for unmapped addresses; RFC 6996, RFC 5398 set the others apart.
    const documentation = (asn >= 64496 && asn <= 64511) || (asn >= 65536 && asn <= 65551);
    if (documentation && options.documentation === 'block') return { key: address };
    if (asn === 0 || (asn >= 64496 && asn <= 65551) || asn >= 4_200_000_000) {
      return { address, reason: 'special', message: `${address} is no network on the public Internet.` };
    }
    return { key: address };
  }

  /** Whether a record belongs in the sets: not due, and nothing that this blocker would have refused. */
  function isBlocked(record: AddressRecord, now: number): boolean {
    if (isDue(record, now)) return false;
    if (!records.unscreened) return true;
    const asn = asnOf(record.key);
    return 'key' in (asn === undefined ? screen({ address: record.key }) : screenNetwork({ asn }));
  }

  async function block(
    screened: readonly ({ request: { until?: number; why?: string } } & ({ key: string } | { refusal: Refusal }))[],
  ): Promise<BlockOutcome> {
    const refused = screened.flatMap((each) => ('refusal' in each ? [each.refusal] : []));
    const accepted = screened.flatMap((each) => ('key' in each ? [each] : []));
    if (accepted.length === 0) return { done: [], refused, updates: 0 };
    const addedAt = clock();
    await records.put(
      accepted.map(({ key, request }) => ({
        key,
        addedAt,
        ...(request.until === undefined ? {} : { until: request.until }),
        ...(request.why === undefined ? {} : { why: request.why }),
      })),
    );
    const { updates } = await flush(addedAt, false);
    return { done: [...new Set(accepted.map((each) => each.key))], refused, updates };
  }

  return {
    add: (requests) =>
      block(
        requests.map((request) => {
          const found = screen(request);
          return 'key' in found ? { request, key: found.key } : { request, refusal: found };
        }),
      ),
    addNetworks: (requests) =>
      block(
        requests.map((request) => {
          const found = screenNetwork(request);
          return 'key' in found ? { request, key: found.key } : { request, refusal: found };
        }),
      ),
    async remove(keys) {
      const refused: Refusal[] = [];
      const canonical = keys.flatMap((address) => {
        if (asnOf(address) !== undefined) return [address];
        try {
          return toCidrs(parseRange(address));
        } catch (error) {
          refused.push({ address, reason: 'invalid', message: (error as Error).message });
          return [];
        }
      });
      const now = clock();
      await records.end(canonical, now);
      const { updates, expired } = await flush(now, true);
      return { done: canonical.filter((key) => expired.includes(key)), refused, updates };
    },
    async expire(now) {
      const { updates, expired } = await flush(now, true);
      return { done: expired, refused: [], updates };
    },
    async reconcile() {
      const { updates, expired } = await flush(clock(), true);
      return { done: expired, refused: [], updates };
    },
    async status() {
      const shards = await listShards();
      const known = await records.all();
      const inSets = shards.flatMap((shard) => shard.ranges);
      return {
        records: known,
        sets: shards.map((shard) => ({ name: shard.name, ranges: shard.ranges.flatMap(toCidrs).length })),
        missing: subtractRanges(rangesOf(known.filter((each) => isBlocked(each, clock()))), inSets).flatMap(toCidrs),
        unrecorded: subtractRanges(inSets, rangesOf(known)).flatMap(toCidrs),
      };
    },
  };
}

const sameRanges = (a: readonly AddressRange[], b: readonly AddressRange[]): boolean =>
  a.length === b.length &&
  a.every((range, index) => {
    const other = b[index] as AddressRange;
    return range.family === other.family && range.first === other.first && range.last === other.last;
  });
