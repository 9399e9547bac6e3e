// What the revoker's functions are told: the sections of the configuration, checked at synthesis by the schemas that the
// functions check them with, so that a wrong setting fails a deployment and not a night.
import { ArnFormat, type Stack } from 'aws-cdk-lib';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { revokerConfigSchema, type RevokerConfig } from '../../revoker/config.js';
import { parseDetectionConfig, type DetectionConfig } from '../../revoker/detection/config.js';
import { missingFields } from '../../revoker/detection/fields.js';
import { allow } from './function.js';

/** Reads the JSON of the revoker's section. @throws Error that names the path and what was expected */
export function revokerSettings(json: string): RevokerConfig {
  const parsed = revokerConfigSchema.safeParse(JSON.parse(json));
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.map(({ path, message }) => `revoker.${path.join('.')}: ${message}`).join('\n'));
}

/** Reads the JSON of the detection section. @throws Error that names the path and what was expected */
export function detectionSettings(json: string): DetectionConfig {
  return parseDetectionConfig(JSON.parse(json));
}

/** @throws Error where a real-time log of these fields tells the streaming path too little */
export function checkedFields(fields: readonly string[]): readonly string[] {
  const missing = missingFields(fields);
  if (missing.length > 0) throw new Error(`The real-time log's fields lack ${missing.join(', ')}.`);
  return fields;
}

/** What connecting to the configured targets takes, besides stores and keys. */
export function targetStatements(stack: Stack, { targets }: RevokerConfig): PolicyStatement[] {
  const secrets = targets.webhooks.map(({ secret }) =>
    stack.formatArn({
      service: 'secretsmanager',
      resource: 'secret',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      // Secrets Manager ends the name with a hyphen and six characters of its own.
      resourceName: `${secret}-??????`,
    }),
  );
  const channels = targets.ivs.map(({ channelArn }) => channelArn);
  return [
    ...(secrets.length === 0 ? [] : [allow(['secretsmanager:GetSecretValue'], secrets)]),
    ...(channels.length === 0 ? [] : [allow(['ivs:StartViewerSessionRevocation'], channels)]),
  ];
}
