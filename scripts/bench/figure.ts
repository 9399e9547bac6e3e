/** One measured figure of `npm run bench`. */
export interface BenchFigure {
  /** Dotted name, stable for machines to read: `edge.catTypical.hmacUnits`. */
  readonly name: string;
  readonly value: number;
  /** What the value counts: `hmac`, `bytes`, `ms`, `rows/s`, … */
  readonly unit: string;
  /** The design's limit for this figure, if it has one. */
  readonly budget?: number;
  /** True when the budget is a floor, not a ceiling. */
  readonly higherIsBetter?: boolean;
  /** How it was measured, or what to know when reading it. */
  readonly note?: string;
}
