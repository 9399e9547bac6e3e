import { z } from 'zod';
import { RevokerError } from '../errors.js';

const list = (pattern: RegExp, what: string): z.ZodArray<z.ZodString> =>
  z.array(z.string().regex(pattern, `expected ${what}`)).min(1);

/** Places as CloudFront names them; a viewer is in them where any listed value matches. */
export const blackoutPlacesSchema = z
  .strictObject({
    /** ISO 3166-1 alpha-2: `US`. */
    country: list(/^[A-Z]{2}$/, 'a two-letter country code such as US').optional(),
    /** ISO 3166-2, country included: `US-CA`. */
    region: list(/^[A-Z]{2}-[A-Z0-9]{1,3}$/, 'a region code such as US-CA').optional(),
    /** Nielsen DMA code, United States only: `807`. */
    metro: list(/^\d{3}$/, 'a three-digit US metro code such as 807').optional(),
    /** Postal code as CloudFront sends it: `94110`. */
    postal: list(/^[A-Za-z0-9][A-Za-z0-9 -]{0,11}$/, 'a postal code such as 94110').optional(),
  })
  .refine((places) => Object.values(places).some((values) => values !== undefined), {
    message: 'expected at least one of country, region, metro, postal',
  });

export type BlackoutPlaces = z.infer<typeof blackoutPlacesSchema>;

/** The rule of `b:<content id>`, as the edge reads it. */
export const blackoutRuleSchema = z
  .strictObject({
    /** Dark where any value matches. */
    deny: blackoutPlacesSchema.optional(),
    /** Dark unless a value matches. */
    allow: blackoutPlacesSchema.optional(),
    /** Epoch seconds; absent: from now on. */
    from: z.number().int().positive().lt(1e11, 'expected epoch seconds').optional(),
    /** Epoch seconds; absent: until cleared. */
    until: z.number().int().positive().lt(1e11, 'expected epoch seconds').optional(),
    /** Where CloudFront does not know the viewer's place. Default refuse. */
    onUnknown: z.enum(['refuse', 'allow']).optional(),
    /** Path that playlist requests are sent to instead of being refused. */
    slate: z
      .string()
      .regex(/^\/[^\s?#\\]*$/, 'expected a path that starts with /')
      .optional(),
  })
  .refine(({ deny, allow }) => (deny === undefined) !== (allow === undefined), {
    message: 'expected either deny or allow',
  })
  .refine(({ from, until }) => from === undefined || until === undefined || from < until, {
    message: 'expected from to lie before until',
  });

export type BlackoutRule = z.infer<typeof blackoutRuleSchema>;

/** A blackout in the ledger. */
export interface BlackoutValue {
  readonly rule: BlackoutRule;
  /** `manual`, or `schedule:<name>` where a schedule put it there and may take it away. */
  readonly source: string;
  readonly by: string;
  readonly at: number;
  readonly reason: string;
}

/** Checks a rule. @throws RevokerError `invalid_request`, naming the field and what was expected */
export function parseBlackoutRule(value: unknown, about: string): BlackoutRule {
  const parsed = blackoutRuleSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new RevokerError(
    'invalid_request',
    `Blackout of ${about}: ${path ? `${path}: ` : ''}${issue?.message ?? 'invalid'}.`,
  );
}

/** The text of `b:<content id>`: fields in one order, lists sorted, so that equal rules are equal bytes. */
export function blackoutText(rule: BlackoutRule): string {
  const places = (from: BlackoutPlaces | undefined): object | undefined =>
    from && {
      ...(from.country ? { country: sorted(from.country) } : {}),
      ...(from.region ? { region: sorted(from.region) } : {}),
      ...(from.metro ? { metro: sorted(from.metro) } : {}),
      ...(from.postal ? { postal: sorted(from.postal) } : {}),
    };
  const text = JSON.stringify({
    deny: places(rule.deny),
    allow: places(rule.allow),
    from: rule.from,
    until: rule.until,
    onUnknown: rule.onUnknown,
    slate: rule.slate,
  });
  if (Buffer.byteLength(text) > 1024) {
    throw new RevokerError(
      'invalid_request',
      `A blackout has at most 1,024 bytes; this one has ${Buffer.byteLength(text)}.`,
      {
        hint: 'Name regions or metros instead of many postal codes, or turn the list round (allow instead of deny).',
      },
    );
  }
  return text;
}

function sorted(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}

/** A content id must fit a key of the store together with `b:`. */
export function checkContentId(content: string): string {
  const bytes = Buffer.byteLength(content);
  if (bytes === 0 || bytes > 510) {
    throw new RevokerError('invalid_request', `A content id has 1 to 510 bytes, not ${bytes}.`);
  }
  return content;
}
