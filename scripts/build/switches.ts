import type { AnyNode } from 'acorn';
import { analyse, edited, isFunctionNode, type Edit } from './scopes.js';

type Switch = Extract<AnyNode, { type: 'SwitchStatement' }>;

/**
 * Turns a `switch` that ends a function, and whose cases do nothing but return, into one expression: `switch(a){case 1:
 * return b;case 2:return c}` becomes `return a===1?b:a===2?c:void 0`. One expression may follow it. The engine compares
 * one case after the other either way.
 */
export function switchesToConditionals(source: string): string {
  const { parents } = analyse(source);
  const edits: Edit[] = [...parents.keys()].flatMap((node) => {
    if (node.type !== 'SwitchStatement') return [];
    const body = parents.get(node);
    const owner = body && parents.get(body);
    if (body?.type !== 'BlockStatement' || !owner || !isFunctionNode(owner)) return [];
    const after = body.body.slice(body.body.indexOf(node) + 1) as AnyNode[];
    const variables = after.filter((it) => it.type === 'VariableDeclaration' && it.kind === 'var' && isEmpty(it));
    const [last, ...more] = after.filter((it) => !variables.includes(it));
    if (more.length > 0 || (last && last.type !== 'ExpressionStatement')) return [];
    const otherwise = last && source.slice(last.expression.start, last.expression.end);
    const text = conditional(node, source, otherwise === undefined ? 'void 0' : `void(${otherwise})`);
    if (text === undefined) return [];
    const before = variables.map(({ start, end }) => source.slice(start, end).replace(/;?$/, ';')).join('');
    return [{ start: node.start, end: body.end - 1, text: before + text }];
  });
  return edited(source, edits);
}

function isEmpty({ declarations }: Extract<AnyNode, { type: 'VariableDeclaration' }>): boolean {
  return declarations.every(({ init }) => !init);
}

/** The whole switch as one statement; undefined where it does more than choose. */
function conditional({ discriminant, cases }: Switch, source: string, otherwise: string): string | undefined {
  const text = ({ start, end }: { start: number; end: number }): string => source.slice(start, end);
  let before = '';
  let chosen = discriminant as AnyNode;
  if (chosen.type === 'SequenceExpression') {
    const last = chosen.expressions.at(-1) as AnyNode;
    before = `${source.slice(chosen.start, last.start).replace(/,\s*$/, '')};`;
    chosen = last;
  }
  // What is compared many times must be the same every time, and the comparisons must do nothing else.
  if (chosen.type !== 'Identifier') return undefined;
  const name = chosen.name;
  const parts: string[] = [];
  let tests: string[] = [];
  for (const { test, consequent } of cases) {
    if (!test || !isConstant(test as AnyNode)) return undefined;
    tests.push(`${text(test)}===${name}`);
    const [only, ...more] = consequent;
    if (!only) continue;
    if (more.length > 0 || only.type !== 'ReturnStatement' || !only.argument) return undefined;
    parts.push(`${tests.join('||')}?(${text(only.argument)}):`);
    tests = [];
  }
  return tests.length > 0 ? undefined : `${before}return ${parts.join('')}${otherwise};`;
}

function isConstant(node: AnyNode): boolean {
  return node.type === 'Literal' || (node.type === 'UnaryExpression' && node.argument.type === 'Literal');
}
