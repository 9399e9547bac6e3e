// AWS WAF finds injections with a library of its own. These stand in for it in simulations: the textbook forms, and
// every simulation that uses them says that its figure is approximate.

/** Judges one inspected value. */
export type InjectionDetector = (value: string) => boolean;

const sqlLow: readonly RegExp[] = [
  /\bunion\b[^]{0,40}\bselect\b/i,
  /['"]\s*(or|and)\s+['"]?\w+['"]?\s*(=|like|<|>)/i,
  /\b(or|and)\s+\d+\s*=\s*\d+/i,
  /['"]\s*;\s*(drop|delete|insert|update|alter|create|exec)\b/i,
  /\b(sleep|benchmark|pg_sleep|waitfor\s+delay)\s*\(?/i,
  /\bselect\b[^]{1,80}\bfrom\b[^]{0,40}\b(information_schema|sysobjects|pg_catalog)\b/i,
];
const sqlHigh: readonly RegExp[] = [
  ...sqlLow,
  /\bselect\b[^]{1,80}\bfrom\b/i,
  /['"]\s*(--|#|\/\*)/,
  /\bdrop\s+table\b/i,
];

/** SQL injection at the sensitivity of the statement. */
export const looksLikeSqlInjection =
  (sensitivity: 'LOW' | 'HIGH'): InjectionDetector =>
  (value) =>
    (sensitivity === 'HIGH' ? sqlHigh : sqlLow).some((form) => form.test(value));

const script: readonly RegExp[] = [
  /<\s*script\b/i,
  /<\s*(iframe|object|embed|svg|math|img|body|video|audio|details)\b[^>]*\son\w+\s*=/i,
  /\bjavascript\s*:/i,
  /\bon(error|load|click|mouseover|focus|toggle)\s*=\s*["'`]?[^"'\s>]/i,
  /<\s*iframe\b/i,
];

/** Cross-site scripting. */
export const looksLikeScript: InjectionDetector = (value) => script.some((form) => form.test(value));
