import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { functionHosts, viewerRequestEvent } from '../../scripts/engine/index.js';

const scratch = mkdtempSync(join(tmpdir(), 'portcullis-quirks-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const engines = (await functionHosts()).filter((host) => host.name.startsWith('njs'));
let files = 0;

/** What the README beside this file says of the engines, held against the engines. */
describe.each(engines)('$name', (host) => {
  const old = host.name.endsWith('0.7.9');

  async function value(expression: string, before = ''): Promise<unknown> {
    const file = join(scratch, `${files++}.js`);
    writeFileSync(
      file,
      `async function handler() { ${before}; var v; try { v = ${expression} } catch (e) { v = 'threw ' + (e.name || e) }
        return { statusCode: 200, body: v } }`,
    );
    return (await host.run(file, [{ event: viewerRequestEvent() }]))[0]!.result?.body;
  }

  it.skipIf(host.missing).each([
    ['destructuring', 'var {a} = {}'],
    ['spread', 'Math.max(...[1])'],
    ['default parameters', 'function f(a = 1) {}'],
    ['for…of', 'for (var a of [1]);'],
    ['classes', 'class A {}'],
    ['catch without a binding', 'try {} catch {}'],
    ['optional chaining', 'var a = {}; a?.b'],
    ['logical assignment', 'var a; a ||= 1'],
    ['generators', 'function* f() {}'],
    ['BigInt', '1n'],
    ['the regular expression flag u', '/a/u'],
    ['await in arguments', 'async function f(a) { return f(await f(1)) }'],
    ['top-level await', 'await 1'],
    ['export', 'export default 1'],
  ])('refuses %s', async (_, source) => {
    const file = join(scratch, `${files++}.js`);
    writeFileSync(file, `${source}\nasync function handler() { return 1 }`);
    await expect(host.run(file, [{ event: viewerRequestEvent() }])).rejects.toThrow(/SyntaxError/);
  });

  it.skipIf(host.missing).each<[string, unknown]>([
    [`['01', '1.', '.5'].map(JSON.parse).join()`, '1,1,0.5'],
    [`JSON.parse('['.repeat(40) + ']'.repeat(40))`, 'threw SyntaxError'],
    [`JSON.parse('["\\\\ud800"]')[0].charCodeAt(0)`, 0xfffd],
    [`'😀'.length`, 1],
    [`Buffer.from('!!YQ', 'base64url').length`, old ? 4 : 0],
    [`Buffer.from('Y', 'base64url').length`, old ? 1 : 0],
    [`Object.keys({ b: 1, 7: 1, 3: 1 }).join()`, old ? 'b,7,3' : '3,7,b'],
    [`Buffer.from(new Uint8Array(Buffer.from('abcd').subarray(2)).buffer).toString()`, 'ab'],
    [`new RegExp('^a$').test('a\\n')`, true],
    [`new RegExp('^[[:alpha:]]+$').test('ab')`, true],
    [`new RegExp('a++').test('aa')`, old ? true : 'threw SyntaxError'],
    [`new RegExp('^a{,2}$').test('aa')`, !old],
    [`new RegExp('^(a+)+$').test('a'.repeat(28) + 'b')`, 'threw InternalError'],
  ])('gives for %s: %o', async (expression, expected) => {
    expect(await value(expression)).toEqual(expected);
  });
});
