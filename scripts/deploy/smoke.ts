// The live URL, tried from outside as a viewer would: what must pass passes, what must not does not, and what a viewer
// types into CloudFront's own headers changes nothing.
import { reasons } from '@portcullis/tokens/core/reasons';
import { TestSession, type DeployAccess } from './apply.js';
import { DeployError } from './errors.js';
import type { CheckRecord } from './record.js';
import type { AttachedStage } from './state.js';
import type { TestRequest } from './test-cases.js';

export interface SmokeInput {
  /** The site's base URL. */
  readonly url: string;
  /** A path behind a guarded behaviour. */
  readonly path: string;
  /** The stage of that behaviour: in `log`, everything passes. */
  readonly stage: AttachedStage;
  readonly storeArn: string;
  /** Sent with every request, such as the header that selects the staging distribution. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly fetch?: typeof fetch;
}

type SmokeAccess = Pick<DeployAccess, 'keyValues' | 'testSuite' | 'wait' | 'note'>;

/** A key just written takes seconds to reach the edge, and a distribution just deployed some more. */
const attempts = 15;
const pause = 2_000;

/**
 * Sends the policy's test requests to the live URL.
 *
 * @returns what was tried and answered
 * @throws DeployError `smoke_test_failed` with every wrong answer
 */
export async function smokeTest(access: SmokeAccess, input: SmokeInput): Promise<CheckRecord[]> {
  const session = await TestSession.open({ ...access, testPath: input.path }, input.storeArn);
  const checks: CheckRecord[] = [];
  try {
    for (const request of session.suite.requests) {
      access.note(`try ${input.url}: ${request.name}`);
      checks.push(await tryRequest(access, input, request));
    }
  } finally {
    await session.close();
  }
  const failed = checks.filter((check) => !check.passed);
  if (failed.length > 0) {
    throw new DeployError(
      'smoke_test_failed',
      `${input.url} answered ${failed.length} of ${checks.length} test requests wrongly.`,
      {
        details: failed.map((check) => `${check.name}: ${check.outcome}`),
        hint: 'The deployment is live. Look at the answers, and go back if need be with: npx portcullis deploy rollback',
      },
    );
  }
  return checks;
}

async function tryRequest(access: SmokeAccess, input: SmokeInput, request: TestRequest): Promise<CheckRecord> {
  let last: CheckRecord = { name: `live: ${request.name}`, passed: false, outcome: 'not tried' };
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const answer = await ask(input, request);
    const passed = isExpected(input.stage, request, answer);
    last = { ...last, passed, outcome: `${answer.status}${answer.reason === undefined ? '' : ` ${answer.reason}`}` };
    const propagating = answer.reason === 'unknown_key' || (request.name === 'revoked' && answer.reason === undefined);
    if (passed || !propagating) return last;
    await access.wait(pause);
  }
  return last;
}

interface Answer {
  readonly status: number;
  /** Undefined: not refused by a function of ours. */
  readonly reason: string | undefined;
}

async function ask(input: SmokeInput, request: TestRequest): Promise<Answer> {
  const url = new URL(request.path + (request.query === '' ? '' : `?${request.query}`), input.url);
  const cookie = request.cookies.map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await (input.fetch ?? fetch)(url, {
    headers: { ...input.headers, ...request.headers, ...(cookie === '' ? {} : { cookie }) },
    redirect: 'manual',
  });
  const text = (await response.text()).slice(0, 2_000);
  return { status: response.status, reason: reasonOf(response, text) };
}

/** The reason header may be configured away; the body carries it too. */
function reasonOf(response: Response, body: string): string | undefined {
  const header = response.headers.get('x-portcullis-reason');
  if (header !== null) return header;
  if (response.status < 400) return undefined;
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return reasons.find((reason) => reason === error);
  } catch {
    return undefined;
  }
}

function isExpected(stage: AttachedStage, request: TestRequest, answer: Answer): boolean {
  if (stage === 'log' || request.expect.verdict === 'pass') return answer.reason === undefined && answer.status < 500;
  return answer.reason !== undefined && request.expect.reasons.includes(answer.reason);
}
