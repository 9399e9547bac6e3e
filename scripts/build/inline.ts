import type { AnyNode } from 'acorn';
import { assignedBeforeRead, isCaught, isRepeated, isWrittenAt } from './flow.js';
import { mayGrow, parameters } from './locals.js';
import { analyse, edited, isFunctionNode, type Binding, type Edit, type FunctionNode, type Script } from './scopes.js';

type Call = Extract<AnyNode, { type: 'CallExpression' }>;
type Arrow = Extract<AnyNode, { type: 'ArrowFunctionExpression' }>;

/**
 * Puts a function that is made only to be called on the spot into the function that it stands in, where that makes the
 * script shorter: `a=>((b,c)=>(c=f(b),c*c))(a+1)` becomes `(a,b,c)=>(b=a+1,c=f(b),c*c)`. Only the compressor makes such
 * functions, of what is called in one place. An async function gets no variable by it, for the reason that
 * `localsToParameters` has.
 *
 * @param source A script in which no two variables have one name.
 * @param measure How many bytes a function will have.
 */
export async function inlineCalls(source: string, measure: (functionText: string) => Promise<number>): Promise<string> {
  let result = source;
  let script = analyse(source);
  let calls = callsOnTheSpot(script);
  for (let skipped = 0; ;) {
    const [call, owner] = calls[skipped] ?? [];
    if (!call || !owner) return result;
    const edits = inlined(script, result, call, owner);
    const text = edited(result, edits);
    const [before, after] = [result, text].map((it) => it.slice(owner.start, owner.end + it.length - result.length));
    if (edits.length > 0 && (await measure(after ?? '')) < (await measure(before ?? ''))) {
      result = text;
      script = analyse(result);
      calls = callsOnTheSpot(script);
    } else skipped += 1;
  }
}

/** The calls in question, each with the function that it stands in, inner ones first. */
function callsOnTheSpot(script: Script): [Call, FunctionNode][] {
  return [...script.parents].reverse().flatMap(([node, parent]): [Call, FunctionNode][] => {
    if (node.type !== 'CallExpression' || node.callee.type !== 'ArrowFunctionExpression') return [];
    const { async, body, params } = node.callee;
    const isPlain = !async && body.type !== 'BlockStatement' && params.every(({ type }) => type === 'Identifier');
    if (!isPlain || node.arguments.length > params.length) return [];
    let owner: AnyNode | undefined = parent;
    while (owner && !isFunctionNode(owner)) owner = script.parents.get(owner);
    return owner && (owner.async || mayGrow(owner)) ? [[node, owner]] : [];
  });
}

function inlined(script: Script, source: string, call: Call, owner: FunctionNode): Edit[] {
  const callee = call.callee as Arrow;
  const repeated = isRepeated(script, call, owner);
  const values: string[] = [];
  const kept: string[] = [];
  let edits: Edit[] = [];
  for (const [i, parameter] of callee.params.entries()) {
    const binding = script.bindings.find(({ places }) => places[0]?.start === parameter.start) as Binding;
    const value = call.arguments[i] as AnyNode | undefined;
    // One that nothing reads is in the way of those behind it, and has a constant for a value.
    if (value?.type === 'Literal' && binding.places.length === 1) continue;
    if (repeated && isCaught(binding)) return [];
    const same = value && sameThroughout(script, binding, value, callee);
    if (same) edits = [...edits, ...binding.places.slice(1).map((place) => replaced(place, same))];
    else {
      kept.push(binding.name);
      if (value) values.push(`${binding.name}=${source.slice(value.start, value.end)}`);
      else if (!assignedBeforeRead(script, binding, true)) values.push(`${binding.name}=void 0`);
    }
  }
  if (owner.async && kept.length > 0) return [];
  const { body } = callee;
  const within = edits
    .filter(({ start }) => start >= body.start)
    .map(({ start, end, text }) => ({ start: start - body.start, end: end - body.start, text }));
  const text = `(${[...values, `(${edited(source.slice(body.start, body.end), within)})`].join(',')})`;
  const replacement = { start: call.start, end: call.end, text };
  return kept.length > 0 ? [parameters(source, owner, kept), replacement] : [replacement];
}

function replaced({ start, end, key }: Binding['places'][number], name: string): Edit {
  return key ? { start: key.start, end, text: `${key.name}:${name}` } : { start, end, text: name };
}

/** The name of the variable that a parameter is given, if both have one value as long as the function runs. */
function sameThroughout(script: Script, parameter: Binding, value: AnyNode, callee: Arrow): string | undefined {
  if (value.type !== 'Identifier') return undefined;
  const given = script.bindings.find(({ name }) => name === value.name);
  if (!given || parameter.places.slice(1).some(({ start }) => isWrittenAt(script, start))) return undefined;
  // Made with the script, before any function of it runs.
  const isMade =
    given.scope.owner === undefined && given.places.filter(({ start }) => isWrittenAt(script, start)).length === 1;
  if (isMade && isWrittenAt(script, given.places[0]?.start ?? 0)) return value.name;
  const isAsync = given.scope.owner?.async === true;
  const isFixed = given.places.every(({ start, scope }) => {
    if (!isWrittenAt(script, start)) return !isAsync || !isCaught(parameter);
    // A closure that is made within might outlive a later assignment.
    return (
      scope.owner === given.scope.owner &&
      given.scope.owner !== undefined &&
      start < callee.start &&
      !isCaught(parameter)
    );
  });
  return isFixed ? value.name : undefined;
}
