import { GetQueryResultsCommand, type AthenaClient, type Row } from '@aws-sdk/client-athena';
import { z } from 'zod';
import type { Judge } from './judge.js';
import type { Handler } from './observe.js';
import { part, type RunPage } from './parts.js';
import type { RunStore } from './runs.js';

const event = z.object({
  run: z.string().min(1),
  query: z.string().min(1),
  page: z.object({ number: z.int().min(0), nextToken: z.string().nullable() }),
});

export interface ReadPageAnswer {
  /** Pages read so far. */
  readonly number: number;
  /** Null after the last. */
  readonly nextToken: string | null;
}

export interface ReadPageOptions {
  readonly runs: RunStore;
  readonly athena: AthenaClient;
  readonly judge: Pick<Judge, 'read'>;
  /** Rows per page, at most 1,000. */
  readonly rows?: number;
}

/** A page names addresses and accounts: it goes once no execution can want it any more, which takes 30 hours at most. */
const pageDays = 2;

const valuesOf = (row: Row): (string | null)[] => (row.Data ?? []).map((cell) => cell.VarCharValue ?? null);

/** Reads one page of the query's result and keeps what is worth a second look. */
export function readPage(options: ReadPageOptions): Handler<unknown, ReadPageAnswer> {
  return async (given, scope) => {
    const { run, query, page } = event.parse(given);
    const result = await options.athena.send(
      new GetQueryResultsCommand({
        QueryExecutionId: query,
        MaxResults: options.rows ?? 500,
        ...(page.nextToken === null ? {} : { NextToken: page.nextToken }),
      }),
    );
    const columns = (result.ResultSet?.ResultSetMetadata?.ColumnInfo ?? []).map((column) => column.Name ?? '');
    // The first row of the first page repeats the column names.
    const rows = (result.ResultSet?.Rows ?? []).slice(page.nextToken === null ? 1 : 0);
    const read = options.judge.read(
      rows.map((row) => Object.fromEntries(valuesOf(row).map((value, i) => [columns[i] ?? `column${i}`, value]))),
    );
    await options.runs.put(run, part.page(page.number), read satisfies RunPage, pageDays);
    scope.count('sessionsSeen', read.sessions);
    scope.count('candidates', read.candidates.length);
    return { number: page.number + 1, nextToken: result.NextToken ?? null };
  };
}
