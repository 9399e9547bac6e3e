import { describe, expect, it } from 'vitest';
import { createGuard, type GuardConfig } from '../../edge/guard/index.js';
import { edgeSettings } from '../../scripts/build/lambda-plans.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema } from '../../scripts/config/functions-config.js';
import { runLambda, type LambdaEventName } from '../../scripts/local-edge/lambda.js';
import { eventOf, momentOf } from '../verdicts/asking.js';
import { neutralConfig } from '../verdicts/functions.js';
import { requestCases, storeEntries, type RequestCase } from '../verdicts/requests.js';

const settings = edgeSettings(functionPlan(functionsConfigSchema.parse(neutralConfig('full'))));

/** Runs a case as the local edge does, which holds every answer to the documented shapes and limits. */
async function run(name: LambdaEventName, one: RequestCase): Promise<string> {
  const { request, viewer } = eventOf(one);
  const config: GuardConfig = { ...settings, eventType: name, keys: [] };
  const handler = createGuard(config, {
    read: (key) => Promise.resolve(storeEntries[key]),
    now: () => momentOf(one) * 1000,
    log: () => undefined,
  });
  const pairs = Object.entries(request.headers).flatMap(([header, { value, multiValue }]) =>
    (multiValue ?? [{ value }]).map((line): [string, string] => [header, line.value]),
  );
  const cookies = Object.entries(request.cookies).flatMap(([cookie, { value, multiValue }]) =>
    (multiValue ?? [{ value }]).map((line) => `${cookie}=${line.value}`),
  );
  const query = request.rawQueryString?.() ?? '';
  const verdict = await runLambda(
    name,
    handler,
    {
      method: request.method,
      uri: request.uri,
      queryPart: query && `?${query}`,
      pairs: [...pairs, ...(cookies.length > 0 ? [['cookie', cookies.join('; ')] as [string, string]] : [])],
    },
    {
      requestId: 'request-1',
      clientIp: viewer.ip,
      distributionDomainName: 'd111111abcdef8.cloudfront.net',
      distributionId: 'EDFDVBD6EXAMPLE',
      origin: new URL('http://127.0.0.1:8080/'),
    },
    { write: () => undefined } as never,
  );
  if (verdict.kind === 'request') return 'admitted';
  return verdict.response.headers?.['x-portcullis-reason']?.[0]?.value ?? `status ${verdict.response.status}`;
}

describe('the guard at the edge', () => {
  it('answers every request of the table in the documented shape and within its limits, at both events', async () => {
    const onOrigin: string[] = [];
    const onViewer: string[] = [];
    for (const one of requestCases) {
      onOrigin.push(await run('origin-request', one));
      onViewer.push(await run('viewer-request', one));
    }
    expect(onOrigin).toEqual(requestCases.map(({ expected }) => expected));
    // What a viewer types of himself admits nobody whom the truth would not, and nobody at all where it is asked for.
    const differing = requestCases.flatMap(({ name }, i) =>
      onViewer[i] === onOrigin[i] ? [] : [[name, onOrigin[i], onViewer[i]] as const],
    );
    expect(differing.length).toBeGreaterThan(5);
    expect(differing.filter(([, , viewer]) => viewer === 'admitted')).toEqual([]);
  });
});
