// CloudFront's TestFunction as a gate: a function is published only after it answered the policy's events as it must.
import {
  TestFunctionCommand,
  type CloudFrontClient,
  type FunctionStage,
  type TestResult,
} from '@aws-sdk/client-cloudfront';
import { reasons } from '@portcullis/tokens/core/reasons';
import { DeployError } from './errors.js';
import type { CheckRecord } from './record.js';
import type { AttachedStage, DesiredFunction } from './state.js';
import { testEvent, type TestRequest, type TestSuite } from './test-cases.js';

export interface FunctionTestInput {
  readonly cloudFront: CloudFrontClient;
  readonly target: DesiredFunction;
  /** The ETag of the stage to test. */
  readonly etag: string;
  readonly stage?: FunctionStage;
  readonly suite: TestSuite;
  readonly headers: readonly string[];
  /** Percent. */
  readonly computeCeiling: number;
  readonly wait: (milliseconds: number) => Promise<void>;
}

/** How often a refused valid token is tried again: a key just written takes seconds to reach the function. */
const propagationAttempts = 10;
const propagationWait = 2_000;

/**
 * Runs every test event.
 *
 * @throws DeployError `function_test_failed`, `compute_ceiling`
 */
export async function testFunction(input: FunctionTestInput): Promise<CheckRecord[]> {
  return input.target.event === 'viewer-request' ? testViewerRequest(input) : [await testViewerResponse(input)];
}

async function testViewerRequest(input: FunctionTestInput): Promise<CheckRecord[]> {
  const checks: CheckRecord[] = [];
  let worst = 0;
  for (const request of input.suite.requests) {
    let outcome = await tryOnce(input, request);
    for (let attempt = 1; !outcome.passed && outcome.propagating && attempt < propagationAttempts; attempt += 1) {
      await input.wait(propagationWait);
      outcome = await tryOnce(input, request);
    }
    worst = Math.max(worst, outcome.utilization);
    checks.push({
      name: `${input.target.name}: ${request.name}`,
      passed: outcome.passed,
      outcome: `${outcome.verdict}, ${outcome.utilization} %`,
    });
  }
  const failed = checks.filter((check) => !check.passed);
  if (failed.length > 0) {
    throw new DeployError(
      'function_test_failed',
      `${input.target.name} answered ${failed.length} of ${checks.length} test events wrongly; it was not published.`,
      {
        details: failed.map((check) => `${check.name}: ${check.outcome}`),
        hint: 'Nothing that viewers see has changed. Correct the configuration or the code, build, and apply again.',
      },
    );
  }
  if (worst > input.computeCeiling) {
    throw new DeployError(
      'compute_ceiling',
      `${input.target.name} used ${worst} % of the compute time CloudFront allows; the ceiling is ${input.computeCeiling} %. It was not published.`,
      { hint: 'Leave costly features out (regular expressions, several formats), or raise deployment.computeCeiling.' },
    );
  }
  return checks;
}

interface Outcome {
  readonly passed: boolean;
  /** The verdict may only be that the store's change has not arrived yet. */
  readonly propagating: boolean;
  readonly verdict: string;
  readonly utilization: number;
}

let requestCount = 0;

async function tryOnce(input: FunctionTestInput, request: TestRequest): Promise<Outcome> {
  requestCount += 1;
  const event = testEvent(request, input.headers, `portcullis-test-${requestCount}`);
  const result = await runTest(input, event);
  const utilization = Number(result.ComputeUtilization ?? 0);
  const error = result.FunctionErrorMessage;
  if (error) return { passed: false, propagating: false, verdict: `threw ${error.slice(0, 200)}`, utilization };
  const { verdict, reason } = verdictOf(result, input.target.stage);
  const expected = request.expect;
  const passed = verdict === expected.verdict && (verdict === 'pass' || expected.reasons.includes(reason ?? ''));
  return {
    passed,
    propagating: reason === 'unknown_key' || (request.name === 'revoked' && verdict === 'pass'),
    verdict: reason === undefined ? verdict : `${verdict} (${reason})`,
    utilization,
  };
}

async function runTest(input: FunctionTestInput, event: Record<string, unknown>): Promise<TestResult> {
  const { TestResult: result } = await input.cloudFront.send(
    new TestFunctionCommand({
      Name: input.target.name,
      IfMatch: input.etag,
      Stage: input.stage ?? 'DEVELOPMENT',
      EventObject: Buffer.from(JSON.stringify(event)),
    }),
  );
  if (!result) throw new DeployError('function_test_failed', `TestFunction gave no result for ${input.target.name}.`);
  return result;
}

/** In stage `log` a refusal shows in the log alone, and the request goes on. */
function verdictOf(
  result: TestResult,
  stage: AttachedStage,
): { verdict: 'pass' | 'refuse'; reason?: string | undefined } {
  const output = unwrap(JSON.parse(result.FunctionOutput || '{}') as Record<string, unknown>);
  const logged = reasonIn((result.FunctionExecutionLogs ?? []).join('\n'));
  if (typeof output['statusCode'] === 'number') {
    if (stage === 'log') return { verdict: 'refuse', reason: `answered ${output['statusCode']} in stage log` };
    return { verdict: 'refuse', reason: reasonIn(JSON.stringify(output)) ?? logged };
  }
  if (stage === 'log' && logged !== undefined) return { verdict: 'refuse', reason: logged };
  return { verdict: 'pass' };
}

/** TestFunction gives `{"request":…}` or `{"response":…}`. */
function unwrap(output: Record<string, unknown>): Record<string, unknown> {
  return (output['response'] ?? output['request'] ?? output) as Record<string, unknown>;
}

/** The reason code in a log line, a body or a header, whatever surrounds it. */
function reasonIn(text: string): string | undefined {
  return reasons.find((reason) => new RegExp(`(?<![a-z_])${reason}(?![a-z_])`).test(text));
}

async function testViewerResponse(input: FunctionTestInput): Promise<CheckRecord> {
  const [request] = input.suite.requests;
  const event = testEvent(request as TestRequest, input.headers, 'portcullis-test-response');
  (event['context'] as Record<string, unknown>)['eventType'] = 'viewer-response';
  event['response'] = { statusCode: 200, statusDescription: 'OK', headers: {}, cookies: {} };
  const result = await runTest(input, event);
  const utilization = Number(result.ComputeUtilization ?? 0);
  if (result.FunctionErrorMessage) {
    throw new DeployError(
      'function_test_failed',
      `${input.target.name} threw on a plain response; it was not published.`,
      {
        details: [result.FunctionErrorMessage.slice(0, 200)],
      },
    );
  }
  const output = unwrap(JSON.parse(result.FunctionOutput || '{}') as Record<string, unknown>);
  if (output['statusCode'] !== 200) {
    throw new DeployError(
      'function_test_failed',
      `${input.target.name} changed the status of a plain response; it was not published.`,
    );
  }
  if (utilization > input.computeCeiling) {
    throw new DeployError(
      'compute_ceiling',
      `${input.target.name} used ${utilization} % of the compute time; the ceiling is ${input.computeCeiling} %.`,
    );
  }
  return { name: `${input.target.name}: response`, passed: true, outcome: `pass, ${utilization} %` };
}
