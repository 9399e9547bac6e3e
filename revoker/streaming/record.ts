import { createHash } from 'node:crypto';
import { decode } from '@portcullis/tokens/decode';
import { addressToHex, rangeOfNetwork } from '../detection/addresses.js';
import { cmcdInHeaders } from '../detection/cmcd.js';
import type { DetectionConfig, LogPlacement } from '../detection/config.js';
import { mapFields, missingFields } from '../detection/fields.js';
import type { SessionKind } from '../detection/features.js';
import { placeOf } from '../detection/place.js';
import { pathPrefix } from '../detection/requests.js';
import { sessionOfToken } from '../detection/token-session.js';

/** One media request of a real-time log, without its token. */
export interface StreamedRequest {
  readonly session: string;
  readonly sessionKind: SessionKind;
  /** Seconds since 1970. */
  readonly at: number;
  readonly place: string;
  readonly asn: number | undefined;
  readonly country: string | undefined;
  readonly content: string;
  readonly track: 'audio' | 'video';
  readonly position: number;
  readonly player: string | undefined;
  readonly tool: boolean;
  readonly hosting: boolean;
  readonly cmcd: boolean;
  /** Whether it carried a token of another session, too. */
  readonly contested: boolean;
}

/** A record that cannot be read; the message names no value of it, for a record carries a live token. */
export class PoisonRecord extends Error {
  readonly code = 'poison_record';
}

/** What the edge checked and served, as in the logs at rest. */
const servedStatuses = new Set([200, 206, 304]);
const initialisationName = /(?:^|[^a-z])init(?:[^a-z]|$|ial|seg)/i;
const textName = /(?:subtitle|caption)[^/]*\/|\.cmft$/i;
const tokenHead = /^(?:ey|0Y|0o|0I|2D|hE|g0)/;
const mediaName = /\.(?:m4s|ts|mp4|m4v|m4a|cmfv|cmfa|aac|m2ts|webm|mp3|ac3|ec3)$/i;
const audioName = /audio|\.m4a|\.cmfa|\.aac|\.mp3|\.ac3|\.ec3/i;
const headerType = new RegExp(cmcdInHeaders('ot'));
const headerPlayer = new RegExp(cmcdInHeaders('sid'));
const shortestToken = 40;
/** Tokens that the edge looks at in a request. */
const mostTokens = 6;

/** A short name that stays the same, for texts of any length. */
export function shortHash(text: string, length = 8): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, length);
}

