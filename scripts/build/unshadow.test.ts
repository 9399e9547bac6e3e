// njs gives a closure the wrong variable where two have one name: what the compiler writes must not let them meet.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { functionsConfigSchema } from '../config/functions-config.js';
import { functionHosts, viewerRequestEvent } from '../engine/index.js';
import { writeFunctions } from './functions.js';
import { functionPlan } from './plan.js';
import { unshadow } from './unshadow.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-unshadow-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('names at the top of a script', () => {
  it.each([
    [
      'var u="x";async function f(e){let l=()=>({m:u}),c=l();try{let u=c;return u}catch(e){return c}}',
      'var $$="x";async function f(e){let l=()=>({m:$$}),c=l();try{let u=c;return u}catch(e){return c}}',
    ],
    ['var u=1;function f(u){return u}function g(){return u}', 'var u=1;function f(u){return u}function g(){return u}'],
    ['var u=1;function f(){return{u}}function g(){let u=2}', 'var u=1;function f(){return{u}}function g(){let u=2}'],
    [
      'var u=1;function f(){for(let u=0;;)return u;return{u:u}}',
      'var $$=1;function f(){for(let u=0;;)return u;return{u:$$}}',
    ],
    ['var u=1,v=e=>{{let u=2}return{u}};', 'var $$=1,v=e=>{{let u=2}return{u:$$}};'],
    [
      'var u=1;function f(a){try{}catch(u){a(u)}return a.u+u}',
      'var $$=1;function f(a){try{}catch(u){a(u)}return a.u+$$}',
    ],
    ['var u=1,$$=2;function f(){return(u=>u)(u)}', 'var $_=1,$$=2;function f(){return(u=>u)($_)}'],
    ['import u from"x";function f(){if(u){let u=1}}', 'import $$ from"x";function f(){if($$){let u=1}}'],
  ])('%s', (source, expected) => {
    expect(unshadow(source)).toBe(expected);
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
    await writeFunctions('unshadow', build, features, join(folder, String(i)));
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
