// The gate as a Terraform module, for those who have no CDK. Written as `*.tf.json`, which Terraform reads like HCL. No
// key and no address is in it, so none gets into a state file.

export interface TerraformModuleInput {
  readonly prefix: string;
  readonly name: string;
  readonly distribution: string;
  /** Compiled code, by event. */
  readonly functions: { readonly viewerRequest: string; readonly viewerResponse?: string | undefined };
  /** CloudFront headers that the functions read. */
  readonly viewerHeaders: readonly string[];
  /** Viewer headers that the origin needs, into the same policy. */
  readonly originHeaders?: readonly string[];
  /** Lambda@Edge functions; their packages, `<part>.zip`, are put beside the module's files. */
  readonly lambdas?: readonly TerraformLambda[];
}

/** A Lambda@Edge function of the configuration. */
export interface TerraformLambda {
  /** `start`, `guard` or `origin-secret`. */
  readonly part: string;
  readonly event: 'viewer-request' | 'origin-request';
  /** Secrets that it reads: names or ARNs. */
  readonly secrets: readonly { readonly secret: string; readonly region: string }[];
  /** The table of used one-time tokens. */
  readonly oneTime?: { readonly table: string; readonly regions: readonly string[] } | undefined;
}

/** File contents by file name. */
export type TerraformModule = Readonly<Record<string, string>>;

const maximumPolicyHeaders = 10;
const providerVersion = '>= 5.80.0';

const warning =
  'Never manage the entries of the KeyValueStore with aws_cloudfrontkeyvaluestore_keys_exclusive: it deletes every key that is not in the configuration, signing keys and revocations included, and keeps the values in the state file.';

