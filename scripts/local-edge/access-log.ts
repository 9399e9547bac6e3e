import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * One request, under the field names of CloudFront's real-time logs. Text that CloudFront does not have is `-`, as there;
 * free text is percent-encoded, as there. Fields that begin with `sim-` are the local edge's own.
 */
export type AccessRecord = Readonly<Record<string, string | number>>;

export interface LineLog {
  write(record: Readonly<Record<string, unknown>>): void;
  close(): Promise<void>;
}

/** Appends JSON lines to a file. */
export async function openLineLog(file: string): Promise<LineLog> {
  await mkdir(dirname(file), { recursive: true });
  const stream = createWriteStream(file, { flags: 'a' });
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve());
    stream.once('error', reject);
  });
  stream.on('error', () => undefined);
  return {
    write: (record) => void stream.write(`${JSON.stringify(record)}\n`),
    close: () => new Promise((resolve) => stream.end(() => resolve())),
  };
}

/** Encodes what CloudFront encodes in free-text fields: control characters, spaces, quotes, percent signs, bytes ≥ 0x7f. */
export function logText(text: string | undefined): string {
  if (text === undefined || text === '') return '-';
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  const encoded = /[\u0000-\u0020"%\\\u007f-\u{10ffff}]/gu;
  return text.replace(encoded, (character) =>
    [...Buffer.from(character, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}

/** A path or query as sent; only what would break a line is encoded. */
export function logTarget(raw: string): string {
  if (raw === '') return '-';
  return raw.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u0020\u007f-\u00ff]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

// CTA-5004 keys and the log fields CloudFront makes of them.
const cmcdFields: Readonly<Record<string, string>> = {
  bl: 'cmcd-buffer-length',
  br: 'cmcd-encoded-bitrate',
  bs: 'cmcd-buffer-starvation',
  cid: 'cmcd-content-id',
  d: 'cmcd-object-duration',
  dl: 'cmcd-deadline',
  mtp: 'cmcd-measured-throughput',
  nor: 'cmcd-next-object-request',
  nrr: 'cmcd-next-range-request',
  ot: 'cmcd-object-type',
  pr: 'cmcd-playback-rate',
  rtp: 'cmcd-requested-maximum-throughput',
  sf: 'cmcd-streaming-format',
  sid: 'cmcd-session-id',
  st: 'cmcd-stream-type',
  su: 'cmcd-startup',
  tb: 'cmcd-top-bitrate',
  v: 'cmcd-version',
};

/** Common media client data of a request, from the `CMCD` query parameter or the four headers. */
export function cmcdOf(rawQuery: string, headers: readonly (readonly [string, string])[]): Record<string, string> {
  const parts: string[] = headers
    .filter(([name]) => /^cmcd-(request|object|status|session)$/i.test(name))
    .map(([, value]) => value);
  const parameter = /(?:^|&)CMCD=([^&]*)/.exec(rawQuery)?.[1];
  if (parameter !== undefined) {
    try {
      parts.push(decodeURIComponent(parameter));
    } catch {
      // Not readable as CMCD: the record goes without it.
    }
  }
  const found: Record<string, string> = {};
  for (const [, key, quoted, plain] of parts
    .join(',')
    .matchAll(/(?:^|,)\s*([a-z]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^,]*)))?/g)) {
    const field = cmcdFields[key ?? ''];
    if (field) found[field] = logText(quoted?.replace(/\\(.)/g, '$1') ?? plain ?? 'true');
  }
  return found;
}
