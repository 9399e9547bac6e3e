/** What a player says of itself with one request (CTA-5004 3.2, CTA-5004-B for version 2). */
export interface CmcdReport {
  readonly version: 1 | 2;
  /** `m` manifest or playlist, `v` video, `a` audio, `av` muxed. */
  readonly objectType: 'm' | 'v' | 'a' | 'av';
  readonly sessionId: string;
  readonly contentId: string;
  readonly streamingFormat: 'h' | 'd';
  readonly streamType: 'l' | 'v';
  /** Kilobits per second of the rendition, and of the highest one; 0 on manifests. */
  readonly bitrate: number;
  readonly topBitrate: number;
  /** Milliseconds of media in the object. */
  readonly duration: number;
  /** Milliseconds of media buffered, rounded to 100. */
  readonly bufferLength: number;
  /** Kilobits per second, rounded to 100. */
  readonly throughput: number;
  readonly startup: boolean;
  readonly starved: boolean;
  readonly playbackRate: number;
  readonly nextObject: string;
  /** Version 2: the event's number, the latency to the live edge in milliseconds. */
  readonly sequence: number;
  readonly latency: number;
}

/** The marks between keys, values and pairs: as headers have them, or encoded for a query. */
interface Marks {
  readonly is: string;
  readonly quote: string;
}
const plain: Marks = { is: '=', quote: '"' };
const encoded: Marks = { is: '%3D', quote: '%22' };

/** The report as pairs, in the alphabetical order that the query form asks for. */
function pairs(report: CmcdReport, { is, quote }: Marks): string[] {
  const media = report.objectType !== 'm';
  const second = report.version === 2;
  const list: string[] = [];
  if (media) {
    list.push(`bl${is}${report.bufferLength}`, `br${is}${report.bitrate}`);
    if (report.starved) list.push('bs');
  }
  list.push(`cid${is}${quote}${report.contentId}${quote}`);
  if (media) {
    list.push(`d${is}${report.duration}`, `dl${is}${report.bufferLength}`);
    if (second) list.push(`ltc${is}${report.latency}`);
    list.push(`mtp${is}${report.throughput}`, `nor${is}${quote}${report.nextObject}${quote}`);
  }
  list.push(`ot${is}${report.objectType}`);
  if (report.playbackRate !== 1) list.push(`pr${is}${report.playbackRate}`);
  list.push(`sf${is}${report.streamingFormat}`, `sid${is}${quote}${report.sessionId}${quote}`);
  if (second) list.push(`sn${is}${report.sequence}`);
  list.push(`st${is}${report.streamType}`);
  if (second) list.push(`sta${is}${report.startup ? 's' : report.starved ? 'r' : 'p'}`);
  if (media) {
    if (report.startup) list.push('su');
    list.push(`tb${is}${report.topBitrate}`);
  }
  if (second) list.push(`v${is}2`);
  return list;
}

/** `CMCD=…` for a query string. */
export function cmcdQuery(report: CmcdReport): string {
  return `CMCD=${pairs(report, encoded).join('%2C')}`;
}

const headerOfKey: Readonly<Record<string, string>> = {
  br: 'Object', d: 'Object', ot: 'Object', tb: 'Object',
  bl: 'Request', dl: 'Request', ltc: 'Request', mtp: 'Request', nor: 'Request', su: 'Request', sn: 'Request',
  cid: 'Session', pr: 'Session', sf: 'Session', sid: 'Session', st: 'Session', sta: 'Session', v: 'Session',
  bs: 'Status',
}; // prettier-ignore

/** The four `CMCD-…` request headers (CTA-5004 3.1), those that have something to say. */
export function cmcdHeaders(report: CmcdReport): [name: string, value: string][] {
  const values = new Map<string, string[]>();
  for (const pair of pairs(report, plain)) {
    const header = `CMCD-${headerOfKey[pair.split('=', 1)[0] as string]}`;
    values.set(header, [...(values.get(header) ?? []), pair]);
  }
  return [...values].map(([name, list]) => [name, list.join(',')]);
}
