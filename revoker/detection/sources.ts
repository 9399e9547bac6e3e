import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import { missingFields, normaliseFieldName, realTimeFields, standardFields } from './fields.js';

/** Files of one format and one list of columns: what a single scan reads. */
export interface LogSource {
  readonly format: 'tsv' | 'json' | 'parquet';
  /** As DuckDB takes them: a wildcard in a name stands in brackets. */
  readonly files: readonly string[];
  /** The columns as the files spell them; for Parquet found by the engine. */
  readonly columns: readonly string[];
  /** Lines before the first record that carry names, not values. */
  readonly headerLines: number;
  readonly compressed: boolean;
}

/** A file that was left out, and why. */
export interface SkippedFile {
  readonly file: string;
  readonly why: string;
}

export interface LogSources {
  readonly sources: readonly LogSource[];
  readonly skipped: readonly SkippedFile[];
  /** Bytes on disk of all files that are read. */
  readonly bytes: number;
}

/** Logs that cannot be found or read at all. */
export class LogSourceError extends Error {
  readonly code = 'log_source';
}

const headBytes = 256 * 1024;
const wildcard = /[*?[\]{}]/;
/** What DuckDB takes for a wildcard in the name of a file that is there. */
const engineWildcard = /[*?[]/;

/** A file's name as DuckDB takes it for itself: a wildcard stands in a class of its own. */
const engineName = (file: string): string => file.replace(/[*?[]/g, '[$&]');

/**
 * Finds the logs under files, folders and globs, and looks at each one's beginning to tell its format and columns.
 *
 * @param fields The columns of files that have no header line, in their order; default: told by their number.
 * @throws {LogSourceError} when nothing is there to read.
 */
export async function findLogs(places: readonly string[], fields?: readonly string[]): Promise<LogSources> {
  const files = [...new Set((await Promise.all(places.map(expand))).flat())].sort();
  if (files.length === 0) throw new LogSourceError(`No log file found at ${places.join(', ')}`);
  const skipped: SkippedFile[] = [];
  const groups = new Map<string, { source: LogSource; files: string[] }>();
  let bytes = 0;
  for (const file of files) {
    try {
      const source = await inspect(file, fields);
      if (typeof source === 'string') {
        skipped.push({ file, why: source });
        continue;
      }
      if (source.compressed && engineWildcard.test(file)) {
        skipped.push({ file, why: 'its name holds *, ? or [, which stand for other names: rename it, or unpack it' });
        continue;
      }
      bytes += (await stat(file)).size;
      const key = JSON.stringify([source.format, source.columns, source.headerLines, source.compressed]);
      const group = groups.get(key);
      const name = engineName(file);
      if (group) group.files.push(name);
      else groups.set(key, { source, files: [name] });
    } catch (error) {
      skipped.push({ file, why: `cannot be opened (${(error as NodeJS.ErrnoException).code ?? 'unknown'})` });
    }
  }
  return {
    sources: [...groups.values()].map(({ source, files: members }) => ({ ...source, files: members })),
    skipped,
    bytes,
  };
}

async function expand(place: string): Promise<string[]> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isFile()) return [resolve(place)];
  if (found?.isDirectory()) {
    const entries = await readdir(place, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
      .map((entry) => resolve(join(entry.parentPath, entry.name)));
  }
  if (!wildcard.test(place)) throw new LogSourceError(`${place}: no such file or folder`);
  return globFiles(place);
}

/** `fs.glob` exists from Node 22 on: the folder in front of the first wildcard is walked instead. */
async function globFiles(pattern: string): Promise<string[]> {
  const parts = resolve(pattern).split('/');
  const first = parts.findIndex((part) => wildcard.test(part));
  const folder = parts.slice(0, first).join('/') || '/';
  const expression = globExpression(parts.slice(first).join('/'));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => expression.test(file.slice(folder.length).replace(/^\//, '')));
}

function globExpression(pattern: string): RegExp {
  const wrong = (why: string): LogSourceError => new LogSourceError(`${pattern}: ${why}`);
  let text = '';
  let braces = 0;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i] as string;
    if (pattern.startsWith('**/', i)) {
      text += '(?:.*/)?';
      i += 2;
    } else if (character === '*') text += '[^/]*';
    else if (character === '?') text += '[^/]';
    else if (character === '{') {
      text += '(?:';
      braces++;
    } else if (character === '}' && braces > 0) {
      text += ')';
      braces--;
    } else if (character === ',' && braces > 0) text += '|';
    else if (character === '[') {
      const [whole, not = '', members = ''] = /^\[([!^]?)(\]?[^\]]+)\]/.exec(pattern.slice(i)) ?? [];
      if (whole === undefined) throw wrong('a [ in it has no ] after it');
      text += `[${not && '^'}${members.replace(/[\\\]^[]/g, '\\$&')}]`;
      i += whole.length - 1;
    } else text += character.replace(/[.+^$()|\\\]{}]/g, '\\$&');
  }
  if (braces > 0) throw wrong('a { in it has no } after it');
  try {
    return new RegExp(`^${text}$`);
  } catch {
    throw wrong('it is no pattern; [a-z] wants its ends in order');
  }
}

