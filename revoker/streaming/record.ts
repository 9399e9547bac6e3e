import { createHash } from 'node:crypto';
import { decode } from '@portcullis/tokens/decode';
import { addressToHex, rangeOfNetwork } from '../detection/addresses.js';
import { cmcdInHeaders } from '../detection/cmcd.js';
import type { DetectionConfig, LogPlacement } from '../detection/config.js';
import { mapFields, missingFields } from '../detection/fields.js';
import type { SessionKind } from '../detection/features.js';
import { placeOf } from '../detection/place.js';
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
}

/** A record that cannot be read; the message names no value of it, for a record carries a live token. */
export class PoisonRecord extends Error {
  readonly code = 'poison_record';
}

const mediaName = /\.(?:m4s|ts|mp4|m4v|m4a|cmfv|cmfa|aac|m2ts|webm|mp3|ac3|ec3)$/i;
const positionName = /([0-9]+)[^0-9.]*\.[A-Za-z0-9]+$/;
const audioName = /audio|\.m4a|\.cmfa|\.aac|\.mp3|\.ac3|\.ec3/i;
const headerType = new RegExp(cmcdInHeaders('ot'));
const headerPlayer = new RegExp(cmcdInHeaders('sid'));
const shortestToken = 40;

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
    if (status >= 400 || status < 100 || (method !== undefined && method !== 'GET' && method !== 'HEAD'))
      return undefined;
    if (config.publicPaths.some((prefix) => path === prefix || path.startsWith(`${prefix.replace(/\/+$/, '')}/`)))
      return undefined;
    const segments = path.split('/');
    const headers = value('headers') ?? '';
    const token = tokenOf(config.placements, segments, path, value('query'), value('cookie'), headers);
    const file = (segments.at(-1) ?? '').split(';')[0] as string;
    const number = /init/i.test(file) || !mediaName.test(file) ? undefined : positionName.exec(file)?.[1];
    if (token === undefined || number === undefined) return undefined;
    const query = value('query')?.replaceAll('%25', '%') ?? '';
    const type =
      value('cmcd-type') ?? /(?:%2C|CMCD%3D|CMCD=)ot%3D([a-z]+)/.exec(query)?.[1] ?? headerType.exec(headers)?.[1];
    if (type !== undefined && /^(?:i|m|c|tt|k)$/.test(type)) return undefined;
    const player = value('cmcd-session') ?? /sid%3D%22(.+?)%22/.exec(query)?.[1] ?? headerPlayer.exec(headers)?.[1];
    const asnText = value('asn');
    const asn = asnText === undefined || !/^\d+$/.test(asnText) ? undefined : Number(asnText);
    const country = value('country');
    if (allowedNetworks.some((range) => hex >= range.first && hex <= range.last)) return undefined;
    if (allowedSubjects.size > 0 && allowedSubjects.has(subjectOf(token) ?? '')) return undefined;
    const { session, sessionKind } = sessionOfToken(token);
    return {
      session,
      sessionKind,
      at,
      place: placeOf(address, asn, config) as string,
      asn,
      country: country !== undefined && /^[A-Za-z]{2}$/.test(country) ? country.toUpperCase() : undefined,
      content: shortHash(
        segments
          .filter((segment) => segment.length < shortestToken)
          .slice(0, -2)
          .join('/'),
        4,
      ),
      track:
        type === 'a' || (type === undefined && audioName.test(`${segments.at(-2) ?? ''}/${file}`)) ? 'audio' : 'video',
      position: Number(number),
      player: player === undefined ? undefined : shortHash(player, 5),
      tool: tools.has((value('agent') ?? '').split('/')[0]?.toLowerCase() ?? ''),
      hosting: asn !== undefined && hosting.has(asn),
      cmcd: player !== undefined || type !== undefined || query.includes('CMCD=') || /cmcd-/i.test(headers),
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

/** The token of a request, where a placement finds one. */
function tokenOf(
  placements: readonly LogPlacement[],
  segments: readonly string[],
  path: string,
  query: string | undefined,
  cookie: string | undefined,
  headers: string | undefined,
): string | undefined {
  const long = (text: string | undefined): string | undefined =>
    text !== undefined && text.length >= shortestToken ? text : undefined;
  for (const placement of placements) {
    let token: string | undefined;
    if (placement.kind === 'path') {
      const prefix = (placement.prefix ?? (placement.mode === 'marker' ? '/~t' : '/live')).replace(/\/+$/, '');
      if (placement.mode === 'first') token = long(segments[1]);
      else if (path.startsWith(`${prefix}/`)) token = long(segments[prefix.split('/').length]);
    } else if (placement.kind === 'header') {
      token = long(
        /(?:common-access-token|authorization)(?::|%3A)(?:%20| )*(?:Bearer(?:%20| )+)?([A-Za-z0-9_.-]+)/i.exec(
          headers ?? '',
        )?.[1],
      );
    } else {
      const name = (placement.name ?? 'CAT').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      if (placement.kind === 'query')
        token = long(new RegExp(`(?:^|&)${name}=([A-Za-z0-9_.-]+)`).exec(query ?? '')?.[1]);
      else if (placement.kind === 'path-parameter')
        token = long(new RegExp(`;${name}=([A-Za-z0-9_.-]+)`).exec(path)?.[1]);
      else token = long(new RegExp(`(?:^|[; ]|%20|%3B)${name}(?:=|%3D)([A-Za-z0-9_.-]+)`).exec(cookie ?? '')?.[1]);
    }
    if (token !== undefined) return token;
  }
  return undefined;
}
