import { cmcdQuery, type CmcdReport } from './cmcd.js';
import type { DeviceProfile } from './devices.js';
import { networkOfAddress, type Attachment } from './networks.js';
import type { Random } from './random.js';
import { emptyRow, type LogRow } from './rows.js';
import type { Session } from './session.js';

/** Where the token stands in a request. */
export type TokenPlacement = 'prefix' | 'marker' | 'first' | 'query' | 'cookie';

/** The event that is watched, and its time. */
export interface Stage {
  /** Milliseconds since the epoch: the log's first and last moment, and when the event began. */
  readonly from: number;
  readonly until: number;
  readonly beganAt: number;
  readonly segmentMilliseconds: number;
  readonly host: string;
  readonly site: string;
  readonly placement: TokenPlacement;
  /** Also separate audio objects. */
  readonly separateAudio: boolean;
  /** Stretches in which some edge locations fail. */
  readonly faults: readonly Fault[];
}

export interface Fault {
  readonly from: number;
  readonly until: number;
  /** First letters of the edge locations that fail. */
  readonly edges: readonly string[];
  readonly share: number;
}

/** Kilobits per second of the renditions. */
export const ladder: readonly number[] = [450, 900, 1800, 3200, 5200, 8000];

const nothing = undefined;

/** One device's connection and what its player says. */
export class Device {
  readonly userAgent: string;
  readonly reports: boolean;
  readonly cmcdSession: string;
  /** Time between a segment's publication and this player's noticing, milliseconds. */
  readonly lag: number;
  readonly referer: string;
  /** What it does with the session is abuse. */
  readonly abuses: boolean;
  address = '';
  port = 0;
  country = '-';
  asn = 0;
  private requests = 0;
  private readonly idPrefix: string;

  constructor(
    readonly profile: DeviceProfile,
    public attachment: Attachment,
    readonly random: Random,
    options: { lag: number; referer?: string; abuses?: boolean; reports?: boolean },
  ) {
    this.userAgent = encodeURI(random.pick(profile.userAgents));
    this.reports = profile.cmcd !== 'none' && (options.reports ?? random.chance(profile.cmcdShare));
    this.cmcdSession = random.uuid();
    this.lag = options.lag;
    this.referer = options.referer ?? '-';
    this.abuses = options.abuses ?? false;
    this.idPrefix = Buffer.from(random.bytes(30)).toString('base64url');
    this.connect();
  }

  connect(): void {
    const { random } = this;
    this.address = this.attachment.connect();
    this.port = random.integer(1024, 65535);
    const network = networkOfAddress(this.address) ?? this.attachment.network;
    this.country = network.country;
    this.asn = network.asn;
  }

  /** Moves to another network. */
  move(attachment: Attachment): void {
    this.attachment = attachment;
    this.connect();
  }

  nextRequest(): string {
    return `${this.idPrefix}${(this.requests++).toString(36).padStart(6, '0')}==`;
  }

  get requestCount(): number {
    return this.requests;
  }
}

export interface MediaRequest {
  /** Path below `/live`, such as `/ch1/v3/seg-1200.m4s`. */
  readonly object: string;
  readonly contentType: string;
  readonly bytes: number;
  readonly cmcd: CmcdReport | undefined;
  /** The token is one that ran out: a player woken from sleep. */
  readonly stale?: boolean;
  /** The viewer hung up before the end. */
  readonly aborted?: boolean;
  readonly notFound?: boolean;
}

/** Answers requests as the guarded distribution would, and hands each to the log. */
export class Edge {
  private readonly row: LogRow = emptyRow();

  constructor(
    readonly stage: Stage,
    private readonly log: (row: LogRow) => void,
    /** Whether the log is to hold a request for this path. */
    private readonly logs: (path: string) => boolean,
  ) {}

  private locate(object: string, token: string): void {
    const { row } = this;
    row.cookie = '-';
    switch (this.stage.placement) {
      case 'prefix':
        row.path = `/live/${token}${object}`;
        break;
      case 'marker':
        row.path = `/~t/${token}/live${object}`;
        break;
      case 'first':
        row.path = `/${token}/live${object}`;
        break;
      case 'query':
        row.path = `/live${object}`;
        row.query = row.query === '' ? `CAT=${token}` : `CAT=${token}&${row.query}`;
        break;
      case 'cookie':
        row.path = `/live${object}`;
        row.cookie = `CAT=${token}`;
    }
  }

