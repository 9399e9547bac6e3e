// Each step of making the compiled functions smaller: what becomes of a piece of source, what must stay as it is, and that
// all steps together change nothing of what a script does, in Node and in the engines that stand for the edge's.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterAll, describe, expect, it } from 'vitest';
import { functionHosts, viewerRequestEvent } from '../engine/index.js';
import { gatherAsyncLocals } from './async-locals.js';
import { looseWhereNumbers } from './equality.js';
import { gathered } from './gather.js';
import { inlineCalls } from './inline.js';
import { localsToParameters, uniqueNames } from './locals.js';
import { shrink } from './shrink.js';
import { switchesToConditionals } from './switches.js';
import { throwsToCalls } from './throws.js';

/** Takes whatever may be taken: as if fewer variables declared, and fewer functions, were all that counts. */
const eager = (text: string): Promise<number> =>
  Promise.resolve((text.match(/\b(let|var|const)\b|=>/g) ?? []).length * 1000 + text.length / 1000);

describe('variables become parameters', () => {
  it.each([
    ['of a function with one', 'f=a=>{let b=g(a);return b*b}', 'f=(a,b)=>{b=g(a);return b*b}'],
    ['of a function with none', 'f=()=>{let b=g();return b*b}', 'f=(b)=>{b=g();return b*b}'],
    ['of a function by its word', 'f=function(){const b=g();return b*b}', 'f=function(b){b=g();return b*b}'],
    ['in a block', 'f=(a,b)=>{if(a){let c=b;return c}}', 'f=(a,b,c)=>{if(a){c=b;return c}}'],
    ['of a loop', 'f=a=>{for(let i=0;i<a;i++)g(i)}', 'f=(a,i)=>{for(i=0;i<a;i++)g(i)}'],
    ['without a value', 'f=a=>{let b;if(a)b=a;return b}', 'f=(a,b)=>{b=void 0;if(a)b=a;return b}'],
    ['without a value, given one before it is read', 'f=a=>{let b;b=a;return b}', 'f=(a,b)=>{;b=a;return b}'],
    ['caught by a function', 'f=a=>{let b=a;return()=>b}', 'f=(a,b)=>{b=a;return()=>b}'],
    ['hoisted, given a value first', 'f=a=>{return b=a,b+b;var b}', 'f=(a,b)=>{return b=a,b+b;}'],
  ])('%s', async (_, source, expected) => {
    expect(await localsToParameters(source, eager)).toBe(expected);
  });

  it.each([
    ['in a loop, caught by a function', 'f=a=>{for(let i=0;i<a;i++)g(()=>i)}'],
    ['hoisted, not always given a value', 'f=a=>{if(a)b=a;return b;var b}'],
    ['hoisted, read first', 'f=a=>{g(b);b=a;return b;var b}'],
    ['hoisted, given a value where a condition holds', 'f=a=>{return a&&(b=a),b;var b}'],
    ['hoisted, given a value in a loop', 'f=a=>{for(;a--;)b=a;return b;var b}'],
    ['hoisted, given a value that reads it', 'f=a=>{b=b+a;return b;var b}'],
    ['of an async function', 'async function f(a){let b=await g(a);return b}'],
    ['of a declared function', 'function f(a){let b=g(a);return b}'],
    ['of a function with a rest', 'f=(...a)=>{let b=g(a);return b}'],
    ['at the top', 'let b=1;f=()=>b'],
  ])('but not: %s', async (_, source) => {
    expect(await localsToParameters(source, eager)).toBe(source);
  });

  it('only where that is shorter', async () => {
    const source = 'f=a=>{let b=g(a);return b*b}';
    expect(await localsToParameters(source, () => Promise.resolve(1))).toBe(source);
  });

  it('have names of their own before', () => {
    expect(uniqueNames('var a=1;f=a=>{{let b={a};g(b)}{let b=a;g(b)}}')).toBe(
      'var a=1;f=a$1=>{{let b$2={a:a$1};g(b$2)}{let b$3=a$1;g(b$3)}}',
    );
  });
});

