const bars = '▁▂▃▄▅▆▇█';

/**
 * A row of bars for a row of numbers, the highest bar for the largest; nothing for zero.
 *
 * @param full The highest bar stands for this much at least, so that a row of ones does not look like a row of many.
 * @param width Numbers are put together, the largest of each group counting, until no more than this many remain.
 */
export function sparkline(values: readonly number[], width = 24, full = 0): string {
  if (values.length === 0) return '';
  const group = Math.max(1, Math.ceil(values.length / width));
  const peaks: number[] = [];
  for (let at = 0; at < values.length; at += group) peaks.push(Math.max(...values.slice(at, at + group)));
  const top = Math.max(full, ...peaks);
  return peaks
    .map((peak) => (peak <= 0 || top <= 0 ? ' ' : (bars[Math.ceil((peak / top) * bars.length) - 1] as string)))
    .join('');
}
