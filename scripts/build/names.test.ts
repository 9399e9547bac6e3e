// njs gives a closure the wrong variable where two have one name: what the compiler writes must not let them meet.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { functionsConfigSchema } from '../config/functions-config.js';
import { functionHosts, viewerRequestEvent } from '../engine/index.js';
import { writeFunctions } from './functions.js';
import { shortNames } from './names.js';
import { functionPlan } from './plan.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-names-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const named = (source: string): string => shortNames(source, new Set(['handler'])).code;

describe('short names', () => {
  it.each([
    ['what stands oftenest comes first', 'var one=1,two=two=>two+two+one;', 'var b=1,a=a=>a+a+b;'],
    [
      'a name from the top is not hidden where it is used',
      'var u=1;function f(u){return()=>u}',
      'var a=1;function b(a){return()=>a}',
    ],
    [
      'nor in a block or function that does not use it',
      'var u=1;function f(g){for(let u=0;;)g(u);return(u=>u)(g)+u}',
      'var b=1;function a(a){for(let c=0;;)a(c);return(c=>c)(a)+b}',
    ],
    [
      'nor by what a failure is called',
      'var u="x";async function f(e){let l=()=>({m:u}),c=l();try{let u=c;return u}catch(e){return c}}',
      'var m="x";async function a(d){let b=()=>({m}),a=b();try{let c=a;return c}catch(c){return a}}',
    ],
    [
      'blocks beside each other share names',
      'function f(g){{let x=1;g(x)}{let y=2;g(y)}}',
      'function a(a){{let b=1;a(b)}{let b=2;a(b)}}',
    ],
    [
      'what the platform calls stays',
      'async function handler(e){return e.handler}',
      'async function handler(a){return a.handler}',
    ],
    ['names of the platform stay free', 'var x=a=>Buffer.from(a,$);', 'var a=a=>Buffer.from(a,$);'],
    ['a value named like its key says it once', 'var f=(x,y)=>({y:x,z:y});', 'var a=(y,z)=>({y,z});'],
    ['a short form is written out', 'var f=value=>({value});', 'var a=a=>({value:a});'],
    ['imports are named too', 'import cf from"cloudfront";cf.kvs();', 'import a from"cloudfront";a.kvs();'],
    ['labels stay', 'a:for(;;){let x=1;if(x)break a}', 'a:for(;;){let a=1;if(a)break a}'],
    ['a parameter for the rest', 'var f=(...rest)=>rest.map(rest=>rest);', 'var a=(...a)=>a.map(b=>b);'],
    ['a hoisted var', 'var f=x=>{if(x)var y=x;return y};', 'var a=a=>{if(a)var b=a;return b};'],
  ])('%s', (_, source, expected) => {
    expect(named(source)).toBe(expected);
  });

  it('go on with two characters, none of them a word of the language', () => {
    const source = `var ${Array.from({ length: 2000 }, (_, i) => `n${i}=${i}`).join(',')};`;
    const made = named(source).match(/[\w$]+(?==)/g) as string[];
    expect(new Set(made).size).toBe(2000);
    expect(made.filter((name) => name.length === 1)).toHaveLength(54);
    expect(() => new Function(named(source))).not.toThrow();
  });
});

const hosts = await functionHosts();
// The names that a minifier gives out depend on all that is compiled in: more configurations, more chances to meet.
const configurations = (['cat', 'jwt'] as const).flatMap((format) =>
  [{ path: { prefix: '/vod' } } as const, { query: true }].flatMap((placements) =>
    [[], ['catu', 'catm', 'catnip', 'catgeoiso3166'] as const].map((use) => ({
      formats: [format],
      placements,
      claims: { use: [...use] },
      issuer: 'cms.example',
      revocation: { scopes: ['token', 'session', 'subject'] as ('token' | 'session' | 'subject')[] },
    })),
  ),
);
beforeAll(async () => {
  for (const [i, configuration] of configurations.entries()) {
    const { build, features } = functionPlan(functionsConfigSchema.parse(configuration));
    await writeFunctions('names', build, features, join(folder, String(i)));
  }
}, 60_000);

describe.each(hosts)('a refusal in $name', (host) => {
  it.skipIf(host.missing)('is one whatever is compiled in', async () => {
    for (const [i, configuration] of configurations.entries()) {
      const [outcome] = await host.run(join(folder, String(i), 'viewer-request.js'), [
        { event: viewerRequestEvent({ uri: '/vod/ch1/x.m4s' }) },
      ]);
      expect([configuration, outcome?.result]).toMatchObject([configuration, { statusCode: 401 }]);
    }
  });
});
