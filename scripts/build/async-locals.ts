import type { AnyNode } from 'acorn';
import { isCaught } from './flow.js';
import { assignment, functionsOf, leastOf, namesIn, type Declaration } from './locals.js';
import { analyse, edited, isFunctionNode, type FunctionNode, type Script } from './scopes.js';

/**
 * Declares the variables of an async function together, where that makes the script shorter: `let a=f();g(a);let b=a` gets
 * `let a=f(),b;g(a);b=a`. A variable that a function within has caught stays where it is: njs misreads one that is
 * assigned anew after an `await`.
 *
 * @param source A script in which no two variables have one name.
 * @param measure How many bytes a function will have.
 */
export async function gatherAsyncLocals(
  source: string,
  measure: (functionText: string) => Promise<number>,
): Promise<string> {
  let result = source;
  let script = analyse(source);
  const count = functionsOf(script).length;
  for (let i = count - 1; i >= 0; i--) {
    const node = functionsOf(script)[i] as FunctionNode;
    const first = node.async ? firstOf(node) : undefined;
    const end = first?.declarations.at(-1)?.end;
    const others = first && end !== undefined ? othersOf(script, node, first) : [];
    if (end === undefined || others.length === 0) continue;
    const moved = (chosen: readonly Declaration[]): string =>
      edited(result, [
        {
          start: end,
          end,
          text: chosen
            .flatMap(namesIn)
            .map((name) => `,${name}`)
            .join(''),
        },
        ...chosen.flatMap((declaration) => assignment(script, result, declaration)),
      ]);
    const chosen = await leastOf(others, (some) => {
      const text = moved(some);
      return measure(text.slice(node.start, node.end + text.length - result.length));
    });
    if (chosen.length === 0) continue;
    result = moved(chosen);
    script = analyse(result);
  }
  return result;
}

/** The first `let` of a function, outside of every block. */
function firstOf({ body }: FunctionNode): Declaration | undefined {
  if (body.type !== 'BlockStatement') return undefined;
  return (body.body as AnyNode[]).find(
    (it): it is Declaration => it.type === 'VariableDeclaration' && it.kind === 'let',
  );
}

/** The later declarations of a function whose variables nothing has caught. */
function othersOf(script: Script, node: FunctionNode, first: Declaration): Declaration[] {
  const bindings = new Map(script.bindings.flatMap((it) => (it.scope.owner === node ? [[it.name, it]] : [])));
  return [...script.parents.keys()].filter((found): found is Declaration => {
    if (found.type !== 'VariableDeclaration' || found.kind === 'var' || found.start <= first.start) return false;
    if (script.parents.get(found)?.type === 'ForInStatement' || ownerOf(script, found) !== node) return false;
    return namesIn(found).every((name) => {
      const binding = bindings.get(name);
      return binding !== undefined && !isCaught(binding);
    });
  });
}

function ownerOf({ parents }: Script, node: AnyNode): AnyNode | undefined {
  let up = parents.get(node);
  while (up && !isFunctionNode(up)) up = parents.get(up);
  return up;
}