/** Reads records of one field order. */
export function recordReader(
  fields: readonly string[],
  config: DetectionConfig,
): (data: string, now: number) => StreamedRequest | undefined {
  const missing = missingFields(fields);
  if (missing.length > 0) throw new Error(`the real-time log's fields lack ${missing.join(', ')}`);
  const found = mapFields(fields);
  const index = Object.fromEntries(Object.entries(found).map(([field, column]) => [field, fields.indexOf(column)]));
  const segmentNumber = new RegExp(config.segmentNumber);
  const hosting = new Set(config.hostingAsns);
  const tools = new Set(config.tools.map((tool) => tool.toLowerCase()));
  const allowedNetworks = config.allow.networks.map(rangeOfNetwork).filter((range) => range !== undefined);
  const allowedSubjects = new Set(config.allow.subjects);

  /** `undefined`: a readable record that is no evidence (no token, refused, no media, on the allow list). */
  return (data, now) => {
    const line = Buffer.from(data, 'base64')
      .toString('utf8')
      .replace(/\r?\n$/, '');
    const values = line.split('\t');
    if (values.length !== fields.length)
      throw new PoisonRecord(`${values.length} columns where ${fields.length} are configured`);
    const value = (field: string): string | undefined => {
      const at = index[field];
      const text = at === undefined ? undefined : values[at];
      return text === undefined || text === '-' || text === '' ? undefined : text;
    };
    const at = Math.floor(Number(value('timestamp') ?? NaN));
    const status = Number(value('status') ?? NaN);
    const path = value('path');
    const address = value('address') ?? '';
    const hex = addressToHex(address);
    if (!Number.isFinite(at) || at <= 0) throw new PoisonRecord('no time');
    if (at > now + config.clockSkewSeconds) throw new PoisonRecord('a time in the future');
    if (!Number.isInteger(status)) throw new PoisonRecord('no status');
    if (path === undefined || hex === undefined) throw new PoisonRecord('no path or no address');

    const method = value('method');
    if (!servedStatuses.has(status) || (method !== undefined && method !== 'GET' && method !== 'HEAD'))
      return undefined;
    if (config.publicPaths.some((prefix) => path === prefix || path.startsWith(`${prefix.replace(/\/+$/, '')}/`)))
      return undefined;
    const segments = path.split('/');
    const headers = value('headers') ?? '';
    const { found, several } = tokensOf(config.placements, segments, path, value('query'), value('cookie'), headers);
    const [token, ...rivals] = found;
    const names = segments.map(plainName);
    const file = names.at(-1) ?? '';
    const numbered = segmentNumber.exec(file)?.[1];
    const position = numbered ?? (/^\d{1,15}$/.test(value('range-start') ?? '') ? value('range-start') : undefined);
    if (token === undefined || position === undefined || !mediaName.test(file) || initialisationName.test(file))
      return undefined;
    const query = value('query')?.replaceAll('%25', '%') ?? '';
    const type =
      value('cmcd-type') ?? /(?:%2C|CMCD%3D|CMCD=)ot%3D([a-z]+)/.exec(query)?.[1] ?? headerType.exec(headers)?.[1];
    if (textName.test(`${names.at(-2) ?? ''}/${file}`)) return undefined;
    const player = value('cmcd-session') ?? /sid%3D%22(.+?)%22/.exec(query)?.[1] ?? headerPlayer.exec(headers)?.[1];
    const asnText = value('asn');
    const asn = asnText === undefined || !/^\d+$/.test(asnText) ? undefined : Number(asnText);
    const country = value('country');
    if (allowedNetworks.some((range) => hex >= range.first && hex <= range.last)) return undefined;
    const { session, sessionKind } = sessionOfToken(token);
    const contested = several || rivals.some((rival) => sessionOfToken(rival).session !== session);
    if (!contested && allowedSubjects.size > 0 && allowedSubjects.has(subjectOf(token) ?? '')) return undefined;
    return {
      session,
      sessionKind,
      at,
      place: placeOf(address, asn, config) as string,
      asn,
      country: country !== undefined && /^[A-Za-z]{2}$/.test(country) ? country.toUpperCase() : undefined,
      content: shortHash(
        names
          .filter((segment) => segment.length < shortestToken)
          .slice(0, -2)
          .join('/'),
        4,
      ),
      track:
        (type !== undefined && /^(?:a|c|tt)$/.test(type)) ||
        numbered === undefined ||
        (type === undefined && audioName.test(`${names.at(-2) ?? ''}/${file}`))
          ? 'audio'
          : 'video',
      position: Number(position),
      player: player === undefined ? undefined : shortHash(player, 5),
      tool: tools.has((value('agent') ?? '').split('/')[0]?.toLowerCase() ?? ''),
      hosting: asn !== undefined && hosting.has(asn),
      cmcd: player !== undefined || type !== undefined || query.includes('CMCD=') || /cmcd-/i.test(headers),
      contested,
    };
  };
}

/** The account that a token names, of any format. */
function subjectOf(token: string): string | undefined {
  try {
    return decode(token).subject;
  } catch {
    return undefined;
  }
}

/** A name in a path as an origin reads it: without parameters and escapes, once or twice encoded. */
function plainName(name: string): string {
  const bare = name.split(';')[0] as string;
  if (!bare.includes('%')) return bare;
  try {
    return decodeURIComponent(bare.replaceAll('%25', '%'));
  } catch {
    return bare;
  }
}

/** The texts that may be a request's token, in the order of the placements; and whether one place has more than is looked at. */
function tokensOf(
  placements: readonly LogPlacement[],
  segments: readonly string[],
  path: string,
  query: string | undefined,
  cookie: string | undefined,
  headers: string | undefined,
): { readonly found: readonly string[]; readonly several: boolean } {
  const found: string[] = [];
  let several = false;
  const add = (text: string | undefined): void => {
    if (text === undefined || text.length < shortestToken || !tokenHead.test(text)) return;
    const bare = text.replace(/(?:=|%(?:25)?3d)+$/i, '');
    if (!found.includes(bare)) found.push(bare);
  };
  for (const placement of placements) {
    if (placement.kind === 'path') {
      const prefix = pathPrefix(placement);
      if (placement.mode === 'first') add(segments[1]);
      else if (path.startsWith(`${prefix}/`)) add(segments[prefix.split('/').length]);
    } else if (placement.kind === 'header') {
      const header = /(?:common-access-token|authorization)(?::|%3A)(?:%20| )*(?:Bearer(?:%20| )+)?([A-Za-z0-9_.-]+)/i;
      add(header.exec(headers ?? '')?.[1]);
    } else {
      const name = (placement.name ?? 'CAT').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const [start, text] = {
        query: [`(?:^|&)${name}=`, query],
        'path-parameter': [`;${name}=`, path],
        cookie: [`(?:^|[; ]|%20|%3B)${name}(?:=|%3D)`, cookie],
      }[placement.kind] as [string, string | undefined];
      const values = [...(text ?? '').matchAll(new RegExp(`${start}([A-Za-z0-9_.-]+)`, 'g'))].map(([, one]) => one);
      values.slice(0, mostTokens).forEach(add);
      if (values.length > mostTokens) several = true;
    }
  }
  return { found, several };
}
