import { RevokerError } from './errors.js';
import { parseCsvLine } from './blackouts/schedule.js';
import type { LedgerEntry, RevocationRequest } from './ledger/entry.js';
import { scopes, type Scope } from './scopes.js';

export type TransferFormat = 'jsonl' | 'csv';

const csvColumns = ['scope', 'id', 'state', 'reason', 'by', 'at', 'until', 'cutoff', 'remint'] as const;

/** The header line of a CSV export; JSON Lines have none. */
export function exportHeader(format: TransferFormat): string {
  return format === 'csv' ? `${csvColumns.join(',')}\n` : '';
}

/** One entry as a line of an export. */
export function exportLine(entry: LedgerEntry, format: TransferFormat): string {
  if (format === 'jsonl') return `${JSON.stringify(entry)}\n`;
  return `${csvColumns.map((column) => csvCell(entry[column])).join(',')}\n`;
}

const formulaStart = /^['=+@\t\r-]/;

function csvCell(value: unknown): string {
  if (value === undefined) return '';
  const text = String(value).replaceAll('\n', '\\n');
  // A spreadsheet must not take an id or a reason for a formula; the import takes the apostrophe off again.
  const safe = formulaStart.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Reads one line of an import: a JSON object, a line of a CSV with its header, or a bare id of `scope`.
 *
 * Lines of ended entries (`state` other than active) and of revocations that are over are skipped: undefined.
 * @throws RevokerError `import_invalid`, with the line's number
 */
export function createLineReader(options: {
  readonly scope?: Scope;
  readonly reason: string;
  readonly until?: number;
  /** Epoch seconds. */
  readonly now: number;
}): (line: string, number: number) => RevocationRequest | undefined {
  let header: string[] | undefined;
  return (line, number) => {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) return undefined;
    try {
      if (text.startsWith('{')) return requestOf(JSON.parse(text) as Record<string, unknown>, options);
      if (number === 1 && /^"?scope"?,|,"?id"?(,|$)/.test(text)) {
        header = parseCsvLine(text);
        return undefined;
      }
      if (header) {
        const cells = parseCsvLine(text);
        const row = Object.fromEntries(header.map((name, i) => [name, plainCell(cells[i])]));
        return requestOf(row, options);
      }
      return requestOf({ id: text }, options);
    } catch (error) {
      throw new RevokerError('import_invalid', `Line ${number}: ${(error as Error).message}`, { cause: error });
    }
  };
}

function plainCell(cell: string | undefined): string | undefined {
  if (cell === undefined || cell === '') return undefined;
  return cell.startsWith("'") && formulaStart.test(cell.slice(1)) ? cell.slice(1) : cell;
}

function requestOf(
  row: Record<string, unknown>,
  options: { readonly scope?: Scope; readonly reason: string; readonly until?: number; readonly now: number },
): RevocationRequest | undefined {
  const scope = row['scope'] ?? options.scope;
  if (typeof scope !== 'string' || !(scopes as readonly string[]).includes(scope)) {
    throw new Error(`a scope was expected (${scopes.join(', ')}), not ${JSON.stringify(scope)}`);
  }
  const id = row['id'];
  if (typeof id !== 'string') throw new Error(`an id was expected, not ${JSON.stringify(id)}`);
  const state = row['state'] ?? 'active';
  const until = numberOf(row['until'], 'until') ?? options.until;
  if (state !== 'active' || (until !== undefined && until <= options.now)) return undefined;
  const cutoff = numberOf(row['cutoff'], 'cutoff');
  const remint = row['remint'] === true || row['remint'] === 'true';
  return {
    scope: scope as Scope,
    id: scope === 'subject-content' ? id.replaceAll('\\n', '\n') : id,
    reason: typeof row['reason'] === 'string' && row['reason'] !== '' ? row['reason'] : options.reason,
    ...(until === undefined ? {} : { until }),
    ...(cutoff === undefined ? {} : { cutoff }),
    ...(remint ? { remint: true } : {}),
    ...(row['evidence'] === undefined ? {} : { evidence: row['evidence'] }),
  };
}

function numberOf(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) {
    throw new Error(`${name}: epoch seconds were expected, not ${JSON.stringify(value)}`);
  }
  return number;
}