describe('switches become conditions', () => {
  it.each([
    ['f=a=>{switch(a){case 1:return g;case-2:case 3:return h}}', 'f=a=>{return 1===a?(g):-2===a||3===a?(h):void 0;}'],
    ['f=a=>{switch(b=g,a){case"x":return b}}', 'f=a=>{b=g;return "x"===a?(b):void 0;}'],
    ['f=a=>{switch(a){case 1:return g}var c;h(a)}', 'f=a=>{var c;return 1===a?(g):void(h(a));}'],
  ])('%s', (source, expected) => {
    expect(switchesToConditionals(source)).toBe(expected);
  });

  it.each([
    'f=a=>{switch(a){case 1:g();case 2:return h}}',
    'f=a=>{switch(a){case 1:return g;default:return h}}',
    'f=a=>{switch(a){case 1:return}}',
    'f=a=>{switch(a){case 1:return g;case 2:}}',
    'f=a=>{switch(a.b){case 1:return g}}',
    'f=a=>{switch(a){case b:return g}}',
    'f=a=>{switch(a){case 1:return g}if(a)return h}',
    'f=a=>{{switch(a){case 1:return g}}}',
  ])('but not %s', (source) => {
    expect(switchesToConditionals(source)).toBe(source);
  });
});

describe('throwing becomes a call', () => {
  it('of one function, and the value of what ends with it', () => {
    expect(throwsToCalls('f=a=>{if(a)throw 0;if(a.b)throw a,1;throw"x"}')).toBe(
      'var thrown$$=reason=>{throw reason};f=a=>{if(a)thrown$$(0);if(a.b)thrown$$((a,1));return thrown$$("x");}',
    );
  });

  it('not where that is seldom', () => {
    expect(throwsToCalls('f=a=>{throw a};g=a=>{throw a}')).toBe('f=a=>{throw a};g=a=>{throw a}');
  });
});

describe('functions that are made to be called on the spot', () => {
  it.each([
    ['become a part of what they stand in', 'f=a=>((b,c)=>(c=g(b),c*c))(a+1)', 'f=(a,b,c)=>(b=a+1,(c=g(b),c*c))'],
    ['use what they are given', 'f=a=>(b=>b*b)(a)', 'f=a=>((a*a))'],
    ['even in an async function', 'async function f(a){return(b=>b*b)(a)}', 'async function f(a){return((a*a))}'],
    ['under its name', 'f=a=>(b=>({b}))(a)', 'f=a=>(({b:a}))'],
    ['are not given some', 'f=a=>((b,c)=>(a&&(c=b),c))(a)', 'f=(a,c)=>(c=void 0,(a&&(c=a),c))'],
    ['change what they are given', 'f=a=>(b=>(b++,b*a))(a)', 'f=(a,b)=>(b=a,(b++,b*a))'],
    ['change what they use', 'f=a=>(b=>(a++,b*a))(a)', 'f=(a,b)=>(b=a,(a++,b*a))'],
    ['use what may change', 'var a=1;f=c=>(b=>(g(),b))(a);a=2', 'var a=1;f=(c,b)=>(b=a,(g(),b));a=2'],
    ['use what never changes', 'var a=1;f=c=>(b=>(g(),b))(a)', 'var a=1;f=c=>((g(),a))'],
    ['do not use a constant', 'f=c=>((b,a)=>a*a)(0,c)', 'f=c=>((c*c))'],
  ])('%s', async (_, source, expected) => {
    expect(await inlineCalls(source, eager)).toBe(expected);
  });

  it.each([
    ['in an async function, as a variable', 'async function f(a){return(b=>b*b)(a+1)}'],
    ['in a loop, where a function catches what is theirs', 'f=a=>{for(;a--;)(b=>g(()=>b))(a)}'],
    ['with statements', 'f=a=>(b=>{for(;b--;)g(b)})(a)'],
    ['in an async function, where a function catches what is theirs', 'async function f(a){return(b=>()=>b)(a)}'],
    ['with too much given', 'f=a=>(()=>a)(g())'],
  ])('but not %s', async (_, source) => {
    expect(await inlineCalls(source, eager)).toBe(source);
  });
});

describe('variables of an async function', () => {
  it.each([
    [
      'are declared together',
      'async function f(a){let b=g(a);h(b);let c=await b;for(let i=0;i<c;i++)h(i)}',
      'async function f(a){let b=g(a),c,i;h(b);c=await b;for(i=0;i<c;i++)h(i)}',
    ],
    [
      'are without a value again in every round',
      'async function f(a){let b=a;for(;b--;){let c;if(await b)c=a;h(c)}}',
      'async function f(a){let b=a,c;for(;b--;){c=void 0;if(await b)c=a;h(c)}}',
    ],
    [
      'stay where they are once caught',
      'async function f(a){let b=g(a);h(b);let c=b;h(()=>c)}',
      'async function f(a){let b=g(a);h(b);let c=b;h(()=>c)}',
    ],
    [
      'stay where nothing is declared outside',
      'async function f(a){if(a){let b=g(a);h(b)}}',
      'async function f(a){if(a){let b=g(a);h(b)}}',
    ],
  ])('%s', async (_, source, expected) => {
    expect(await gatherAsyncLocals(source, eager)).toBe(expected);
  });
});

