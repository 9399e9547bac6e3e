import type { CmcdReport } from './cmcd.js';
import { ladder, type Device, type Edge, type MediaRequest } from './edge.js';
import type { Attachment } from './networks.js';
import type { Session } from './session.js';

/** A device's doings: each value is the time, in milliseconds since the epoch, at which it wants to go on. */
export type Script = Generator<number, void, void>;

/** What happens to a viewer on the way. */
export type Turn =
  | { readonly at: number; readonly what: 'move'; readonly to: Attachment }
  /** The picture stands still for some milliseconds; afterwards playback goes on where it stood. */
  | { readonly at: number; readonly what: 'pause'; readonly milliseconds: number; readonly asleep?: boolean }
  /** To another place, in milliseconds since the event began. */
  | { readonly at: number; readonly what: 'seek'; readonly to: number };

export interface WatchPlan {
  readonly content: string;
  /** Milliseconds since the epoch. Before the log starts: playback is under way when it does. */
  readonly joinAt: number;
  readonly leaveAt: number;
  /** Milliseconds behind live, or a fixed place in the recording. */
  readonly from: { readonly behindLive: number } | { readonly position: number };
  /** In order of time. */
  readonly turns?: readonly Turn[];
  readonly playbackRate?: number;
  /** Highest rendition the device can show. */
  readonly topRung?: number;
  /** Always this rendition: programs do not adapt. */
  readonly fixedRung?: number;
}

const maximumAttempts = 4;

/** Picks the rendition as players do: well below the measured throughput, and not with every wobble. */
class Adaptation {
  private rung: number;
  private untilNext = 0;
  throughput: number;

  constructor(
    private readonly device: Device,
    private readonly plan: WatchPlan,
  ) {
    this.throughput = device.attachment.throughput;
    this.rung = plan.fixedRung ?? 2;
  }

  next(starting: boolean): number {
    const { device, plan } = this;
    this.throughput = device.attachment.throughput * (0.7 + 0.6 * device.random.unit());
    if (plan.fixedRung !== undefined) return plan.fixedRung;
    if (starting) return this.rung;
    if (this.untilNext-- > 0) return this.rung;
    this.untilNext = device.random.integer(3, 8);
    const budget = (this.throughput * 0.7) / 1000;
    const top = plan.topRung ?? ladder.length - 1;
    let rung = 0;
    while (rung < top && (ladder[rung + 1] as number) <= budget) rung++;
    this.rung = rung;
    return rung;
  }
}

/** The requests of one player for one content: master playlist, playlists, segments. */
class Player {
  readonly adaptation: Adaptation;
  rung = 0;
  private sequence = 0;

  constructor(
    private readonly edge: Edge,
    private readonly device: Device,
    private readonly session: Session,
    private readonly plan: WatchPlan,
  ) {
    this.adaptation = new Adaptation(device, plan);
  }

  private report(
    objectType: CmcdReport['objectType'],
    bufferLength: number,
    details: { nextObject?: string; startup?: boolean; starved?: boolean; latency?: number } = {},
  ): CmcdReport | undefined {
    const { device, plan } = this;
    if (!device.reports) return undefined;
    const round = (value: number): number => Math.round(value / 100) * 100;
    return {
      version: device.profile.cmcd === 'query-v2' ? 2 : 1,
      objectType,
      sessionId: device.cmcdSession,
      contentId: plan.content,
      streamingFormat: device.profile.streamingFormat,
      streamType: 'behindLive' in plan.from ? 'l' : 'v',
      bitrate: objectType === 'm' ? 0 : objectType === 'a' ? 128 : (ladder[this.rung] as number),
      topBitrate: objectType === 'a' ? 128 : (ladder[plan.topRung ?? ladder.length - 1] as number),
      duration: this.edge.stage.segmentMilliseconds,
      bufferLength: round(Math.max(0, bufferLength)),
      throughput: round(this.adaptation.throughput / 1000),
      startup: details.startup ?? false,
      starved: details.starved ?? false,
      playbackRate: plan.playbackRate ?? 1,
      nextObject: details.nextObject ?? '',
      sequence: this.sequence++,
      latency: round(details.latency ?? 0),
    };
  }

  private send(now: number, request: MediaRequest): number {
    return this.edge.request(this.device, this.session, now, request);
  }

