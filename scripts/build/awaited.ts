import type { AnyNode } from 'acorn';
import { isCaught, isRepeated, isWrittenAt } from './flow.js';
import { uniqueNames } from './locals.js';
import {
  analyse,
  edited,
  isFunctionNode,
  type Binding,
  type Edit,
  type FunctionNode,
  type Place,
  type Script,
} from './scopes.js';

type Declaration = Extract<AnyNode, { type: 'VariableDeclaration' }>;
type Call = Extract<AnyNode, { type: 'CallExpression' }>;

/** An async function with a name, and the one declaration that awaits it: `let a=await named(b)`. */
interface Awaited {
  readonly callee: FunctionNode;
  readonly call: Call;
  readonly declaration: Declaration;
  /** Which of the declaration's variables gets the result. */
  readonly at: number;
}

/**
 * Writes an async function that one other awaits in one place into that other: in njs, another async function and the wait
 * for it cost a third of an HMAC. Left alone is what has closures over its own variables, which njs would lose there, and
 * what returns from anywhere but its end.
 *
 * @param source A script with whole statements, as the bundler leaves it.
 */
export function inlineAwaited(source: string): string {
  let result = uniqueNames(source);
  for (;;) {
    const script = analyse(result);
    const found = script.bindings.flatMap((binding) => awaitedOnce(script, binding) ?? [])[0];
    if (!found) return result;
    result = inlined(script, result, found);
  }
}

function awaitedOnce(script: Script, { scope, places }: Binding): Awaited | undefined {
  if (scope !== script.top || places.length !== 2) return undefined;
  const callee = [...script.parents.keys()].find(
    (node): node is FunctionNode =>
      node.type === 'FunctionDeclaration' && node.async && places.some(({ start }) => start === node.id?.start),
  );
  const used = places.flatMap(({ start }) => script.identifiers.get(start) ?? [])[0];
  const call = used && script.parents.get(used);
  const wait = call && script.parents.get(call);
  const declarator = wait && script.parents.get(wait);
  const declaration = declarator && script.parents.get(declarator);
  if (!callee || call?.type !== 'CallExpression' || call.callee !== used || wait?.type !== 'AwaitExpression')
    return undefined;
  if (declarator?.type !== 'VariableDeclarator' || declaration?.type !== 'VariableDeclaration') return undefined;
  const caller = ownerOf(script, declaration);
  if (!caller || isRepeated(script, declaration, caller) || call.arguments.length > callee.params.length)
    return undefined;
  const at = declaration.declarations.indexOf(declarator);
  return isPlain(script, callee) ? { callee, call, declaration, at } : undefined;
}

/** Whether nothing within has caught a variable of a function, which returns at its end alone. */
function isPlain(script: Script, node: FunctionNode): boolean {
  const returns = [...script.parents.keys()].filter(
    (found) => found.type === 'ReturnStatement' && ownerOf(script, found) === node,
  );
  const own = script.bindings.filter(({ scope }) => scope.owner === node);
  return (
    node.body.type === 'BlockStatement' &&
    returns.length === 1 &&
    returns[0] === node.body.body.at(-1) &&
    node.params.every(({ type }) => type === 'Identifier') &&
    !own.some(isCaught)
  );
}

function inlined(script: Script, source: string, { callee, call, declaration, at }: Awaited): string {
  const text = ({ start, end }: { start: number; end: number }): string => source.slice(start, end);
  const { body } = callee.body as Extract<AnyNode, { type: 'BlockStatement' }>;
  const last = body.at(-1) as Extract<AnyNode, { type: 'ReturnStatement' }>;
  const edits: Edit[] = [];
  const given: string[] = [];
  for (const [i, parameter] of callee.params.entries()) {
    const { name, places } = script.bindings.find((it) => it.places[0]?.start === parameter.start) as Binding;
    const argument = call.arguments[i] as AnyNode | undefined;
    const value = argument ? text(argument) : 'void 0';
    if (!isLasting(script, argument) || places.slice(1).some(({ start }) => isWrittenAt(script, start)))
      given.push(`${name}=${value}`);
    else edits.push(...places.slice(1).map((place) => renamed(place, value)));
  }
  const substituted = (start: number, end: number, changes: readonly Edit[] = edits): string =>
    edited(
      source.slice(start, end),
      changes
        .filter((it) => it.start >= start && it.end <= end)
        .map((it) => ({ ...it, start: it.start - start, end: it.end - start })),
    );
  const statements = substituted(callee.body.start + 1, last.start);
  const result = last.argument ? substituted(last.argument.start, last.argument.end) : 'void 0';
  const declared = declaration.declarations.map(text);
  const target = script.bindings.find(
    ({ places }) => places[0]?.start === declaration.declarations[at]?.id.start,
  ) as Binding;
  // A variable of the one function may as well be that of the other.
  const isSame =
    last.argument?.type === 'Identifier' && target.places.slice(1).every(({ start }) => !isWrittenAt(script, start));
  const renames = isSame ? target.places.slice(1).map((place) => renamed(place, result)) : [];
  const later = declaration.declarations.slice(at + 1).map(({ start, end }) => substituted(start, end, renames));
  const before = [...declared.slice(0, at), ...given];
  const after = [...(isSame ? [] : [`${target.name}=${result}`]), ...later];
  const declare = (list: readonly string[]): string => (list.length > 0 ? `let ${list.join(',')};` : '');
  return edited(source, [
    { start: callee.start, end: callee.end, text: '' },
    {
      start: declaration.start,
      end: declaration.end,
      text: `${declare(before)}${statements};${declare(after)}`,
    },
    ...renames.filter(({ start }) => start >= declaration.end),
  ]);
}

function renamed({ start, end, key }: Place, text: string): Edit {
  return key ? { start: key.start, end, text: `${key.name}:${text}` } : { start, end, text };
}

/** Whether an argument is the same whenever it is read: a constant, or a variable that has one value. */
function isLasting(script: Script, argument: AnyNode | undefined): boolean {
  if (!argument || argument.type === 'Literal') return true;
  if (argument.type === 'UnaryExpression') return isLasting(script, argument.argument as AnyNode);
  if (argument.type !== 'Identifier') return false;
  const binding = script.bindings.find(({ places }) => places.some(({ start }) => start === argument.start));
  return binding?.places.filter(({ start }) => isWrittenAt(script, start)).length === 1 || isParameter(script, binding);
}

function isParameter(script: Script, binding: Binding | undefined): boolean {
  if (!binding?.scope.owner || binding.places.some(({ start }) => isWrittenAt(script, start))) return false;
  return binding.scope.owner.params.some(({ start }) => start === binding.places[0]?.start);
}

function ownerOf(script: Script, node: AnyNode): FunctionNode | undefined {
  let up = script.parents.get(node);
  while (up && !isFunctionNode(up)) up = script.parents.get(up);
  return up;
}
