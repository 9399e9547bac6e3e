/** What the origin must know of one track: the segments as made, and their place on the timeline. */
export interface Track {
  readonly name: string;
  readonly kind: 'video' | 'audio';
  /** RFC 6381 codec string. */
  readonly codecs: string;
  readonly width?: number;
  readonly height?: number;
  /** Units per second of the track's times. */
  readonly timescale: number;
  readonly init: Buffer;
  readonly segments: readonly Segment[];
  /** Length of one turn of the loop, in track units. */
  readonly duration: number;
  /** Bits per second, the greatest of any segment. */
  readonly peakBandwidth: number;
  readonly averageBandwidth: number;
}

export interface Segment {
  readonly bytes: Buffer;
  /** Start and length, in track units. */
  readonly start: number;
  readonly duration: number;
}

interface Box {
  readonly type: string;
  readonly start: number;
  /** First byte after size and type. */
  readonly body: number;
  readonly end: number;
}

/** The boxes between two offsets (ISO/IEC 14496-12 4.2). */
function boxes(bytes: Buffer, from = 0, to = bytes.length): Box[] {
  const found: Box[] = [];
  for (let at = from; at + 8 <= to;) {
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > to) throw new Error(`Broken box at byte ${at}`);
    found.push({ type: bytes.toString('latin1', at + 4, at + 8), start: at, body: at + 8, end: at + size });
    at += size;
  }
  return found;
}

/** Finds `moof.traf.tfdt` and the like; `undefined` when a step is missing. */
function findBox(bytes: Buffer, path: string): Box | undefined {
  let within: Box = { type: '', start: 0, body: 0, end: bytes.length };
  for (const type of path.split('.')) {
    const next = boxes(bytes, within.body, within.end).find((box) => box.type === type);
    if (!next) return undefined;
    within = next;
  }
  return within;
}

function needBox(bytes: Buffer, path: string): Box {
  const box = findBox(bytes, path);
  if (!box) throw new Error(`No ${path} box`);
  return box;
}

/** `tfdt`: time of the first sample, in track units (ISO/IEC 14496-12 8.8.12). */
function readStart(segment: Buffer): number {
  const box = needBox(segment, 'moof.traf.tfdt');
  return segment[box.body] === 1 ? Number(segment.readBigUInt64BE(box.body + 4)) : segment.readUInt32BE(box.body + 4);
}

/** Sum of the sample durations of `trun`, or the default of `tfhd` times their count (8.8.7, 8.8.8). */
function readDuration(segment: Buffer): number {
  const header = needBox(segment, 'moof.traf.tfhd');
  const headerFlags = segment.readUInt32BE(header.body) & 0xffffff;
  const skip = 8 + (headerFlags & 1 ? 8 : 0) + (headerFlags & 2 ? 4 : 0);
  const defaultDuration = headerFlags & 8 ? segment.readUInt32BE(header.body + skip) : 0;
  const run = needBox(segment, 'moof.traf.trun');
  const flags = segment.readUInt32BE(run.body) & 0xffffff;
  const count = segment.readUInt32BE(run.body + 4);
  if (!(flags & 0x100)) return count * defaultDuration;
  const step = [0x100, 0x200, 0x400, 0x800].reduce((bytes, flag) => bytes + (flags & flag ? 4 : 0), 0);
  let at = run.body + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
  let total = 0;
  for (let i = 0; i < count; i += 1, at += step) total += segment.readUInt32BE(at);
  return total;
}

/** The segment moved on the timeline: same samples, later `tfdt`, and its own sequence number. */
export function shiftSegment(segment: Buffer, offset: number, sequence: number): Buffer {
  const moved = Buffer.from(segment);
  const time = needBox(moved, 'moof.traf.tfdt');
  if (moved[time.body] !== 1) throw new Error('tfdt must be of version 1 to be moved');
  moved.writeBigUInt64BE(moved.readBigUInt64BE(time.body + 4) + BigInt(offset), time.body + 4);
  moved.writeUInt32BE(sequence >>> 0, needBox(moved, 'moof.mfhd').body + 4);
  return moved;
}

function hex(byte: number | undefined): string {
  return (byte ?? 0).toString(16).padStart(2, '0');
}

/** Reads a track out of its initialisation segment and media segments. */
export function readTrack(name: string, init: Buffer, segmentBytes: readonly Buffer[]): Track {
  const mdhd = needBox(init, 'moov.trak.mdia.mdhd');
  const timescale = init.readUInt32BE(mdhd.body + (init[mdhd.body] === 1 ? 20 : 12));
  const stsd = needBox(init, 'moov.trak.mdia.minf.stbl.stsd');
  const [entry] = boxes(init, stsd.body + 8, stsd.end);
  if (!entry) throw new Error(`${name}: no sample entry`);
  const segments = segmentBytes.map((bytes): Segment => ({
    bytes,
    start: readStart(bytes),
    duration: readDuration(bytes),
  }));
  const duration = segments.reduce((sum, segment) => sum + segment.duration, 0);
  const bits = segments.map((segment) => (segment.bytes.length * 8 * timescale) / segment.duration);
  const common = {
    name,
    timescale,
    init,
    segments,
    duration,
    peakBandwidth: Math.ceil(Math.max(...bits)),
    averageBandwidth: Math.ceil(
      (segments.reduce((sum, { bytes }) => sum + bytes.length, 0) * 8 * timescale) / duration,
    ),
  };
  if (entry.type === 'avc1') {
    const configuration = boxes(init, entry.body + 78, entry.end).find((box) => box.type === 'avcC');
    if (!configuration) throw new Error(`${name}: no avcC box`);
    const [profile, compatibility, level] = init.subarray(configuration.body + 1, configuration.body + 4);
    return {
      ...common,
      kind: 'video',
      codecs: `avc1.${hex(profile)}${hex(compatibility)}${hex(level)}`,
      width: init.readUInt16BE(entry.body + 24),
      height: init.readUInt16BE(entry.body + 26),
    };
  }
  if (entry.type === 'mp4a') return { ...common, kind: 'audio', codecs: 'mp4a.40.2' };
  throw new Error(`${name}: unknown sample entry ${entry.type}`);
}
