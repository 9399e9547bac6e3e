import { z } from 'zod';
import { lambdaConfigSchema } from '../../edge/config.js';
import { revokerConfigSchema } from '../../revoker/config.js';
import { detectionConfigSchema } from '../../revoker/detection/config.js';
import { wafConfigSchema } from '../../waf-rules/config.js';
import { deploymentConfigSchema } from '../deploy/config.js';
import { checkFunctionsConfig, functionsConfigShape } from './functions-config.js';
import { checkStart } from './start-check.js';

/** `portcullis.config.ts`: the functions' words at the top, and one section for each other part. */
export const configSchema = z
  .strictObject({
    ...functionsConfigShape,
    /** Lambda@Edge: public-key tokens, their exchange, and the origin's secret. */
    lambda: lambdaConfigSchema.optional(),
    /** AWS WAF rules. */
    waf: wafConfigSchema.optional(),
    /** Stores, ledger, lifetimes and other targets of revocations. */
    revoker: revokerConfigSchema.optional(),
    /** What is taken for abuse, and what is done about it. */
    detection: detectionConfigSchema.optional(),
    /** The distribution, and how far its gates are closed. */
    deployment: deploymentConfigSchema.optional(),
  })
  .superRefine(checkFunctionsConfig)
  .superRefine((config, context) => checkStart(config, context));

/** A configuration as a person writes it. */
export type PortcullisConfigInput = z.input<typeof configSchema>;
/** A configuration after validation, defaults filled in. */
export type PortcullisConfig = z.output<typeof configSchema>;
