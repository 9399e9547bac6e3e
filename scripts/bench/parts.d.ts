/** Every file of this folder that exports `bench`, by its name; found by the build (`scripts/build/bootstrap.mjs`). */
declare module 'portcullis:bench-parts' {
  import type { BenchFigure } from './figure.js';
  export const benchParts: Readonly<Record<string, () => Promise<{ bench(): Promise<BenchFigure[]> }>>>;
}
