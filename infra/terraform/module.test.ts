import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { terraformModule, type TerraformModule } from './module.js';

const written = terraformModule({
  prefix: 'portcullis',
  name: 'production',
  distribution: 'E1ABCDEF2GHIJK',
  functions: { viewerRequest: 'async function handler(event) {}\n', viewerResponse: 'function handler(event) {}\n' },
  viewerHeaders: ['CloudFront-Viewer-Country', 'CloudFront-Viewer-ASN'],
  originHeaders: ['Origin'],
});

const parsed = (files: TerraformModule): Record<string, unknown>[] =>
  Object.entries(files)
    .filter(([name]) => name.endsWith('.tf.json'))
    .map(([, text]) => JSON.parse(text) as Record<string, unknown>);

/** `kind.type.label` of everything the module declares. */
function declared(): Set<string> {
  const names = new Set<string>();
  for (const file of parsed(written)) {
    for (const [kind, prefix] of [
      ['resource', ''],
      ['data', 'data.'],
    ] as const) {
      for (const [type, items] of Object.entries((file[kind] ?? {}) as Record<string, object>)) {
        for (const label of Object.keys(items)) names.add(`${prefix}${type}.${label}`);
      }
    }
    for (const name of Object.keys((file['variable'] ?? {}) as object)) names.add(`var.${name}`);
    for (const name of Object.keys((file['locals'] ?? {}) as object)) names.add(`local.${name}`);
  }
  return names;
}

function terraformVersion(): string | undefined {
  try {
    return execFileSync('terraform', ['version'], {
      encoding: 'utf8',
      env: { ...process.env, CHECKPOINT_DISABLE: '1' },
    });
  } catch {
    return undefined;
  }
}

describe('the Terraform module', () => {
  it('refers to nothing that it does not declare', () => {
    const names = declared();
    const text = Object.values(written).join('\n');
    const references = [...text.matchAll(/(?<![\w.])((?:data\.)?aws_\w+\.\w+|var\.\w+|local\.\w+)(?=\.|[^\w.])/g)].map(
      (match) => match[1]!,
    );
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) expect(names, reference).toContain(reference);
  });

  it('associates the store with every function and publishes it', () => {
    const main = JSON.parse(written['main.tf.json']!) as {
      resource: Record<string, Record<string, Record<string, unknown>>>;
    };
    for (const item of Object.values(main.resource['aws_cloudfront_function']!)) {
      expect(item).toMatchObject({
        runtime: 'cloudfront-js-2.0',
        publish: true,
        key_value_store_associations: ['${aws_cloudfront_key_value_store.portcullis.arn}'],
      });
    }
  });

  it('delivers the headers', () => {
    expect(written['main.tf.json']).toContain('CloudFront-Viewer-ASN');
  });

  it('leaves the addresses of the IP sets to the revoker', () => {
    const waf = JSON.parse(written['waf.tf.json']!) as { resource: { aws_wafv2_ip_set: Record<string, unknown> } };
    for (const set of Object.values(waf.resource.aws_wafv2_ip_set)) {
      expect(set).toMatchObject({ addresses: [], lifecycle: { ignore_changes: ['addresses'] } });
    }
  });

  it('has no entries of the store, and warns of the resource that would delete them', () => {
    const types = parsed(written).flatMap((file) => Object.keys((file['resource'] ?? {}) as object));
    expect(types.filter((type) => type.startsWith('aws_cloudfrontkeyvaluestore'))).toEqual([]);
    expect(written['README.md']).toContain('keys_exclusive');
    expect(written['main.tf.json']).toContain('keys_exclusive');
  });

  it('refuses more headers than a policy holds', () => {
    expect(() =>
      terraformModule({
        prefix: 'p',
        name: 'n',
        distribution: 'E1',
        functions: { viewerRequest: 'x' },
        viewerHeaders: Array.from({ length: 11 }, (_, i) => `h${i}`),
      }),
    ).toThrow(/a policy holds 10/);
  });

  // Schemas come with the provider, which is not here; what needs none is read by Terraform itself.
  it.skipIf(terraformVersion() === undefined)('is read by Terraform', () => {
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-terraform-'));
    try {
      for (const [name, text] of Object.entries(written)) writeFileSync(join(folder, name), text);
      const output = execFileSync('terraform', ['providers'], {
        cwd: folder,
        encoding: 'utf8',
        stdio: 'pipe',
        env: { ...process.env, CHECKPOINT_DISABLE: '1' },
      });
      expect(output).toContain('hashicorp/aws');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the Lambda@Edge part of the module', () => {
  const withLambdas = terraformModule({
    prefix: 'portcullis',
    name: 'production',
    distribution: 'E1ABCDEF2GHIJK',
    functions: { viewerRequest: 'async function handler(event) {}\n' },
    viewerHeaders: ['CloudFront-Viewer-Country'],
    lambdas: [
      {
        part: 'start',
        event: 'origin-request',
        secrets: [{ secret: 'portcullis/keys/edge', region: 'us-east-1' }],
        oneTime: { table: 'used', regions: ['us-east-1', 'eu-central-1'] },
      },
      {
        part: 'origin-secret',
        event: 'origin-request',
        secrets: [{ secret: 'MediaPackage/cdn', region: 'eu-west-1' }],
      },
    ],
  });
  const file = JSON.parse(withLambdas['lambda.tf.json'] ?? '{}') as {
    data: Record<string, Record<string, unknown>>;
    resource: Record<string, Record<string, Record<string, unknown>>>;
  };

  it('publishes numbered versions that CloudFront takes', () => {
    expect(Object.keys(file.resource['aws_lambda_function'] ?? {})).toEqual(['start', 'origin_secret']);
    expect(file.resource['aws_lambda_function']?.['start']).toMatchObject({
      function_name: 'portcullis-production-edge-start',
      filename: '${path.module}/start.zip',
      publish: true,
      architectures: ['x86_64'],
    });
    expect(JSON.stringify(file)).not.toContain('environment');
    expect(withLambdas['outputs.tf.json']).toContain('${aws_lambda_function.start.qualified_arn}');
  });

  it('lets each read its own secret, spend tokens where it does, and log everywhere', () => {
    const policies = JSON.stringify(file.data['aws_iam_policy_document']);
    expect(policies).toContain(
      'secretsmanager:us-east-1:${data.aws_caller_identity.here.account_id}:secret:portcullis/keys/edge-??????',
    );
    expect(policies).toContain('dynamodb:eu-central-1:${data.aws_caller_identity.here.account_id}:table/used');
    const other = JSON.stringify(file.data['aws_iam_policy_document']?.['edge_origin_secret']);
    expect(other).toContain('MediaPackage/cdn');
    expect(other).not.toMatch(/keys\/edge|dynamodb/);
  });

  it('says what the start behaviour needs', () => {
    expect(withLambdas['README.md']).toContain('lambda_arn = module.portcullis_production.start_lambda_arn');
    expect(file.resource['aws_cloudfront_cache_policy']?.['starts']).toMatchObject({ max_ttl: 1 });
    expect(written['lambda.tf.json']).toBeUndefined();
    expect(written['README.md']).not.toContain('/start/');
  });
});
