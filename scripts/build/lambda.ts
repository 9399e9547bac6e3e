import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { zipSync } from 'fflate';
import { reasons } from '@portcullis/tokens/core/reasons';
import type { EventRequest } from '@portcullis/tokens/core/request';
import { ANSWER_BYTES, answerBytes, preflightAnswer, refusalAnswer, type AnswerSettings } from '../../edge/answer.js';
import { allFeatures } from './features.js';
import { literal } from './functions.js';

/** Where a Lambda@Edge function is attached; each event has limits of its own (CloudFront quotas, "Quotas on Lambda@Edge"). */
export type LambdaEventName = 'viewer-request' | 'origin-request';

/** What one handler is built from. */
export interface LambdaPlan {
  /** Name of the package: `guard`. */
  readonly name: string;
  readonly event: LambdaEventName;
  /** The file that makes the handler, from the project's folder: `edge/handlers/guard.ts`. */
  readonly module: string;
  /** What it exports: a function that takes the configuration and gives the handler. */
  readonly factory: string;
  /** Baked in: Lambda@Edge has no environment variables. Plain values and regular expressions; never a secret. */
  readonly config: object;
  /** How it answers; absent: in a few bytes, always the same. */
  readonly answers?: AnswerSettings | undefined;
}

/** Bytes of the compressed package that Lambda@Edge accepts. */
export const LAMBDA_ZIP_BYTES: Readonly<Record<LambdaEventName, number>> = {
  'viewer-request': 1_048_576,
  'origin-request': 52_428_800,
};

/** Our own bound for a bundle, so that a cold start has little to read. */
export const LAMBDA_BUNDLE_BYTES = 204_800;

export interface BuiltLambda {
  readonly name: string;
  readonly event: LambdaEventName;
  readonly file: string;
  readonly zip: string;
  /** Of the bundle. */
  readonly bytes: number;
  readonly zipBytes: number;
  readonly limit: number;
  /** Of the longest answer that the configuration makes, and what its event may have; what tokens ask for is bounded at the edge. */
  readonly answerBytes: number;
  readonly answerLimit: number;
  /** Of the package; the same sources and configuration make the same. In base64, as Lambda's `CodeSha256` has it. */
  readonly sha256: string;
  /** What keeps it from being deployed; empty where nothing does. */
  readonly problems: readonly string[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Compiles one handler into one CommonJS file for Lambda's Node.js runtimes, everything in it but the AWS SDK, which the
 * runtime brings (AWS Lambda Developer Guide, "Runtime-included SDK versions"). It is CommonJS because only `require` looks
 * where the runtime keeps the SDK, on NODE_PATH.
 */
export async function compileLambda(plan: LambdaPlan): Promise<string> {
  const result = await build({
    stdin: {
      contents: `import { ${plan.factory} } from './${plan.module}';
        export const handler = ${plan.factory}(${literal(plan.config)});`,
      resolveDir: root,
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Imports on demand become `require` on demand.
    supported: { 'dynamic-import': false },
    minify: true,
    legalComments: 'none',
    charset: 'utf8',
    external: ['@aws-sdk/*', '@smithy/*'],
    define: allFeatures(),
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'silent',
  });
  return result.outputFiles[0]?.text ?? '';
}

/** A package of one file, the same bytes for the same code wherever and whenever it is made. */
export function zipLambda(code: string): Uint8Array {
  const encoded = new TextEncoder().encode(code);
  // The earliest time a ZIP archive can hold, in local time as it is written.
  return zipSync({ 'index.js': [encoded, { level: 9, mtime: new Date(1980, 0, 1), os: 3, attrs: 0o644 << 16 }] });
}

/** What keeps a handler from being deployed. */
export function lambdaProblems(plan: Pick<LambdaPlan, 'event' | 'answers'>, code: string, zipBytes: number): string[] {
  const bytes = Buffer.byteLength(code);
  const limit = LAMBDA_ZIP_BYTES[plan.event];
  const answer = longestAnswer(plan.answers);
  const answerLimit = ANSWER_BYTES[plan.event];
  return [
    ...(bytes > LAMBDA_BUNDLE_BYTES ? [`the bundle has ${bytes} bytes, over our ${LAMBDA_BUNDLE_BYTES}`] : []),
    ...(zipBytes > limit ? [`the package has ${zipBytes} bytes, over ${limit} for ${plan.event}`] : []),
    ...(answer > answerLimit ? [`an answer has ${answer} bytes, over ${answerLimit} for ${plan.event}`] : []),
    ...environmentOf(code).map((name) => `it reads the environment variable ${name}, which Lambda@Edge does not have`),
  ];
}

/** Bytes of the longest answer that settings make: to a preflight, or a refusal, for the longest origin. */
function longestAnswer(settings: AnswerSettings | undefined): number {
  if (!settings) return 0;
  const origins = settings.corsOrigins ?? [`https://${'x'.repeat(253)}`];
  return Math.max(
    ...origins.flatMap((value) => {
      const request: EventRequest = {
        method: 'OPTIONS',
        uri: '/',
        querystring: {},
        headers: { origin: { value } },
        cookies: {},
        rawQueryString: () => '',
      };
      const id = 'x'.repeat(56);
      const answers = reasons.map((reason) => refusalAnswer(reason, request, id, settings));
      return [...answers, preflightAnswer(request, settings) ?? { status: '204' }].map(answerBytes);
    }),
  );
}

/** Environment variables that code reads and Lambda@Edge does not give: reserved ones are there, others cannot be set. */
function environmentOf(code: string): string[] {
  // `process.env.NAME`, `process["env"]["NAME"]`; any other use of it is as good as a name: `{ env } = process`, a copy.
  const process = /\b(?:process|require\("(?:node:)?process"\))/.source;
  const uses = code.matchAll(
    new RegExp(
      `${process}(?:\\.env\\b|\\["env"\\])(?:\\.(\\w+)|\\["(\\w+)"\\])?|\\{[^{}]*\\benv\\b[^{}]*\\}=${process}`,
      'g',
    ),
  );
  const names = [...uses].map((match) => match[1] ?? match[2] ?? '?');
  return [...new Set(names)].filter((name) => name !== 'AWS_REGION');
}

/** Builds handlers into `<output>/<name>/index.js` and `<output>/<name>.zip`. */
export async function writeLambdas(plans: readonly LambdaPlan[], output: string): Promise<BuiltLambda[]> {
  const built: BuiltLambda[] = [];
  for (const plan of plans) {
    const code = await compileLambda(plan);
    const zipped = zipLambda(code);
    const folder = join(output, plan.name);
    await mkdir(folder, { recursive: true });
    const file = join(folder, 'index.js');
    const zip = join(output, `${plan.name}.zip`);
    await writeFile(file, code);
    await writeFile(zip, zipped);
    built.push({
      name: plan.name,
      event: plan.event,
      file: file.replace(root, ''),
      zip: zip.replace(root, ''),
      bytes: Buffer.byteLength(code),
      zipBytes: zipped.length,
      limit: LAMBDA_ZIP_BYTES[plan.event],
      answerBytes: longestAnswer(plan.answers),
      answerLimit: ANSWER_BYTES[plan.event],
      sha256: createHash('sha256').update(zipped).digest('base64'),
      problems: lambdaProblems(plan, code, zipped.length),
    });
  }
  return built;
}