describe('comparisons', () => {
  it('need no third sign between numbers', () => {
    expect(looseWhereNumbers('var a,b=1;f=c=>{a=+c;b=c-1;b++;return 4===a||b!==-2}')).toBe(
      'var a,b=1;f=c=>{a=+c;b=c-1;b++;return 4==a||b!=-2}',
    );
  });

  it.each([
    ['of a parameter', 'f=a=>4===a'],
    ['of a variable that once has something else', 'var a;f=c=>{a=+c;return 4===a};g=c=>{a=c}'],
    ['of a variable that may have a text', 'var a=1;f=c=>{a+=c;return 4===a}'],
    ['of a property', 'var a=1;f=c=>4===c.a'],
    ['with a text', 'var a=1;f=c=>"4"===a'],
    ['with undefined', 'var a=1;f=c=>void 0===a'],
    ['of a variable within', 'f=c=>{let a=+c;return 4===a}'],
  ])('keep it: %s', (_, source) => {
    expect(looseWhereNumbers(source)).toBe(source);
  });
});

describe('the top of a script', () => {
  it('has imports, then variables, then functions', () => {
    expect(gathered('var a=1;const b=2;async function f(){}var c;import d from"x";function g(){}')).toBe(
      'import d from"x";var a=1,b=2,c;async function f(){}function g(){}',
    );
  });

  it('stays as it is where it does more', () => {
    expect(gathered('const a=1;g();var b=2;')).toBe('const a=1;g();var b=2;');
  });
});

const folder = mkdtempSync(join(tmpdir(), 'portcullis-shrink-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Scripts that make a text of what they are given: what shrinks them must not change it. */
const scripts = {
  'variables of every kind': `
    var told = [];
    var sum = (list) => { let total = 0; list.forEach((item, index) => { const twice = item * 2; if (index) { let more = twice + 1; total += more; } else total += twice; }); return total; };
    var makers = (count) => { let made = []; for (let i = 0; i < count; i++) { let square = i * i; made.push(() => square + i); } return made.map((make) => make()); };
    var kept = (item, index) => { let found; if (item > 1) found = index; return found === undefined ? 'none' : found; };
    var deep = (n) => { let here = n; let below = n > 0 ? deep(n - 1) : []; return below.concat(here); };
    var work = (text) => { told.push(sum([1, 2, 3]), makers(4), [0, 1, 2, 3].map(kept), deep(5), text.length, text.length, text.length); return JSON.stringify(told); };`,
  'choices and refusals': `
    var must = (held) => { if (!held) throw 0; };
    var claim = (label, value) => { switch (label) { case 1: return value > 1 && 'late'; case 2: case -3: { let twice = value * 2; must(twice < 100); return twice > 10 && 'much'; } case 4: return void must(value); } if (label > 7 && label < 10) throw 'unsupported'; };
    var outcome = (label, value) => { try { return String(claim(label, value)); } catch (reason) { return 'thrown ' + reason; } };
    var order = (x) => ((y) => { let z = y + 1; if (z > 2) throw 'over ' + z; return z; })(x);
    var work = (text) => { let out = []; [1, 2, -3, 4, 5, 8].forEach((label) => [0, 2, 6, 60].forEach((value) => out.push(outcome(label, value)))); try { order(text.length); } catch (reason) { out.push(reason); } return out.concat(order(0)).join(); };`,
};
const hosts = await functionHosts();

describe.each(Object.entries(scripts))('a script with %s', (name, script) => {
  const whole = `${script}
    async function handler(event) { let uri = event.request.uri; await 0; let reply = () => ({ statusCode: 200, body: work(uri) }); return reply(); }`;

  it('does in the end what it did', async () => {
    const before = runInNewContext(`${script};work('/some/path')`) as string;
    const code = await shrink(whole);
    expect(code.length).toBeLessThan(whole.replace(/\s+/g, '').length);
    expect(await shrink(whole)).toBe(code);
    const file = join(folder, `${name.replace(/ /g, '-')}.js`);
    writeFileSync(file, code);
    for (const host of hosts) {
      if (host.missing) continue;
      const [outcome] = await host.run(file, [{ event: viewerRequestEvent({ uri: '/some/path' }) }]);
      expect([host.name, outcome?.error, outcome?.result]).toMatchObject([host.name, undefined, { body: before }]);
    }
  });
});
