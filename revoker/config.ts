import { z } from 'zod';
import { durationSeconds, type Duration } from '@portcullis/tokens/duration';

const duration = z
  .union([z.number(), z.string()])
  .refine(
    (value) => {
      try {
        return durationSeconds(value as Duration, 'duration') > 0;
      } catch {
        return false;
      }
    },
    { message: "expected a duration such as '2h', '30d' or seconds" },
  )
  .transform((value) => durationSeconds(value as Duration, 'duration'));

const storeArn = z
  .string()
  .regex(
    /^arn:aws[\w-]*:cloudfront::\d{12}:key-value-store\/[\w-]+$/,
    'expected the ARN of a CloudFront KeyValueStore',
  );

const loopbackUrl = z.url({ message: 'expected a URL such as http://127.0.0.1:8000' });

/** The stores, the ledger, the other targets, and how long revocations last when nobody says. */
export const revokerConfigSchema = z.strictObject({
  /** KeyValueStores to project to: one for each account or group of distributions. */
  stores: z
    .array(
      z.strictObject({
        /** What operators call it. Default: the end of the ARN. */
        name: z.string().min(1).optional(),
        arn: storeArn,
        region: z.string().optional(),
        /** A loopback service instead of AWS. */
        endpoint: loopbackUrl.optional(),
      }),
    )
    .default([]),
  ledger: z
    .strictObject({
      /** DynamoDB table. */
      table: z
        .string()
        .regex(/^[\w.-]{3,255}$/, 'expected a DynamoDB table name')
        .default('portcullis-ledger'),
      region: z.string().optional(),
      endpoint: loopbackUrl.optional(),
      /** Days that ended entries are kept. */
      historyDays: z.number().int().positive().default(400),
    })
    .prefault({}),
  targets: z
    .strictObject({
      ivs: z
        .array(
          z.strictObject({
            name: z.string().min(1).optional(),
            channelArn: z
              .string()
              .regex(/^arn:aws[\w-]*:ivs:[\w-]+:\d{12}:channel\/\w+$/, 'expected the ARN of an IVS channel'),
          }),
        )
        .default([]),
      webhooks: z
        .array(
          z.strictObject({
            name: z.string().min(1),
            url: z.url({ protocol: /^https$/, message: 'expected an https URL' }),
            /** Name of the secret (Secrets Manager) that deliveries are signed with. */
            secret: z.string().min(1),
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** Default lives of revocations, by scope; absent: until lifted. At least the longest life of a token or session. */
  lifetimes: z
    .strictObject({
      token: duration.default(86_400),
      session: duration.default(86_400),
      subject: duration.default(30 * 86_400),
      'subject-content': duration.optional(),
      content: duration.optional(),
      blocklist: duration.optional(),
      network: duration.default(86_400),
      asn: duration.default(86_400),
      device: duration.optional(),
    })
    .prefault({}),
  /** First part of the names of the signing keys' secrets. */
  secretPrefix: z
    .string()
    .regex(/^[\w+=.@-]+$/, 'expected letters, digits and _+=.@-')
    .default('portcullis'),
  /** Longest life of a token: how long a replaced key stays. */
  longestToken: duration.default(86_400),
});

export type RevokerConfig = z.infer<typeof revokerConfigSchema>;
export type RevokerConfigInput = z.input<typeof revokerConfigSchema>;
