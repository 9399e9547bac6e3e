import type { AnyNode } from 'acorn';
import { analyse, edited, type Edit, type Script } from './scopes.js';

/**
 * Writes `==` for `===` where a number is compared to a variable that never has anything but numbers, or nothing: there
 * both are the same. Nowhere else: `==` takes `["a"]` for `"a"`, and what a token says would pass for what it does not.
 *
 * @param source A script in which no two variables have one name.
 */
export function looseWhereNumbers(source: string): string {
  const script = analyse(source);
  const known = new Map<string, boolean>();
  const hasNumbers = (node: AnyNode): boolean => {
    if (node.type !== 'Identifier') return false;
    const binding = script.top.bindings.get(node.name);
    if (!binding) return false;
    const found = known.get(binding.name) ?? binding.places.every(({ start }) => keepsNumbers(script, start));
    known.set(binding.name, found);
    return found;
  };
  const edits: Edit[] = [...script.parents.keys()].flatMap((node) => {
    if (node.type !== 'BinaryExpression' || (node.operator !== '===' && node.operator !== '!==')) return [];
    const [left, right] = [node.left as AnyNode, node.right as AnyNode];
    const isSafe = (isLiteral(left) && hasNumbers(right)) || (isLiteral(right) && hasNumbers(left));
    const at = isSafe ? source.indexOf(node.operator, left.end) : -1;
    return at < 0 ? [] : [{ start: at, end: at + 3, text: node.operator.slice(0, 2) }];
  });
  return edited(source, edits);
}

/** Whether what happens at a place of a variable leaves it with a number, or as it was. */
function keepsNumbers({ identifiers, parents }: Script, start: number): boolean {
  const node = identifiers.get(start);
  const parent = node && parents.get(node);
  if (!parent) return false;
  if (parent.type === 'VariableDeclarator' && parent.id === node)
    return !parent.init || isNumber(parent.init as AnyNode);
  if (parent.type === 'AssignmentExpression' && parent.left === node)
    return parent.operator === '=' ? isNumber(parent.right as AnyNode) : arithmetic.has(parent.operator.slice(0, -1));
  return parent.type !== 'ForInStatement' && !/Function/.test(parent.type);
}

/** Operators that make numbers of everything, where there are no big ones. */
const arithmetic = new Set(['-', '*', '/', '%', '**', '&', '|', '^', '<<', '>>', '>>>']);

function isNumber(node: AnyNode): boolean {
  if (node.type === 'UnaryExpression') return ['+', '-', '~'].includes(node.operator);
  return node.type === 'BinaryExpression' ? arithmetic.has(node.operator) : isLiteral(node);
}

function isLiteral(node: AnyNode): boolean {
  if (node.type === 'UnaryExpression' && node.operator === '-') return isLiteral(node.argument as AnyNode);
  return node.type === 'Literal' && typeof node.value === 'number';
}
