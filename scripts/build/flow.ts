import type { AnyNode } from 'acorn';
import type { Binding, FunctionNode, Script } from './scopes.js';

/** Whether a function within its own function uses a variable. */
export function isCaught({ scope, places }: Binding): boolean {
  return places.some((place) => place.scope.owner !== scope.owner);
}

/** Whether a piece of a function is in a loop of that function, a loop's own variables included. */
export function isRepeated({ parents }: Script, node: AnyNode, within: FunctionNode): boolean {
  for (let up = parents.get(node); up && up !== within; up = parents.get(up)) if (isLoop(up)) return true;
  return false;
}

function isLoop({ type }: AnyNode): boolean {
  return /^(For|ForIn|While|DoWhile)Statement$/.test(type);
}

/**
 * Whether a variable has been given a value whenever it is read: its first place is an assignment (or a declaration with
 * a value), which no way to the other places leads past. A function that has caught it cannot run before it is made. No is
 * said too often rather than too seldom.
 */
export function assignedBeforeRead(script: Script, binding: Binding, isParameter = false): boolean {
  const { parents } = script;
  const nodes = (isParameter ? binding.places.slice(1) : binding.places).flatMap(({ start }) => {
    const found = script.identifiers.get(start);
    const parent = found && parents.get(found);
    return found && parent && !(parent.type === 'VariableDeclarator' && parent.id === found && !parent.init)
      ? [found]
      : [];
  });
  const [first, ...rest] = nodes;
  const write = first && parents.get(first);
  if (!first || !write) return true;
  const isWrite =
    (write.type === 'VariableDeclarator' && write.id === first) ||
    (write.type === 'AssignmentExpression' && write.operator === '=' && write.left === first);
  return isWrite && rest.every((read) => isSettled(parents, write, read));
}

/** Whether the identifier that stands somewhere is given a value there, other than by being a parameter. */
export function isWrittenAt(script: Script, start: number): boolean {
  const node = script.identifiers.get(start);
  const parent = node && script.parents.get(node);
  return (
    (parent?.type === 'AssignmentExpression' && parent.left === node) ||
    parent?.type === 'UpdateExpression' ||
    (parent?.type === 'VariableDeclarator' && parent.id === node) ||
    (parent?.type === 'ForInStatement' && parent.left === node)
  );
}

/** Whether a piece that comes first is always run where a later one is. */
function isSettled(parents: ReadonlyMap<AnyNode, AnyNode>, first: AnyNode, later: AnyNode): boolean {
  const above = new Set<AnyNode>();
  for (let up: AnyNode | undefined = later; up; up = parents.get(up)) {
    // It may be called before the place where it stands.
    if (up.type === 'FunctionDeclaration' && !isWithin(parents, first, up)) return false;
    above.add(up);
  }
  if (above.has(first)) return false;
  for (let child = first, up = parents.get(first); up; child = up, up = parents.get(up)) {
    if (mayBeSkipped(child, up)) return false;
    if (above.has(up)) return true;
  }
  return false;
}

function isWithin(parents: ReadonlyMap<AnyNode, AnyNode>, node: AnyNode, outer: AnyNode): boolean {
  let up: AnyNode | undefined = node;
  while (up && up !== outer) up = parents.get(up);
  return up === outer;
}

/** Whether a node may run without one of its children. */
function mayBeSkipped(child: AnyNode, node: AnyNode): boolean {
  switch (node.type) {
    case 'LogicalExpression':
      return child === node.right;
    case 'ConditionalExpression':
    case 'IfStatement':
      return child !== node.test;
    case 'ForStatement':
      return child !== node.init && child !== node.test;
    case 'BlockStatement':
    case 'SequenceExpression':
    case 'ExpressionStatement':
    case 'VariableDeclaration':
    case 'VariableDeclarator':
    case 'AssignmentExpression':
    case 'BinaryExpression':
    case 'UnaryExpression':
    case 'ReturnStatement':
    case 'ThrowStatement':
    case 'CallExpression':
    case 'NewExpression':
    case 'MemberExpression':
    case 'ArrayExpression':
    case 'ObjectExpression':
    case 'Property':
      return false;
    default:
      return true;
  }
}