  master(now: number, options: { stale?: boolean } = {}): number {
    const dash = this.device.profile.streamingFormat === 'd';
    return this.send(now, {
      object: `/${this.plan.content}/${dash ? 'manifest.mpd' : 'master.m3u8'}`,
      contentType: dash ? 'application/dash+xml' : 'application/vnd.apple.mpegurl',
      bytes: dash ? 5200 : 1900,
      cmcd: this.report('m', 0, { startup: true }),
      ...options,
    });
  }

  /** The live playlist, or the manifest again. */
  playlist(now: number, bufferLength: number): number {
    const dash = this.device.profile.streamingFormat === 'd';
    return this.send(now, {
      object: `/${this.plan.content}/${dash ? 'manifest.mpd' : `v${this.rung + 1}/index.m3u8`}`,
      contentType: dash ? 'application/dash+xml' : 'application/vnd.apple.mpegurl',
      bytes: dash ? 5200 : 2600,
      cmcd: this.report('m', bufferLength),
    });
  }

  segment(
    now: number,
    number: number,
    bufferLength: number,
    options: { startup?: boolean; starved?: boolean; aborted?: boolean; notFound?: boolean; latency?: number } = {},
  ): number {
    const { content } = this.plan;
    const { stage } = this.edge;
    const name = (rendition: string, index: number): string => `/${content}/${rendition}/seg-${index}.m4s`;
    const rate = ladder[this.rung] as number;
    const { aborted, notFound, ...details } = options;
    const status = this.send(now, {
      object: name(`v${this.rung + 1}`, number),
      contentType: 'video/iso.segment',
      bytes: Math.floor(
        ((rate * 1000) / 8) * (stage.segmentMilliseconds / 1000) * (0.8 + 0.35 * this.device.random.unit()),
      ),
      cmcd: this.report(stage.separateAudio ? 'v' : 'av', bufferLength, {
        ...details,
        nextObject: `seg-${number + 1}.m4s`,
      }),
      ...(aborted ? { aborted } : {}),
      ...(notFound ? { notFound } : {}),
    });
    if (stage.separateAudio && status === 200) {
      this.send(now + 20, {
        object: name('a1', number),
        contentType: 'audio/iso.segment',
        bytes: Math.floor(16_000 * (stage.segmentMilliseconds / 1000)),
        cmcd: this.report('a', bufferLength, { ...details, nextObject: `seg-${number + 1}.m4s` }),
      });
    }
    return status;
  }
}

/**
 * Plays a content as a player does: joins, fills its buffer, then fetches each segment when there is room for it and
 * it exists; goes through the turns of the plan; tries again after 5xx with growing pauses; gives up on 401.
 */
