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

const media = (report: CmcdReport): boolean => report.objectType !== 'm';

/** The report as pairs, in the alphabetical order that the query form asks for. */
function pairs(report: CmcdReport): string[] {
  const list: string[] = [];
  if (media(report)) {
    list.push(`bl=${report.bufferLength}`, `br=${report.bitrate}`);
    if (report.starved) list.push('bs');
  }
  list.push(`cid="${report.contentId}"`);
  if (media(report)) {
    list.push(`d=${report.duration}`, `dl=${report.bufferLength}`);
    if (report.version === 2) list.push(`ltc=${report.latency}`);
    list.push(`mtp=${report.throughput}`, `nor="${report.nextObject}"`);
  }
  list.push(`ot=${report.objectType}`);
  if (report.playbackRate !== 1) list.push(`pr=${report.playbackRate}`);
  list.push(`sf=${report.streamingFormat}`, `sid="${report.sessionId}"`);
  if (report.version === 2) list.push(`sn=${report.sequence}`);
  list.push(`st=${report.streamType}`);
  if (report.version === 2) list.push(`sta=${report.startup ? 's' : report.starved ? 'r' : 'p'}`);
  if (media(report)) {
    if (report.startup) list.push('su');
    list.push(`tb=${report.topBitrate}`);
  }
  if (report.version === 2) list.push('v=2');
  return list;
}

const encodedMarks: Readonly<Record<string, string>> = { ',': '%2C', '=': '%3D', '"': '%22', '/': '%2F', ' ': '%20' };
const encodeMarks = (text: string): string => text.replace(/[,="/ ]/g, (mark) => encodedMarks[mark] as string);

/** `CMCD=…` for a query string. */
export function cmcdQuery(report: CmcdReport): string {
  return `CMCD=${encodeMarks(pairs(report).join(','))}`;
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
  for (const pair of pairs(report)) {
    const header = `CMCD-${headerOfKey[pair.split('=', 1)[0] as string]}`;
    values.set(header, [...(values.get(header) ?? []), pair]);
  }
  return [...values].map(([name, list]) => [name, list.join(',')]);
}
