import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRateWindow } from './rate-window.js';

/** The same model, written down without any economy. */
function plainly(limit: number, slices: number, prompt: boolean, hits: readonly number[]): boolean[] {
  const seen: number[] = [];
  return hits.map((slice) => {
    const latest = Math.max(slice, ...seen, Number.NEGATIVE_INFINITY);
    seen.push(slice);
    const before = seen.filter((each) => each < slice && each >= slice - slices).length;
    const within = seen.filter((each) => each > latest - slices && each <= latest).length;
    return prompt ? within > limit : before > limit;
  });
}

describe('rate windows', () => {
  test.each([true, false])('agree with the plain model (prompt: %s)', (prompt) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 }),
        (limit, gaps) => {
          // Mostly no gap, now and then one of up to nine slices, over a window of six.
          let slice = 100;
          const hits = gaps.map((gap) => (slice += gap > 6 ? gap : gap > 4 ? 1 : 0));
          const window = createRateWindow(limit, 60, prompt);
          expect(hits.map((each) => window.hit('k', each * 10_000))).toEqual(plainly(limit, 6, prompt, hits));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('late records count in their own slice, and those older than the window not at all', () => {
    const window = createRateWindow(2, 60, true);
    expect(window.hit('k', 100_000)).toBe(false);
    expect(window.hit('k', 80_000)).toBe(false);
    expect(window.hit('k', 10_000)).toBe(false);
    expect(window.hit('k', 101_000)).toBe(true);
  });

  test('keys that fell silent are dropped', () => {
    const window = createRateWindow(10, 60, true);
    for (let i = 0; i < 250_000; i++) window.hit(`k${i}`, i);
    for (let i = 0; i < 250_000; i++) window.hit(`l${i}`, 1_000_000 + i);
    expect(window.size).toBeLessThan(400_000);
  });
});
