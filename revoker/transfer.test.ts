import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LedgerEntry } from './ledger/entry.js';
import { createLineReader, exportHeader, exportLine } from './transfer.js';

const now = 1_800_000_000;
const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30 }),
  fc.constantFrom('=HYPERLINK("x")', '-abc', '+1', '@x', "'quoted", "'=x", 'a,b', 'say "hi"', '# x', '{"a":1}'),
);
const printable = text.map((value) => value.replace(/[\s\\]/g, '.')).filter((value) => value.trim() === value);

describe('an export', () => {
  it.each(['csv', 'jsonl'] as const)('as %s gives back every id and reason that went in', (format) => {
    fc.assert(
      fc.property(fc.array(fc.record({ id: printable, reason: printable }), { maxLength: 8 }), (rows) => {
        const entries = rows.map(({ id, reason }): LedgerEntry => ({
          scope: 'session',
          id,
          state: 'active',
          version: 1,
          by: 'ann',
          at: now,
          reason,
          history: [],
        }));
        const file = exportHeader(format) + entries.map((entry) => exportLine(entry, format)).join('');
        const read = createLineReader({ reason: 'import', now });
        const back = file.split('\n').flatMap((line, i) => read(line, i + 1) ?? []);
        expect(back.map(({ id, reason }) => ({ id, reason }))).toEqual(rows);
      }),
    );
  });

  it('as CSV starts no cell as a formula', () => {
    const entry: LedgerEntry = {
      scope: 'subject',
      id: '=1+1',
      state: 'active',
      version: 1,
      by: '@ann',
      at: now,
      reason: '-cmd',
      history: [],
    };
    expect(exportLine(entry, 'csv')).toBe("subject,'=1+1,active,'-cmd,'@ann,1800000000,,,\n");
  });
});

describe('an import', () => {
  const read = createLineReader({ scope: 'token', reason: 'bulk', until: now + 60, now });

  it('takes bare ids, and leaves out comments, ended entries and what is over', () => {
    expect(read('AAECAw', 1)).toEqual({ scope: 'token', id: 'AAECAw', reason: 'bulk', until: now + 60 });
    expect(read('# note', 2)).toBeUndefined();
    expect(read('{"scope":"session","id":"a","state":"lifted"}', 3)).toBeUndefined();
    expect(read(`{"scope":"session","id":"a","until":${now}}`, 4)).toBeUndefined();
  });

  it.each([
    ['{"scope":"planet","id":"a"}', /Line 7: a scope was expected/],
    ['{"scope":"token"}', /Line 7: an id was expected/],
    ['{"scope":"token","id":"a","until":"soon"}', /Line 7: until: epoch seconds/],
    ['{"scope":"token"', /Line 7/],
  ])('refuses %s, naming the line', (line, message) => {
    expect(() => read(line, 7)).toThrow(message);
  });
});