  private faultAt(time: number, edge: string, random: Random): boolean {
    for (const fault of this.stage.faults) {
      if (time < fault.from || time >= fault.until) continue;
      if (fault.edges.some((start) => edge.startsWith(start)) && random.chance(fault.share)) return true;
    }
    return false;
  }

  private statusOf(device: Device, session: Session, now: number, request: MediaRequest): number {
    if (request.stale || session.expiredAt(now) || !session.admits(device.country)) return 401;
    if (this.faultAt(now, device.attachment.edge, device.random)) return device.random.chance(0.8) ? 503 : 504;
    if (request.notFound) return 404;
    return request.aborted ? 0 : 200;
  }

  /** One tokened request; the status it got, 0 when the viewer hung up. */
  request(device: Device, session: Session, now: number, request: MediaRequest): number {
    const { row } = this;
    const { random, attachment } = device;
    if (attachment.reconnectChance > 0 && random.chance(attachment.reconnectChance)) device.connect();
    const token = session.tokenAt(now);
    const status = this.statusOf(device, session, now, request);
    if (device.abuses) session.abuseFrom ??= now;
    if (!this.logs(request.object)) return status;
    const inQuery = device.profile.cmcd === 'query' || device.profile.cmcd === 'query-v2';
    row.cmcd = request.cmcd;
    row.cmcdInHeaders = request.cmcd !== nothing && !inQuery;
    row.query = request.cmcd && inQuery ? cmcdQuery(request.cmcd) : '';
    this.locate(request.object, token);
    const whole = request.bytes + 420;
    row.bytes = status === 200 ? whole : status === 0 ? Math.floor(whole * random.unit()) : 560;
    row.firstByte = (0.004 + random.unit() * 0.05) * (attachment.network.kind === 'mobile' ? 2 : 1);
    row.timeTaken = row.firstByte + (row.bytes * 8) / attachment.throughput;
    row.resultType =
      status === 0
        ? 'Error'
        : status === 401
          ? 'FunctionGeneratedResponse'
          : status >= 400
            ? 'Error'
            : random.chance(0.985)
              ? 'Hit'
              : random.chance(0.8)
                ? 'Miss'
                : 'RefreshHit';
    row.contentType = status === 200 || status === 0 ? request.contentType : 'application/json';
    this.send(device, now, status);
    session.record(row.time, device.address);
    return status;
  }

  /** A request without a session: crawlers, scanners, preflights. */
  stray(
    device: Device,
    now: number,
    request: { method?: LogRow['method']; path: string; query?: string; status: number; bytes?: number },
  ): void {
    if (!this.logs(request.path)) return;
    const { row } = this;
    row.cmcd = nothing;
    row.cmcdInHeaders = false;
    row.path = request.path;
    row.query = request.query ?? '';
    row.cookie = '-';
    row.bytes = request.bytes ?? 560;
    row.firstByte = 0.004 + device.random.unit() * 0.03;
    row.timeTaken = row.firstByte;
    row.resultType = request.status < 400 ? 'Hit' : 'FunctionGeneratedResponse';
    row.contentType = request.status < 400 ? 'text/plain' : 'application/json';
    this.send(device, now, request.status, request.method);
  }

  private send(device: Device, now: number, status: number, method: LogRow['method'] = 'GET'): void {
    const { row, stage } = this;
    row.time = Math.round(now + row.timeTaken * 1000);
    row.address = device.address;
    row.port = device.port;
    row.country = device.country;
    row.asn = device.asn;
    row.edge = device.attachment.edge;
    row.method = method;
    row.host = stage.host;
    row.status = status;
    row.requestBytes = 260 + row.path.length + row.query.length + device.userAgent.length;
    row.userAgent = device.userAgent;
    row.referer = device.referer;
    row.protocol = device.profile.protocol;
    row.requestId = device.nextRequest();
    row.accept = device.profile.accept;
    this.log(row);
  }
}