/** Writes the module. */
export function terraformModule(input: TerraformModuleInput): TerraformModule {
  const headers = [...new Set([...(input.originHeaders ?? []), ...input.viewerHeaders])];
  if (headers.length > maximumPolicyHeaders) {
    throw new Error(
      `${headers.length} headers are needed and a policy holds ${maximumPolicyHeaders}: ${headers.join(', ')}.`,
    );
  }
  const base = `${input.prefix}-${input.name}`;
  const { lambdas = [] } = input;
  const events = [
    ['viewer_request', 'viewer-request', input.functions.viewerRequest],
    ...(input.functions.viewerResponse === undefined
      ? []
      : [['viewer_response', 'viewer-response', input.functions.viewerResponse] as const]),
  ] as readonly (readonly [string, string, string])[];
  const files: Record<string, unknown> = {
    'versions.tf.json': {
      terraform: {
        required_version: '>= 1.6.0',
        required_providers: { aws: { source: 'hashicorp/aws', version: providerVersion } },
      },
    },
    'variables.tf.json': {
      variable: {
        notices_topic_arn: {
          type: 'string',
          default: '',
          description: 'SNS topic for the alarms, in us-east-1; empty: alarms without an action.',
        },
        tags: { type: 'map(string)', default: {}, description: 'Tags of everything that can be tagged.' },
      },
    },
    'main.tf.json': {
      '//': warning,
      locals: { tags: '${merge(var.tags, { "portcullis:environment" = "' + input.name + '" })}' },
      resource: {
        aws_cloudfront_key_value_store: {
          portcullis: { name: base, comment: 'Portcullis: keys, revocations, blackouts. Filled at run time.' },
        },
        aws_cloudfront_function: Object.fromEntries(
          events.map(([label, event]) => [
            label,
            {
              name: `${base}-${event}`,
              comment: `Portcullis ${event}, ${input.name}`,
              runtime: 'cloudfront-js-2.0',
              code: `\${file("\${path.module}/${event}.js")}`,
              publish: true,
              key_value_store_associations: ['${aws_cloudfront_key_value_store.portcullis.arn}'],
            },
          ]),
        ),
        aws_cloudfront_origin_request_policy: {
          portcullis: {
            name: `${base}-headers`,
            comment: 'Delivers what the Portcullis viewer functions read about the viewer',
            cookies_config: [{ cookie_behavior: 'none' }],
            headers_config: [
              headers.length === 0
                ? { header_behavior: 'none' }
                : { header_behavior: 'whitelist', headers: [{ items: headers }] },
            ],
            query_strings_config: [{ query_string_behavior: 'none' }],
          },
        },
      },
    },
    'waf.tf.json': {
      resource: {
        aws_wafv2_ip_set: Object.fromEntries(
          (['IPV4', 'IPV6'] as const).map((version) => [
            `blocked_${version.toLowerCase()}`,
            {
              // The first of the sets, under the name by which the revoker finds it.
              name: `${base}-blocked-${version.slice(2).toLowerCase()}-1`,
              description: 'Portcullis: addresses blocked by the revoker, written at run time',
              scope: 'CLOUDFRONT',
              ip_address_version: version,
              addresses: [],
              tags: '${local.tags}',
              // The revoker writes the addresses; a plan must not take them out again.
              lifecycle: { ignore_changes: ['addresses'] },
            },
          ]),
        ),
      },
    },
    'alarms.tf.json': { resource: { aws_cloudwatch_metric_alarm: alarms(base, events) } },
    'iam.tf.json': {
      data: { aws_iam_policy_document: { operator: operatorPolicy() } },
      resource: operatorResource(base),
    },
    ...(lambdas.length === 0 ? {} : { 'lambda.tf.json': lambdaFile(base, lambdas) }),
    'outputs.tf.json': {
      output: {
        ...Object.fromEntries(
          lambdas.map(({ part }) => [
            `${labelOf(part)}_lambda_arn`,
            { value: `\${aws_lambda_function.${labelOf(part)}.qualified_arn}` },
          ]),
        ),
        ...(lambdas.some(({ part }) => part === 'start')
          ? { start_cache_policy_id: { value: '${aws_cloudfront_cache_policy.starts.id}' } }
          : {}),
        key_value_store_arn: { value: '${aws_cloudfront_key_value_store.portcullis.arn}' },
        viewer_request_arn: { value: '${aws_cloudfront_function.viewer_request.arn}' },
        ...(events.length > 1
          ? { viewer_response_arn: { value: '${aws_cloudfront_function.viewer_response.arn}' } }
          : {}),
        origin_request_policy_id: { value: '${aws_cloudfront_origin_request_policy.portcullis.id}' },
        operator_policy_arn: { value: '${aws_iam_policy.operator.arn}' },
      },
    },
  };
  return {
    ...Object.fromEntries(Object.entries(files).map(([name, value]) => [name, `${JSON.stringify(value, null, 2)}\n`])),
    ...Object.fromEntries(events.map(([, event, code]) => [`${event}.js`, code])),
    'README.md': readme(
      input,
      events.map(([, event]) => event),
    ),
  };
}

type Json = Readonly<Record<string, unknown>>;

function alarms(base: string, events: readonly (readonly [string, string, string])[]): Json {
  const metrics = [
    ['errors', 'FunctionExecutionErrors', 'fails: viewers get an error instead of a verdict'],
    ['validation_errors', 'FunctionValidationErrors', 'answers what CloudFront refuses'],
    ['throttles', 'FunctionThrottles', 'is throttled: its compute utilisation is too high'],
  ] as const;
  return Object.fromEntries(
    events.flatMap(([label, event]) =>
      metrics.map(([part, metric, why]) => [
        `${label}_${part}`,
        {
          alarm_name: `${base}-${event}-${part.replace('_', '-')}`,
          alarm_description: `${base}-${event} ${why}.`,
          namespace: 'AWS/CloudFront',
          metric_name: metric,
          dimensions: { FunctionName: `\${aws_cloudfront_function.${label}.name}`, Region: 'Global' },
          statistic: 'Sum',
          period: 300,
          evaluation_periods: 1,
          threshold: 0,
          comparison_operator: 'GreaterThanThreshold',
          treat_missing_data: 'notBreaching',
          alarm_actions: '${var.notices_topic_arn == "" ? [] : [var.notices_topic_arn]}',
          tags: '${local.tags}',
        },
      ]),
    ),
  );
}

