// The CDK app: one stack for each environment that `infra.json`, or the file in PORTCULLIS_INFRA, describes.
import { readFileSync } from 'node:fs';
import { App, Aspects, RemovalPolicy } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { z } from 'zod';
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
        streaming: z
          .strictObject({ fields: z.array(z.string()).min(1), samplingRate: z.number().optional() })
          .optional(),
        logsBucketArn: z.string().optional(),
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
    const { name, account, trial, logsBucketArn, gate, vending, streaming, ...rest } = environment;
    new PortcullisStack(app, `${prefix}-${name}`, {
      prefix,
      name,
      stores: rest.stores,
      emails: rest.emails,
      env: { region: 'us-east-1', ...(account === undefined ? {} : { account }) },
      ...(gate === undefined ? {} : { gate }),
      ...(vending === undefined ? {} : { vending }),
      ...(streaming === undefined
        ? {}
        : {
            streaming: {
              fields: streaming.fields,
              ...(streaming.samplingRate === undefined ? {} : { samplingRate: streaming.samplingRate }),
            },
          }),
      ...(logsBucketArn === undefined ? {} : { logs: { bucketArn: logsBucketArn } }),
      ...(trial ? { dataRemoval: RemovalPolicy.DESTROY } : {}),
    });
  }
  Aspects.of(app).add(new AwsSolutionsChecks());
  return app;
}

/** Called by `run.mjs`. */
export function main(): void {
  const file = process.env['PORTCULLIS_INFRA'] ?? 'infra.json';
  infrastructure(JSON.parse(readFileSync(file, 'utf8'))).synth();
}