async function head(file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: headBytes - 1 })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The source that a file makes by itself, or why it makes none. */
async function inspect(file: string, fields: readonly string[] | undefined): Promise<LogSource | string> {
  const raw = await head(file);
  if (raw.length === 0) return 'empty';
  if (raw.subarray(0, 4).toString('latin1') === 'PAR1') {
    return { format: 'parquet', files: [file], columns: [], headerLines: 0, compressed: false };
  }
  const compressed = raw[0] === 0x1f && raw[1] === 0x8b;
  let text: string;
  try {
    text = (compressed ? gunzipSync(raw, { finishFlush: constants.Z_SYNC_FLUSH }) : raw).toString('latin1');
  } catch {
    return 'damaged gzip';
  }
  const lines = text.split('\n');
  return text.startsWith('{')
    ? inspectJson(file, lines, compressed, text.length < headBytes)
    : inspectTsv(file, lines, compressed, fields);
}

function inspectJson(file: string, lines: readonly string[], compressed: boolean, whole: boolean): LogSource | string {
  const columns = new Set<string>();
  for (const line of whole ? lines : lines.slice(0, -1)) {
    try {
      for (const name of Object.keys(JSON.parse(line) as object)) columns.add(name);
    } catch {
      continue;
    }
  }
  const missing = missingFields([...columns]);
  if (missing.length > 0) return `JSON without ${missing.join(', ')}`;
  return { format: 'json', files: [file], columns: [...columns], headerLines: 0, compressed };
}

function inspectTsv(
  file: string,
  lines: readonly string[],
  compressed: boolean,
  fields: readonly string[] | undefined,
): LogSource | string {
  const named = lines.slice(0, 20).find((line) => line.startsWith('#Fields:'));
  const source = (columns: readonly string[], headerLines: number): LogSource => ({
    format: 'tsv',
    files: [file],
    columns: distinctNames(columns),
    headerLines,
    compressed,
  });
  if (named !== undefined) {
    const columns = named.slice('#Fields:'.length).trim().split(/\s+/);
    const missing = missingFields(columns);
    return missing.length > 0 ? `its #Fields line lacks ${missing.join(', ')}` : source(columns, 0);
  }
  const records = lines.filter((line) => line !== '' && !line.startsWith('#'));
  const first = (records[0] ?? '').replace(/\r$/, '').split('\t');
  if (missingFields(first).length === 0) return source(first, 1);
  if (fields !== undefined) return source(fields, 0);
  const width = mostCommon(records.slice(0, 200).map((line) => line.split('\t').length));
  const known = [standardFields, realTimeFields].find((candidate) => candidate.length === width);
  if (known !== undefined) return source(known, 0);
  return 'no header line, and no known number of columns: name them with --fields';
}

/** Two columns of one name would be refused; the first one counts. */
function distinctNames(columns: readonly string[]): string[] {
  const seen = new Set<string>();
  return columns.map((column, i) => {
    const name = normaliseFieldName(column);
    if (!seen.has(name)) {
      seen.add(name);
      return column;
    }
    return `${column} (column ${i + 1})`;
  });
}

function mostCommon(values: readonly number[]): number | undefined {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}
