import type { AnyNode } from 'acorn';
import { assignedBeforeRead, isCaught, isRepeated } from './flow.js';
import { analyse, edited, isFunctionNode, type Binding, type Edit, type FunctionNode, type Script } from './scopes.js';

export type Declaration = Extract<AnyNode, { type: 'VariableDeclaration' }>;

/**
 * Turns the variables of functions into further parameters, where that makes the script shorter: `a=>{let b=f(a);return
 * b*b}` becomes `(a,b)=>{b=f(a);return b*b}`, and the compressor makes `(a,b)=>(b=f(a),b*b)` of it: an assignment is an
 * expression, which a declaration is not.
 *
 * A caller may pass more than a function has parameters (`forEach` does): so only what is assigned before it is read is
 * moved. Async functions stay as they are: njs misreads what a closure of theirs has caught and what is assigned anew
 * after an `await`.
 *
 * @param source A script in which no two variables have one name.
 * @param measure How many bytes a function will have.
 */
export async function localsToParameters(
  source: string,
  measure: (functionText: string) => Promise<number>,
): Promise<string> {
  let result = source;
  let script = analyse(source);
  let functions = functionsOf(script);
  for (let i = functions.length - 1; i >= 0; i--) {
    const node = functions[i] as FunctionNode;
    const declarations = mayGrow(node) ? movable(script, node) : [];
    if (declarations.length === 0) continue;
    const moved = (chosen: readonly Declaration[]): string => {
      const edits = chosen.flatMap((declaration) => assignment(script, result, declaration));
      return edited(result, [...edits, parameters(result, node, chosen.flatMap(namesIn))]);
    };
    const size = async (chosen: readonly Declaration[]): Promise<number> => {
      const text = chosen.length > 0 ? moved(chosen) : result;
      return measure(text.slice(node.start, node.end + text.length - result.length));
    };
    const chosen = await leastOf(declarations, size);
    if (chosen.length === 0) continue;
    result = moved(chosen);
    script = analyse(result);
    functions = functionsOf(script);
  }
  return result;
}

/** Gives every variable within functions a name that no other has. */
export function uniqueNames(source: string): string {
  const { bindings, top } = analyse(source);
  const edits = bindings.flatMap(({ scope, places, name }, i) =>
    scope === top
      ? []
      : places.map(({ start, end, key }) => {
          const unique = `${name}$${i}`;
          return key ? { start: key.start, end, text: `${key.name}:${unique}` } : { start, end, text: unique };
        }),
  );
  return edited(source, edits);
}

export function functionsOf({ parents }: Script): FunctionNode[] {
  return [...parents.keys()].filter(isFunctionNode).sort((a, b) => a.start - b.start);
}

/** Whether a function may have more parameters than it has. */
export function mayGrow(node: FunctionNode): boolean {
  return node.type !== 'FunctionDeclaration' && !node.async && node.params.every(({ type }) => type === 'Identifier');
}

/** The declarations of a function, those of functions within it left out, whose variables may as well be parameters. */
function movable(script: Script, node: FunctionNode): Declaration[] {
  const own = script.bindings.filter(({ scope }) => scope.owner === node);
  return [...script.parents.keys()].filter((found): found is Declaration => {
    if (found.type !== 'VariableDeclaration') return false;
    return found.declarations.every(({ id }) => {
      const binding = own.find(({ name }) => id.type === 'Identifier' && name === id.name);
      if (!binding || script.parents.get(found)?.type === 'ForInStatement') return false;
      if (isCaught(binding) && isRepeated(script, found, node)) return false;
      return found.kind !== 'var' || assignedBeforeRead(script, binding);
    });
  });
}

export function namesIn({ declarations }: Declaration): string[] {
  return declarations.map(({ id }) => (id.type === 'Identifier' ? id.name : ''));
}

/** Assignments in place of a declaration; a variable without a value is given `undefined` unless it never shows. */
export function assignment(script: Script, source: string, declaration: Declaration): Edit[] {
  const { start, end, declarations } = declaration;
  const parts = declarations.flatMap(({ id, init, ...place }) => {
    if (init) return [source.slice(place.start, place.end)];
    const name = id.type === 'Identifier' ? id.name : '';
    const binding = script.bindings.find((it) => it.name === name) as Binding;
    return assignedBeforeRead(script, binding) ? [] : [`${name}=void 0`];
  });
  return [{ start, end, text: parts.join(',') + (source[end - 1] === ';' ? ';' : '') }];
}

/** Writes a function's parameters with more after them. */
export function parameters(source: string, { start, params, id }: FunctionNode, more: readonly string[]): Edit {
  const last = params.at(-1);
  if (!last) {
    const open = source.indexOf('(', id?.end ?? start) + 1;
    return { start: open, end: open, text: more.join(',') };
  }
  const bare = last.start === start;
  const text = [source.slice(last.start, last.end), ...more].join(',');
  return { start: last.start, end: last.end, text: bare ? `(${text})` : text };
}

/** All, or all but some that are better left out one by one; none where that is best. */
export async function leastOf<T>(
  all: readonly T[],
  size: (chosen: readonly T[]) => Promise<number>,
): Promise<readonly T[]> {
  let best = all;
  let least = await size(best);
  for (const item of all) {
    const fewer = best.filter((other) => other !== item);
    const bytes = await size(fewer);
    if (bytes <= least) [best, least] = [fewer, bytes];
  }
  return (await size([])) <= least ? [] : best;
}
