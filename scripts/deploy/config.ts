import { z } from 'zod';

/** How far a behaviour's gate is closed. */
export const stages = ['off', 'log', 'enforce'] as const;
export type Stage = (typeof stages)[number];

const pattern = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/, 'expected a CloudFront path pattern such as "/live/*", or "default"');

const behaviourSchema = z.strictObject({
  /** The behaviour's path pattern exactly as the distribution has it, or `default`. */
  pattern,
  stage: z.enum(stages).default('off'),
  /**
   * The paths that the origin serves through this behaviour once the token is taken out, as patterns. Needed where the
   * pattern is not the content's own path: `/~t/*` guards `/live/*`. Default: the pattern itself.
   */
  content: z.array(pattern).min(1).optional(),
  /** A Lambda@Edge function version for origin-request, by its full ARN with the version number. */
  originRequestLambda: z
    .string()
    .regex(
      /^arn:aws:lambda:us-east-1:\d{12}:function:[\w-]+:\d+$/,
      'expected the ARN of a numbered function version in us-east-1',
    )
    .optional(),
});

const acceptSchema = z.strictObject({
  /** The code of a finding, as `deploy plan` prints it. */
  finding: z.string().min(1),
  /** The behaviour it is about; absent: wherever it appears. */
  behaviour: z.string().optional(),
  /** Why that is all right here: it is printed with every plan. */
  because: z.string().min(3),
});

const canarySchema = z.union([
  z.strictObject({
    header: z.string().regex(/^aws-cf-cd-[a-z0-9-]+$/i, 'expected a header name that begins with "aws-cf-cd-"'),
    value: z.string().min(1).max(1783),
  }),
  z.strictObject({
    /** Share of the viewers, 0 to 0.15. */
    weight: z.number().gt(0).max(0.15),
  }),
]);

/**
 * The section `deployment` of portcullis.config.ts: one distribution in one environment.
 *
 * @example
 * deployment: {
 *   name: 'production',
 *   distribution: 'E1ABCDEF2GHIJK',
 *   behaviours: [{ pattern: '/live/*', stage: 'log' }],
 *   smoke: { url: 'https://d111111abcdef8.cloudfront.net', path: '/live/ch1/index.m3u8' },
 * }
 */
export const deploymentConfigSchema = z.strictObject({
  /** The environment's name; it is part of every resource's name. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,19}$/, 'expected 1 to 20 of a-z, 0-9 and "-", beginning with a letter'),
  distribution: z.string().regex(/^E[A-Z0-9]{1,20}$/, 'expected a distribution id such as "E1ABCDEF2GHIJK"'),
  behaviours: z.array(behaviourSchema).min(1),
  /** Behaviours that are open on purpose although they share an origin with a guarded one. */
  open: z.array(pattern).default([]),
  /** First part of every resource's name. */
  prefix: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,19}$/, 'expected 1 to 20 of a-z, 0-9 and "-", beginning with a letter')
    .default('portcullis'),
  /** The KeyValueStore's name; default `<prefix>-<name>`. */
  keyValueStore: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'expected 1 to 64 letters, digits, "-" and "_"')
    .optional(),
  /** Attach the viewer-response function too; default: where the configuration renews tokens. */
  viewerResponse: z.boolean().optional(),
  /** TestFunction's compute utilisation over which a function is not published, in percent. */
  computeCeiling: z.number().int().min(1).max(100).default(80),
  /** The WAF web ACL to associate, by ARN; absent: the association is left as it is. */
  webAcl: z.string().startsWith('arn:aws:wafv2:us-east-1:', 'expected the ARN of a web ACL in us-east-1').optional(),
  /** Where the deployment is tried from outside once it is live. */
  smoke: z
    .strictObject({
      /** The site's base URL, as viewers use it. */
      url: z.url({ protocol: /^https?$/ }),
      /** A path that exists behind a guarded behaviour. */
      path: z.string().startsWith('/'),
    })
    .optional(),
  canary: canarySchema.optional(),
  /** Findings that are known and wanted. */
  accept: z.array(acceptSchema).default([]),
  /** Where deployments are recorded: hashes and resource names only. */
  record: z
    .strictObject({
      folder: z.string().min(1).default('.portcullis/deploy'),
      /** The ledger's DynamoDB table; absent: recorded locally alone. */
      table: z.string().min(3).optional(),
    })
    .default({ folder: '.portcullis/deploy' }),
});

export type DeploymentConfig = z.output<typeof deploymentConfigSchema>;
export type DeploymentConfigInput = z.input<typeof deploymentConfigSchema>;
