import { analyse, edited, isFunctionNode, type Edit } from './scopes.js';

/** Where one function is worth it. */
const fewest = 3;

/**
 * Lets one function at the top throw for all: `if(a)throw b` is a statement, `a&&thrown(b)` an expression, of which the
 * compressor makes shorter ones with what stands around it. It is called only where something is thrown.
 */
export function throwsToCalls(source: string): string {
  const { parents } = analyse(source);
  const edits: Edit[] = [...parents.keys()].flatMap((node) => {
    if (node.type !== 'ThrowStatement') return [];
    const body = parents.get(node);
    const owner = body && parents.get(body);
    // What ends a function is its value, so that it can be one with the values before it.
    const isLast = body?.type === 'BlockStatement' && body.body.at(-1) === node && owner && isFunctionNode(owner);
    const thrown = source.slice(node.argument.start, node.argument.end);
    const value = node.argument.type === 'SequenceExpression' ? `(${thrown})` : thrown;
    return [{ start: node.start, end: node.end, text: `${isLast ? 'return ' : ''}${thrower}(${value});` }];
  });
  return edits.length < fewest ? source : `var ${thrower}=reason=>{throw reason};${edited(source, edits)}`;
}

const thrower = 'thrown$$';
