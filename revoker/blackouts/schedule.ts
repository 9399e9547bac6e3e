import { readFile, stat } from 'node:fs/promises';
import { RevokerError } from '../errors.js';
import { checkContentId, parseBlackoutRule, type BlackoutRule } from './rule.js';

/** One row of a schedule. */
export interface ScheduledBlackout {
  readonly content: string;
  readonly rule: BlackoutRule;
}

const maxScheduleBytes = 20_000_000;

/**
 * Reads a schedule whole, or not at all: an answer that is cut short, not 200, or not what it says it is, is an error.
 * @throws RevokerError `schedule_invalid`
 */
export async function readSchedule(source: string, options: { readonly fetch?: typeof fetch } = {}): Promise<string> {
  if (!/^https?:\/\//.test(source)) return readScheduleFile(source);
  let response: Response;
  try {
    response = await (options.fetch ?? fetch)(source, { signal: AbortSignal.timeout(30_000) });
    if (response.status !== 200) throw new Error(`it answered ${response.status}`);
    const body = Buffer.from(await response.arrayBuffer());
    const promised = response.headers.get('content-length');
    const encoded = response.headers.has('content-encoding');
    if (promised !== null && !encoded && Number(promised) !== body.length) {
      throw new Error(`it sent ${body.length} of ${promised} bytes`);
    }
    if (body.length > maxScheduleBytes) throw new Error(`it is larger than ${maxScheduleBytes} bytes`);
    return body.toString('utf8');
  } catch (error) {
    throw unreadable(source, error);
  }
}

async function readScheduleFile(file: string): Promise<string> {
  try {
    const before = await stat(file);
    if (before.size > maxScheduleBytes) throw new Error(`it is larger than ${maxScheduleBytes} bytes`);
    const text = await readFile(file);
    const after = await stat(file);
    if (text.length !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
      throw new Error('it is being written');
    }
    return text.toString('utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(source: string, error: unknown): RevokerError {
  const { message, cause } = error as Error;
  const detail = cause instanceof Error ? `${message} (${cause.message})` : message;
  return new RevokerError(
    'schedule_invalid',
    `The schedule ${source} could not be read: ${detail}. Nothing was changed.`,
    {
      cause: error,
    },
  );
}

/**
 * Parses a schedule: JSON (an array of rows, or `{"blackouts":[…]}`) or CSV with a header line. Every row must be
 * right, or none is taken. A CSV must end with a line end; `# rows: <n>` as its last line proves that it is whole.
 *
 * CSV columns: `content`, `list` (deny or allow), `country`, `region`, `metro`, `postal` (values separated by spaces or
 * `;`), `from`, `until` (ISO 8601 or epoch seconds), `onUnknown`, `slate`.
 */
export function parseSchedule(text: string): ScheduledBlackout[] {
  const trimmed = text.replace(/^\ufeff/, '');
  const isJson = /^\s*[[{]/.test(trimmed);
  const rows = isJson ? jsonRows(trimmed) : csvRows(trimmed);
  return rows.map(({ at, row }) => {
    try {
      const { content, ...rule } = row;
      if (typeof content !== 'string') throw new RevokerError('schedule_invalid', 'content: expected a content id');
      return { content: checkContentId(content), rule: parseBlackoutRule(withTimes(rule), content) };
    } catch (error) {
      throw new RevokerError('schedule_invalid', `${at}: ${(error as Error).message} Nothing was changed.`, {
        cause: error,
      });
    }
  });
}

interface Row {
  readonly at: string;
  readonly row: Record<string, unknown>;
}

function jsonRows(text: string): Row[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new RevokerError(
      'schedule_invalid',
      `The schedule is not whole JSON: ${(error as Error).message}. Nothing was changed.`,
    );
  }
  const list = Array.isArray(parsed) ? parsed : (parsed as Record<string, unknown>)['blackouts'];
  if (!Array.isArray(list) || list.some((row) => row === null || typeof row !== 'object')) {
    throw new RevokerError(
      'schedule_invalid',
      'A schedule is an array of blackouts, or {"blackouts": […]}. Nothing was changed.',
    );
  }
  return list.map((row, i) => ({ at: `blackouts[${i}]`, row: row as Record<string, unknown> }));
}

const columns = ['content', 'list', 'country', 'region', 'metro', 'postal', 'from', 'until', 'onUnknown', 'slate'];

function csvRows(text: string): Row[] {
  if (!/\n$/.test(text)) {
    throw new RevokerError(
      'schedule_invalid',
      'The schedule does not end with a line end: it may be cut short. Nothing was changed.',
    );
  }
  const lines = text.split(/\r?\n/).slice(0, -1);
  const promised = /^#\s*rows:\s*(\d+)\s*$/.exec(lines.at(-1) ?? '')?.[1];
  const [header = '', ...rest] = lines.filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const names = parseCsvLine(header);
  const unknown = names.find((name) => !columns.includes(name));
  if (unknown !== undefined || !names.includes('content')) {
    throw new RevokerError(
      'schedule_invalid',
      `The schedule's first line names its columns: ${columns.join(',')}${unknown === undefined ? '' : `; ${JSON.stringify(unknown)} is none of them`}. Nothing was changed.`,
    );
  }
  if (promised !== undefined && Number(promised) !== rest.length) {
    throw new RevokerError(
      'schedule_invalid',
      `The schedule has ${rest.length} of ${promised} rows. Nothing was changed.`,
    );
  }
  return rest.map((line, i) => ({ at: `row ${i + 1}`, row: csvRow(names, line, i + 1) }));
}

function csvRow(names: readonly string[], line: string, number: number): Record<string, unknown> {
  const cells = parseCsvLine(line);
  if (cells.length !== names.length) {
    throw new RevokerError(
      'schedule_invalid',
      `row ${number}: ${names.length} columns were expected, not ${cells.length}. Nothing was changed.`,
    );
  }
  const cell = (name: string): string => (cells[names.indexOf(name)] ?? '').trim();
  const places = Object.fromEntries(
    ['country', 'region', 'metro', 'postal']
      .filter((name) => cell(name) !== '')
      .map((name) => [name, cell(name).split(/[;\s]+/)]),
  );
  const optional = ['from', 'until', 'onUnknown', 'slate'].filter((name) => cell(name) !== '');
  return {
    content: cell('content'),
    [cell('list') === '' ? 'deny' : cell('list')]: places,
    ...Object.fromEntries(optional.map((name) => [name, cell(name)])),
  };
}

/** Cells of one CSV line (RFC 4180 quoting; no line ends inside a cell). */
export function parseCsvLine(line: string): string[] {
  const cells: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(,|$)/gy;
  while (pattern.lastIndex <= line.length) {
    const match = pattern.exec(line);
    if (!match) throw new RevokerError('schedule_invalid', `This line is not CSV: ${line.slice(0, 80)}`);
    cells.push(match[1] === undefined ? (match[2] ?? '').trimEnd() : match[1].replaceAll('""', '"'));
    if (match[3] === '') break;
  }
  return cells;
}

function withTimes(rule: Record<string, unknown>): Record<string, unknown> {
  const times = { ...rule };
  for (const name of ['from', 'until']) {
    const value = times[name];
    if (typeof value === 'string') times[name] = epochSeconds(value) ?? value;
  }
  return times;
}

/** ISO 8601 with a zone, or epoch seconds. A local time without a zone would mean another moment on another machine. */
export function epochSeconds(text: string): number | undefined {
  if (/^\d{9,10}$/.test(text)) return Number(text);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/.test(text)) return undefined;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}
