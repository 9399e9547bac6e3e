// The CDK app: one stack for each environment that `infra.json`, or the file in PORTCULLIS_INFRA, describes.
import { readFileSync } from 'node:fs';
import { App, Aspects, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { z } from 'zod';
import { longestApproval } from '../revoker/workflows/index.js';
import { PortcullisStack } from './stack.js';
import type { GateExpectation } from './watch/gate.js';

/** `infra.json`; its `gate` is the member `gate` of `portcullis deploy status --json`. */
export const infrastructureSchema = z.strictObject({
  prefix: z.string().default('portcullis'),
  environments: z
    .array(
      z.strictObject({
        name: z.string(),
        account: z.string().optional(),
        stores: z.array(z.string()).default([]),
        gate: z.custom<GateExpectation>((value) => typeof value === 'object' && value !== null).optional(),
        vending: z
          .strictObject({
            issuer: z.string(),
            hosts: z.array(z.string()).min(1),
            format: z.enum(['cat', 'jwt']).default('cat'),
            placement: z.custom<never>((value) => typeof value === 'object' && value !== null),
          })
          .optional(),
        /** The streaming path; `{}`: as it is by default. */
        streaming: z
          .strictObject({
            fields: z.array(z.string()).min(1).optional(),
            samplingRate: z.number().min(1).max(100).optional(),
            /** Seconds between judgements. */
            window: z.int().min(1).max(60).optional(),
          })
          .optional(),
        logsBucketArn: z.string().optional(),
        /** Glue database and table of the access logs. */
        database: z.string().optional(),
        logTable: z.string().optional(),
        /** The web ACL whose address sets take blocked networks; null: none. */
        webAclName: z.string().nullable().optional(),
        /** Networks that are never blocked. */
        neverBlock: z.array(z.string()).optional(),
        logDelaySeconds: z.int().positive().optional(),
        approvalSeconds: z.int().positive().max(longestApproval).optional(),
        /** The sections `revoker` and `detection` of the configuration; `stores` above are the revoker's. */
        revoker: z.looseObject({}).optional(),
        detection: z.looseObject({}).optional(),
        emails: z.array(z.string()).default([]),
        /** Delete data with the stack; for trial environments. */
        trial: z.boolean().default(false),
      }),
    )
    .min(1),
});

/** Builds the app from a description. */
export function infrastructure(description: unknown, app: App = new App()): App {
  const { prefix, environments } = infrastructureSchema.parse(description);
  for (const environment of environments) {
    const { name, account, trial, logsBucketArn, gate, vending, streaming, revoker, detection, ...rest } = environment;
    const stores = rest.stores.map((arn) => ({ arn }));
    new PortcullisStack(app, `${prefix}-${name}`, {
      prefix,
      name,
      stores: rest.stores,
      emails: rest.emails,
      env: { region: 'us-east-1', ...(account === undefined ? {} : { account }) },
      ...(gate === undefined ? {} : { gate }),
      ...(vending === undefined ? {} : { vending }),
      ...(streaming === undefined ? {} : { streaming: given(streaming) }),
      ...(revoker === undefined ? {} : { revokerConfig: JSON.stringify({ stores, ...revoker }) }),
      ...(detection === undefined ? {} : { detectionConfig: JSON.stringify(detection) }),
      ...given({
        database: rest.database,
        logTable: rest.logTable,
        webAclName: rest.webAclName,
        neverBlock: rest.neverBlock,
        logDelay: rest.logDelaySeconds === undefined ? undefined : Duration.seconds(rest.logDelaySeconds),
        approvalTime: rest.approvalSeconds === undefined ? undefined : Duration.seconds(rest.approvalSeconds),
      }),
      ...(logsBucketArn === undefined ? {} : { logs: { bucketArn: logsBucketArn } }),
      ...(trial ? { dataRemoval: RemovalPolicy.DESTROY } : {}),
    });
  }
  Aspects.of(app).add(new AwsSolutionsChecks());
  return app;
}

type Given<Members> = { [Name in keyof Members]?: Exclude<Members[Name], undefined> };

/** The members that were given. */
function given<Members extends object>(members: Members): Given<Members> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Given<Members>;
}

/** Called by `run.mjs`. */
export function main(): void {
  const file = process.env['PORTCULLIS_INFRA'] ?? 'infra.json';
  infrastructure(JSON.parse(readFileSync(file, 'utf8'))).synth();
}
