import type { AnyNode } from 'acorn';
import { assignedBeforeRead, isCaught, isWrittenAt } from './flow.js';
import { analyse, edited, isFunctionNode, type Binding, type Edit, type Script } from './scopes.js';

/**
 * Leaves out variables that are only another name for a constant: `(a,b)=>(b=f,b(a))` becomes `a=>f(a)`. What inlining
 * leaves of a parameter is such a name. A variable that an async function shares with a function within stays, as
 * everywhere here.
 *
 * @param source A script in which no two variables have one name.
 */
export function withoutAliases(source: string): string {
  let result = source;
  for (;;) {
    const script = analyse(result);
    const edits = script.bindings.map((binding) => alias(script, binding)).find((found) => found.length > 0);
    if (!edits) return withoutUnusedParameters(result);
    result = edited(result, edits);
  }
}

function alias(script: Script, binding: Binding): Edit[] {
  const { scope, places } = binding;
  const isParameter = scope.owner?.params.some(({ start }) => start === places[0]?.start) === true;
  const [write, ...others] = places.filter(({ start }) => isWrittenAt(script, start));
  if (!isParameter || !write || others.length > 0 || (scope.owner?.async && isCaught(binding))) return [];
  const assigned = script.parents.get(script.identifiers.get(write.start) as AnyNode);
  if (assigned?.type !== 'AssignmentExpression' || assigned.operator !== '=' || assigned.right.type !== 'Identifier')
    return [];
  const { name, start, end } = assigned.right;
  const given = script.bindings.find((it) => it.name === name);
  if (!given || !isConstant(script, given) || !assignedBeforeRead(script, binding, true)) return [];
  return [
    { start: assigned.start, end: start, text: '' },
    ...places
      .slice(1)
      .filter((place) => place !== write)
      .map((place) => ({
        start: place.key?.start ?? place.start,
        end: place.end,
        text: place.key ? `${place.key.name}:${name}` : name,
      })),
  ].filter((edit) => edit.start !== start || edit.end !== end);
}

/** Whether a variable has one value for as long as anything can read it. */
function isConstant(script: Script, { scope, places }: Binding): boolean {
  const writes = places.filter(({ start }) => isWrittenAt(script, start));
  // What a script declares at its top with a value is made before any function runs.
  if (scope === script.top) return writes.length === 1 && writes[0] === places[0];
  return writes.length === 0 && scope.owner?.params.some(({ start }) => start === places[0]?.start) === true;
}

/** Leaves out parameters at the end of arrow functions that nothing reads; what a call gives for them is nothing then. */
function withoutUnusedParameters(source: string): string {
  let result = source;
  for (;;) {
    const script = analyse(result);
    const unused = [...script.parents.keys()].flatMap((node): Edit[] => {
      if (!isFunctionNode(node) || node.type !== 'ArrowFunctionExpression' || node.params.length < 2) return [];
      const [before, last] = node.params.slice(-2) as [AnyNode, AnyNode];
      const binding = script.bindings.find(({ places }) => places[0]?.start === last.start);
      return binding?.places.length === 1 ? [{ start: before.end, end: last.end, text: '' }] : [];
    })[0];
    if (!unused) return result;
    result = edited(result, [unused]);
  }
}
