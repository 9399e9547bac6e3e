import type { AnyNode } from 'acorn';
import { analyse } from './scopes.js';

/**
 * Gathers what stands at the top of a script: the imports, then one declaration of all variables in their order, then the
 * functions, which hold from the start wherever they stand. A script that does more at its top stays as it is.
 */
export function gathered(source: string): string {
  const { program } = analyse(source);
  const imports: string[] = [];
  const variables: string[] = [];
  const functions: string[] = [];
  for (const node of program.body as AnyNode[]) {
    const text = source.slice(node.start, node.end);
    if (node.type === 'ImportDeclaration') imports.push(text);
    else if (node.type === 'FunctionDeclaration') functions.push(text);
    else if (node.type === 'VariableDeclaration')
      variables.push(...node.declarations.map(({ start, end }) => source.slice(start, end)));
    else if (node.type !== 'EmptyStatement') return source;
  }
  return [...imports, variables.length > 0 ? `var ${variables.join(',')};` : '', ...functions].join('');
}