export function* watch(edge: Edge, device: Device, session: Session, plan: WatchPlan): Script {
  const { stage } = edge;
  const { random } = device;
  const segmentLength = stage.segmentMilliseconds;
  const rate = plan.playbackRate ?? 1;
  const player = new Player(edge, device, session, plan);
  const turns = plan.turns ?? [];
  const live = 'behindLive' in plan.from;
  const underWay = plan.joinAt < stage.from;
  const end = Math.min(plan.leaveAt, stage.until);
  const buffer = device.profile.buffer * 1000;

  let now = underWay ? stage.from + random.between(0, segmentLength) : plan.joinAt;
  if (now >= end) return;
  // Playback stands at `position` (milliseconds since the event began) at the time `anchor`.
  let anchor = now;
  let position = 'behindLive' in plan.from ? now - stage.beganAt - plan.from.behindLive : plan.from.position;
  if (!live && underWay) position += (now - plan.joinAt) * rate;
  let number = Math.max(
    0,
    Math.floor((position + (underWay ? Math.min(buffer, live ? plan.from.behindLive : buffer) : 0)) / segmentLength),
  );
  let turn = 0;
  while (turn < turns.length && (turns[turn] as Turn).at < now) turn++;
  let starting = underWay ? 0 : 3;

  yield now;
  if (!underWay) {
    if (player.master(now) === 401) return;
    now += random.between(60, 400);
  }
  player.rung = player.adaptation.next(false);

  for (;;) {
    const buffered = number * segmentLength - position - (now - anchor) * rate;
    const room = buffered > buffer - segmentLength ? now + (buffered - buffer + segmentLength) / rate : now;
    const published = stage.beganAt + (number + 1) * segmentLength + 400 + device.lag;
    const wake = Math.max(now, room, published > now ? published + random.between(0, 150) : now);
    const next = turns[turn];
    if (next && next.at <= wake) {
      now = Math.max(now, next.at);
      if (now >= end) return;
      turn++;
      yield now;
      if (next.what === 'move') {
        // What was on its way when the network went is fetched again on the new one.
        const cut = random.chance(0.5) && number > 0;
        if (cut) player.segment(now, number - 1, buffered, { aborted: true });
        device.move(next.to);
        now += random.between(300, 3500);
        yield now;
        if (cut) player.segment(now, number - 1, buffered);
      } else if (next.what === 'pause') {
        now += next.milliseconds;
        anchor += next.milliseconds;
        if (now >= end) return;
        yield now;
        if (next.asleep && player.master(now, { stale: true }) === 401) {
          // The page asks its service for a new token and starts afresh.
          now += random.between(500, 1500);
          yield now;
          player.master(now);
        }
        if (live && random.chance(0.5)) {
          position = now - stage.beganAt - (plan.from as { behindLive: number }).behindLive;
          anchor = now;
          number = Math.max(0, Math.floor(position / segmentLength));
        }
      } else {
        position = Math.max(0, next.to);
        anchor = now;
        number = Math.floor(position / segmentLength);
        starting = 2;
      }
      continue;
    }
    if (wake >= end) return;
    now = wake;
    yield now;

    if (starting === 0) player.rung = player.adaptation.next(false);
    const ahead = number * segmentLength - position - (now - anchor) * rate;
    const polls = live && published > now - segmentLength * 2;
    if (polls && player.playlist(now, ahead) === 401) return;
    for (let attempt = 0; ; attempt++) {
      const status = player.segment(now + 30, number, ahead, {
        startup: starting > 0,
        starved: ahead < 0,
        latency: now - stage.beganAt - position - (now - anchor) * rate,
        // Polling players now and then ask a moment before the origin has it.
        notFound: attempt === 0 && polls && random.chance(0.0015),
      });
      if (status === 401) return;
      if (status === 200 || status === 0 || attempt === maximumAttempts) break;
      now += 500 * 2 ** attempt * random.between(0.7, 1.3);
      if (now >= end) return;
      yield now;
    }
    // A stall moves playback back by what was missing.
    if (ahead < 0) {
      anchor = now;
      position = number * segmentLength;
    }
    if (starting > 0) {
      starting--;
      now += random.between(80, 300);
    } else {
      now += 30 + (player.rung + 1) * 25 * random.unit();
    }
    number++;
  }
}

export interface RipPlan {
  readonly content: string;
  readonly startAt: number;
  readonly fromSegment: number;
  /** One past the last segment wanted; Infinity: up to live, then along with it. */
  readonly toSegment: number;
  readonly connections: number;
  readonly rung: number;
}

/** Saves a recording: all its segments in order over several connections at once, as fast as the line gives. */
export function* rip(edge: Edge, device: Device, session: Session, plan: RipPlan): Script {
  const { stage } = edge;
  const { random } = device;
  const player = new Player(edge, device, session, {
    content: plan.content,
    joinAt: plan.startAt,
    leaveAt: stage.until,
    from: { position: 0 },
    fixedRung: plan.rung,
  });
  player.rung = plan.rung;
  let now = Math.max(plan.startAt, stage.from + random.between(0, 5000));
  if (now >= stage.until) return;
  yield now;
  if (player.master(now) === 401) return;
  now += 150;
  player.playlist(now, 0);
  const bits = (ladder[plan.rung] as number) * stage.segmentMilliseconds;
  const perSegment = Math.max((bits / device.attachment.throughput) * 1000, 120 / plan.connections);
  for (let number = plan.fromSegment; number < plan.toSegment; number++) {
    const published = stage.beganAt + (number + 1) * stage.segmentMilliseconds + 500;
    now = Math.max(now + perSegment * random.between(0.7, 1.4), published);
    if (now >= stage.until) return;
    yield now;
    if (published > now - stage.segmentMilliseconds && player.playlist(now, 0) === 401) return;
    if (player.segment(now + random.between(0, 40), number, 0) === 401) return;
  }
}
