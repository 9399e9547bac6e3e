import { parse, type AnyNode } from 'acorn';
import { childrenOf, edited } from './scopes.js';

/** Objects of the platform whose functions need no `this`. */
const platform = new Set(['Object', 'Array', 'Buffer', 'JSON', 'Math', 'Number']);

/** A piece of source, and what it becomes when its text has a name: brackets around that, for a property. */
interface Use {
  readonly start: number;
  readonly end: number;
  readonly bracketed: boolean;
}

/** A script in which texts have names, and the text of each name. */
export interface Shortened {
  readonly code: string;
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * Gives names to what a script says often: property names, texts, functions of the platform, and `undefined`. `a.length`
 * becomes `a[b]`, `Object.keys(c)` becomes `d(c)`; the names are made short afterwards. What a script does stays the same;
 * how long it takes, too: the engine looks a property up by a value either way.
 *
 * @param source A script whose names are not yet shortened. No name in it ends with `$$`.
 * @param lengthOf How long the name for a text will be.
 */
export function nameRepeated(source: string, lengthOf: (text: string) => number): Shortened {
  const uses = new Map<string, Use[]>();
  const add = (text: string, start: number, end: number, bracketed: boolean): void => {
    const list = uses.get(text) ?? [];
    list.push({ start, end, bracketed });
    uses.set(text, list);
  };
  visit(parse(source, { ecmaVersion: 2022, sourceType: 'module' }), undefined, add, source);
  const named = [...uses].filter(([text, list]) => savedBytes(text, list, lengthOf(text)) > 0);
  const nameOf = new Map(named.map(([text], i) => [text, `n${i}$$`]));
  const edits = named.flatMap(([text, list]) =>
    list.map(({ start, end, bracketed }) => {
      const name = nameOf.get(text) ?? '';
      const prefix = /[\w$]/.test(source[start - 1] ?? '') ? ' ' : '';
      return { start, end, text: bracketed ? `[${name}]` : prefix + name };
    }),
  );
  const values = [...nameOf].map(([text, name]) => (text === nothing ? name : `${name}=${text}`));
  return {
    code: (named.length > 0 ? `var ${values.join(',')};` : '') + edited(source, edits),
    texts: new Map([...nameOf].map(([text, name]) => [name, text])),
  };
}

/** What a variable has that is never given a value: it needs none. */
const nothing = 'void 0';

function savedBytes(text: string, uses: readonly Use[], nameLength: number): number {
  const before = uses.reduce((sum, { start, end }) => sum + end - start, 0);
  const after = uses.reduce((sum, { bracketed }) => sum + nameLength + (bracketed ? 2 : 0), 0);
  return before - after - (nameLength + 1 + (text === nothing ? 0 : text.length + 1));
}

/** A text as it will be printed. */
function inAscii(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

type Add = (text: string, start: number, end: number, bracketed: boolean) => void;

function visit(node: AnyNode, parent: AnyNode | undefined, add: Add, source: string): void {
  if (node.type === 'ImportDeclaration') return;
  if (node.type === 'MemberExpression' && !node.computed && node.property.type === 'Identifier') {
    const { object, property } = node;
    if (object.type === 'Identifier' && platform.has(object.name)) {
      add(`${object.name}.${property.name}`, node.start, node.end, false);
      return;
    }
    add(JSON.stringify(property.name), source.lastIndexOf('.', property.start), property.end, true);
    visit(object as AnyNode, node, add, source);
    return;
  }
  if (node.type === 'Literal' && typeof node.value === 'string') {
    const isKey = parent?.type === 'Property' && parent.key === node && !parent.computed;
    const isRequired =
      parent?.type === 'CallExpression' && parent.callee.type === 'Identifier' && parent.callee.name === 'require';
    if (!isKey && !isRequired) add(inAscii(JSON.stringify(node.value)), node.start, node.end, false);
    return;
  }
  if (node.type === 'UnaryExpression' && node.operator === 'void' && node.argument.type === 'Literal') {
    add(nothing, node.start, node.end, false);
    return;
  }
  for (const child of childrenOf(node)) visit(child, node, add, source);
}
