import { parse, type AnyNode, type Node } from 'acorn';

/** Objects of the platform whose functions need no `this`. */
const platform = new Set(['Object', 'Array', 'Buffer', 'JSON', 'Math', 'Number']);

/** A piece of source, and what it becomes when its text has a name: brackets around that, for a property. */
interface Use {
  readonly start: number;
  readonly end: number;
  readonly bracketed: boolean;
}

/** The characters that a name takes, as the minifier gives them out: one or two. */
const nameLength = 2;

/**
 * Gives names to what a script says often: property names, texts and functions of the platform. `a.length` becomes
 * `a[b]`, `Object.keys(c)` becomes `d(c)`; the minifier makes the names short afterwards. What a script does stays the
 * same; how long it takes, too: the engine looks a property up by a value either way.
 *
 * @param source A script whose names are not yet shortened. No name in it ends with `$$`.
 */
export function nameRepeated(source: string): string {
  const uses = new Map<string, Use[]>();
  const add = (text: string, start: number, end: number, bracketed: boolean): void => {
    const list = uses.get(text) ?? [];
    list.push({ start, end, bracketed });
    uses.set(text, list);
  };
  visit(parse(source, { ecmaVersion: 2022, sourceType: 'module' }), undefined, add, source);
  const named = [...uses].filter(([text, list]) => savedBytes(text, list) > 0);
  // A function of the platform is named as a whole, and then neither of its parts stands there any more.
  const edits = named.flatMap(([text, list], i) => list.map((use) => ({ ...use, name: `n${i}$$`, text })));
  edits.sort((a, b) => b.start - a.start);
  let result = source;
  for (const { start, end, bracketed, name } of edits) {
    const prefix = bracketed || !/[\w$]/.test(source[start - 1] ?? '') ? '' : ' ';
    result = result.slice(0, start) + (bracketed ? `[${name}]` : prefix + name) + result.slice(end);
  }
  return named.length === 0 ? source : `var ${named.map(([text], i) => `n${i}$$=${text}`).join(',')};${result}`;
}

function savedBytes(text: string, uses: readonly Use[]): number {
  const before = uses.reduce((sum, { start, end }) => sum + end - start, 0);
  const after = uses.reduce((sum, { bracketed }) => sum + nameLength + (bracketed ? 2 : 0), 0);
  return before - after - (nameLength + text.length + 2);
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
    if (!isKey && !isRequired) add(JSON.stringify(node.value), node.start, node.end, false);
    return;
  }
  for (const value of Object.values(node) as unknown[]) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visit(child as AnyNode, node, add, source);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';
}