/** What operators need for revocations, modes, blackouts and blocked addresses. */
function operatorPolicy(): Json {
  return {
    statement: [
      {
        sid: 'Store',
        actions: [
          'cloudfront-keyvaluestore:DescribeKeyValueStore',
          'cloudfront-keyvaluestore:GetKey',
          'cloudfront-keyvaluestore:ListKeys',
          'cloudfront-keyvaluestore:UpdateKeys',
        ],
        resources: ['${aws_cloudfront_key_value_store.portcullis.arn}'],
      },
      {
        sid: 'Addresses',
        actions: ['wafv2:GetIPSet', 'wafv2:UpdateIPSet'],
        resources: ['${aws_wafv2_ip_set.blocked_ipv4.arn}', '${aws_wafv2_ip_set.blocked_ipv6.arn}'],
      },
    ],
  };
}

function operatorResource(base: string): Json {
  return {
    aws_iam_policy: {
      operator: {
        name: `${base}-operator`,
        description: 'Portcullis: revoke, set modes and blackouts, block addresses',
        policy: '${data.aws_iam_policy_document.operator.json}',
        tags: '${local.tags}',
      },
    },
  };
}

const labelOf = (part: string): string => part.replaceAll('-', '_');

/** Lambda@Edge: numbered versions in us-east-1 with roles of their own, and the cache policy of the start path. */
function lambdaFile(base: string, lambdas: readonly TerraformLambda[]): Json {
  const named = <T>(make: (lambda: TerraformLambda, name: string) => T): Record<string, T> =>
    Object.fromEntries(lambdas.map((lambda) => [labelOf(lambda.part), make(lambda, `${base}-edge-${lambda.part}`)]));
  const account = '${data.aws_caller_identity.here.account_id}';
  const assumed = { type: 'Service', identifiers: ['lambda.amazonaws.com', 'edgelambda.amazonaws.com'] };
  return {
    data: {
      aws_caller_identity: { here: {} },
      aws_iam_policy_document: {
        edge_assume: { statement: [{ actions: ['sts:AssumeRole'], principals: [assumed] }] },
        ...Object.fromEntries(
          lambdas.map(({ part, secrets, oneTime }) => [
            `edge_${labelOf(part)}`,
            {
              statement: [
                {
                  sid: 'Logs',
                  actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
                  resources: [`arn:aws:logs:*:${account}:log-group:/aws/lambda/us-east-1.${base}-edge-${part}:*`],
                },
                ...(secrets.length === 0
                  ? []
                  : [
                      {
                        sid: 'Secrets',
                        actions: ['secretsmanager:GetSecretValue'],
                        resources: secrets.map(({ secret, region }) =>
                          secret.startsWith('arn:')
                            ? secret
                            : `arn:aws:secretsmanager:${region}:${account}:secret:${secret}-??????`,
                        ),
                      },
                    ]),
                ...(oneTime === undefined
                  ? []
                  : [
                      {
                        sid: 'UsedTokens',
                        actions: ['dynamodb:UpdateItem'],
                        resources: oneTime.regions.map(
                          (region) => `arn:aws:dynamodb:${region}:${account}:table/${oneTime.table}`,
                        ),
                      },
                    ]),
              ],
            },
          ]),
        ),
      },
    },
    resource: {
      aws_iam_role: named((_, name) => ({
        name,
        assume_role_policy: '${data.aws_iam_policy_document.edge_assume.json}',
        tags: '${local.tags}',
      })),
      aws_iam_role_policy: named(({ part }, name) => ({
        name,
        role: `\${aws_iam_role.${labelOf(part)}.id}`,
        policy: `\${data.aws_iam_policy_document.edge_${labelOf(part)}.json}`,
      })),
      aws_lambda_function: named(({ part, event }, name) => ({
        function_name: name,
        description: `Portcullis ${part} at the edge`,
        filename: `\${path.module}/${part}.zip`,
        source_code_hash: `\${filebase64sha256("\${path.module}/${part}.zip")}`,
        role: `\${aws_iam_role.${labelOf(part)}.arn}`,
        runtime: 'nodejs22.x',
        architectures: ['x86_64'],
        handler: 'index.handler',
        memory_size: event === 'viewer-request' ? 128 : 256,
        timeout: event === 'viewer-request' ? 5 : 10,
        // CloudFront takes numbered versions alone.
        publish: true,
        tags: '${local.tags}',
      })),
      ...(lambdas.some(({ part }) => part === 'start')
        ? {
            aws_cloudfront_cache_policy: {
              starts: {
                name: `${base}-starts`,
                comment: 'Keeps no start, and lets none wait for the answer to another',
                min_ttl: 0,
                default_ttl: 0,
                max_ttl: 1,
                parameters_in_cache_key_and_forwarded_to_origin: [
                  {
                    cookies_config: [{ cookie_behavior: 'none' }],
                    headers_config: [{ header_behavior: 'whitelist', headers: [{ items: ['x-portcullis-start'] }] }],
                    query_strings_config: [{ query_string_behavior: 'none' }],
                  },
                ],
              },
            },
          }
        : {}),
    },
  };
}

