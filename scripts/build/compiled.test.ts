// What comes out of the compiler, for every profile and for configurations that use everything at once: only syntax that
// the edge runtime has (the lint rules for the sources, held against the output: a minifier may write what no author did),
// and both engines start it and answer a request.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Linter } from 'eslint';
import { afterAll, describe, expect, it } from 'vitest';
import { functionHosts, viewerRequestEvent, viewerResponseEvent } from '../engine/index.js';
import { loadConfig } from '../config/index.js';
import { functionsConfigSchema, profileNames, type FunctionsConfigInput } from '../config/functions-config.js';
import { edgeSafe } from '../lint/edge-safe.js';
import { compileFunction, functionNames } from './functions.js';
import { functionPlan, type FunctionPlan, type PlannedConfig } from './plan.js';
import { neutralConfig } from './profiles.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-compiled-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(
  join(folder, 'before.ts'),
  "export default (event: { request: { uri: string } }): void => { if (event.request.uri === '/old') event.request.uri = '/new'; };",
);
writeFileSync(join(folder, 'after.ts'), 'export default (event: { request: object }): object => event.request;');

const everything: FunctionsConfigInput = {
  ...neutralConfig('full'),
  issuer: 'cms',
  audiences: ['cdn', 'app'],
  requiredClaims: ['exp'],
  publicPaths: ['/slate', '/favicon.ico'],
  placements: {
    ...neutralConfig('full').placements,
    path: ['first', { prefix: '/live' }, { marker: '/~t' }],
    query: 't',
  },
  modeRecord: true,
  cors: { origins: ['https://a.example', 'https://b.example'], credentials: true },
  answers: { status: { expired: 410 }, reasonHeader: false },
  log: { sample: 0.5 },
  claims: { onUnknown: { catgeoiso3166: 'allow' }, exactNetworks: true, replay: 'refuse', tlsKeys: true },
  renewal: { kid: 'edge' },
  allowedClients: [{ prefix: 'OldBox/', paths: ['/live'], until: '2100-01-01' }],
  embedOrigins: [{ content: 'ch1', origins: ['https://a.example'], allowNone: false }],
  hooks: { before: './before.ts', after: './after.ts' },
};

const planOf = (input: FunctionsConfigInput): FunctionPlan => functionPlan(functionsConfigSchema.parse(input), folder);
const withStart = (input: FunctionsConfigInput): PlannedConfig => ({
  ...functionsConfigSchema.parse(input),
  lambda: { start: { path: '/start', kid: 'edge', unknownKeys: true } },
});
const demo = await loadConfig('portcullis.config.ts');
const plans: [string, FunctionPlan][] = [
  ...profileNames.map((profile): [string, FunctionPlan] => [profile, planOf(neutralConfig(profile))]),
  ['the demo', functionPlan(demo.config, demo.folder)],
  ['everything', planOf(everything)],
  ['everything ignoring and open', planOf({ ...everything, mode: 'log', cors: {}, claims: { uncompiled: 'ignore' } })],
  ['a start', functionPlan({ ...demo.config, lambda: { start: { path: '/start', kid: 'edge' } } }, demo.folder)],
  ['everything and a start', functionPlan(withStart(everything), folder)],
  ['nothing optional', planOf({ formats: ['jwt'], placements: { query: true }, claims: { use: [] }, cors: false })],
];

/**
 * Property names that the minifier made may be spelled like a missing method, so that the rules about methods are left to
 * the engines; and an async function may be the value of a property, as long as it is in no other function.
 */
const syntax = [
  ...edgeSafe.rules['no-restricted-syntax'].filter(
    (rule) => typeof rule === 'string' || !/MemberExpression|^FunctionExpression\[async/.test(rule.selector),
  ),
  { selector: ':function :function[async=true]', message: 'An async closure, which CloudFront refuses.' },
];
const linter = new Linter();
const hosts = await functionHosts();

describe.each(plans)('%s', (name, plan) => {
  const files = functionNames.map((functionName) => join(folder, `${name.replace(/\W+/g, '-')}-${functionName}.js`));

  it.each(functionNames)('%s has only syntax that the edge runtime has', async (functionName) => {
    const code = await compileFunction(functionName, plan.build, plan.features);
    writeFileSync(files[functionNames.indexOf(functionName)] as string, code);
    const found = linter.verify(code, {
      languageOptions: { ecmaVersion: 'latest', sourceType: 'module' },
      rules: { 'no-restricted-syntax': syntax as Linter.RuleEntry },
    });
    expect(found.map(({ message, line, column }) => `${line}:${column} ${message}`)).toEqual([]);
    expect(code).not.toMatch(/\bexport\b|FEATURES/);
    expect(code).toMatch(/^[\x20-\x7e\n]*$/);
  });

  it.each(hosts)('starts and answers in $name', async (host) => {
    if (host.missing) return;
    const [request, response] = files as [string, string];
    const [outcome] = await host.run(request, [{ event: viewerRequestEvent({ uri: '/live/ch1/main.m3u8' }) }]);
    expect(outcome?.error).toBeUndefined();
    expect(outcome?.logs.join('\n')).toContain('missing_token');
    const [answer] = await host.run(response, [{ event: viewerResponseEvent({ uri: '/live/ch1/main.m3u8' }) }]);
    expect(answer?.error).toBeUndefined();
    expect(JSON.stringify(answer?.result?.headers)).toContain('private');
  });
});