/** How a start behaviour refers to the module. */
function startReadme({ lambdas = [], name }: TerraformModuleInput, associations: string): string {
  if (!lambdas.some(({ part }) => part === 'start')) return '';
  const module = `module.portcullis_${labelOf(name)}`;
  return `
Where playback starts with public-key tokens (\`/start/*\`; docs/lambda-edge.md):

\`\`\`hcl
  viewer_protocol_policy   = "https-only"
  allowed_methods          = ["GET", "HEAD", "OPTIONS"]
  cache_policy_id          = ${module}.start_cache_policy_id
  origin_request_policy_id = "33f36d7e-f396-46d9-90e0-52428a34d9dc" # AllViewerAndCloudFrontHeaders-2022-06
${associations}
  lambda_function_association {
    event_type = "origin-request"
    lambda_arn = ${module}.start_lambda_arn
  }
\`\`\`
`;
}

function readme(input: TerraformModuleInput, events: readonly string[]): string {
  const label = input.name.replace(/-/g, '_');
  const associations = events
    .map(
      (event) => `  function_association {
    event_type   = "${event}"
    function_arn = module.portcullis_${label}.${event.replace('-', '_')}_arn
  }`,
    )
    .join('\n');
  return `# Portcullis for Terraform: ${input.name}

Written by \`portcullis deploy terraform\`; write it again after every build rather than editing it.

\`\`\`hcl
module "portcullis_${label}" {
  source = "./portcullis-${input.name}"
}
\`\`\`

In every guarded \`ordered_cache_behavior\` of the distribution (${input.distribution}):

\`\`\`hcl
  viewer_protocol_policy   = "https-only"
  allowed_methods          = ["GET", "HEAD", "OPTIONS"]
  origin_request_policy_id = module.portcullis_${label}.origin_request_policy_id
${associations}
\`\`\`
${startReadme(input, associations)}
The provider must be configured for us-east-1, where CloudFront keeps its WAF sets and metrics.

**Signing keys do not belong in Terraform.** Make them with \`npx portcullis keys add\`: what Terraform writes is readable in
its state file. **${warning}**

\`terraform apply\` publishes the function without trying it. Try it first: \`npx portcullis deploy plan\` checks the
distribution, and \`npx portcullis deploy status\` looks for a gate that was opened.
`;
}
