import { parse, type AnyNode, type Node, type Program } from 'acorn';

/** Names that hold within one function, block or the whole script. */
export interface Scope {
  readonly parent: Scope | undefined;
  /** The function that the scope belongs to; undefined at the top of the script. */
  readonly owner: FunctionNode | undefined;
  readonly bindings: Map<string, Binding>;
}

export type FunctionNode = Extract<
  AnyNode,
  { type: 'FunctionDeclaration' | 'FunctionExpression' | 'ArrowFunctionExpression' }
>;

/** One variable, parameter, function or import, and every place that means it. */
export interface Binding {
  readonly name: string;
  readonly scope: Scope;
  readonly places: Place[];
}

/** Where an identifier stands, its declaration included. */
export interface Place {
  readonly start: number;
  readonly end: number;
  readonly scope: Scope;
  /** The key of an object that the identifier is the value of, as in `{key:name}`. */
  readonly key?: { readonly start: number; readonly name: string } | undefined;
}

export interface Script {
  readonly program: Program;
  readonly top: Scope;
  /** In the order of their first place. */
  readonly bindings: readonly Binding[];
  /** Names of the platform. */
  readonly free: ReadonlySet<string>;
  readonly parents: ReadonlyMap<AnyNode, AnyNode>;
  /** The identifiers that are variables, by where they start. */
  readonly identifiers: ReadonlyMap<number, AnyNode>;
}

/** A replacement of a piece of source. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function edited(source: string, edits: readonly Edit[]): string {
  let result = source;
  for (const { start, end, text } of [...edits].sort((a, b) => b.start - a.start || b.end - a.end))
    result = result.slice(0, start) + text + result.slice(end);
  return result;
}

export function isFunctionNode(node: AnyNode): node is FunctionNode {
  const { type } = node;
  return type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression';
}

export function childrenOf(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = [];
  for (const value of Object.values(node) as unknown[])
    if (Array.isArray(value)) children.push(...(value.filter(isNode) as AnyNode[]));
    else if (isNode(value)) children.push(value as AnyNode);
  return children;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';
}

/** Finds out what every identifier of a script means. The script has the edge's language: no patterns, no classes. */
export function analyse(source: string): Script {
  const program = parse(source, { ecmaVersion: 2022, sourceType: 'module' });
  const all: Binding[] = [];
  const free = new Set<string>();
  const parents = new Map<AnyNode, AnyNode>();
  const identifiers = new Map<number, AnyNode>();
  const top: Scope = { parent: undefined, owner: undefined, bindings: new Map() };

  const bind = (scope: Scope) => (name: string) => {
    if (scope.bindings.has(name)) return;
    const binding = { name, scope, places: [] };
    scope.bindings.set(name, binding);
    all.push(binding);
  };

  const inner = (scope: Scope, owner = scope.owner): Scope => ({ parent: scope, owner, bindings: new Map() });

  function refer({ start, end, name }: Node & { name: string }, scope: Scope, key?: Place['key']): void {
    let found: Scope | undefined = scope;
    while (found && !found.bindings.has(name)) found = found.parent;
    const binding = found?.bindings.get(name);
    if (binding) binding.places.push({ start, end, scope, key });
    else free.add(name);
  }

  function statements(list: readonly AnyNode[], parent: AnyNode, scope: Scope): void {
    for (const child of list) enter(child, parent, scope);
  }

  function enterFunction(node: FunctionNode, scope: Scope): void {
    const own = inner(scope, node);
    if (node.type === 'FunctionExpression' && node.id) bind(own)(node.id.name);
    if (node.id) refer(node.id, node.type === 'FunctionExpression' ? own : scope);
    for (const parameter of node.params) namesOf(parameter as AnyNode, bind(own));
    if (node.body.type === 'BlockStatement') declare(node.body.body, bind(own), bind(own));
    statements(node.params as AnyNode[], node, own);
    if (node.body.type !== 'BlockStatement') return enter(node.body as AnyNode, node, own);
    parents.set(node.body, node);
    statements(node.body.body as AnyNode[], node.body, own);
  }

  function enter(node: AnyNode, parent: AnyNode, scope: Scope): void {
    parents.set(node, parent);
    if (node.type === 'Identifier') identifiers.set(node.start, node);
    switch (node.type) {
      case 'Identifier':
        return refer(node, scope);
      case 'MemberExpression':
        enter(node.object as AnyNode, node, scope);
        if (node.computed) enter(node.property as AnyNode, node, scope);
        return;
      case 'Property':
        if (node.computed) enter(node.key as AnyNode, node, scope);
        if (node.computed || node.value.type !== 'Identifier' || node.key.type !== 'Identifier')
          return enter(node.value as AnyNode, node, scope);
        parents.set(node.value, node);
        identifiers.set(node.value.start, node.value);
        return refer(node.value, scope, { start: node.start, name: node.key.name });
      case 'LabeledStatement':
        return enter(node.body as AnyNode, node, scope);
      case 'BreakStatement':
      case 'ContinueStatement':
        return;
      case 'ImportDeclaration':
        for (const { local } of node.specifiers) refer(local, scope);
        return;
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        return enterFunction(node, scope);
      case 'BlockStatement':
      case 'ForStatement':
      case 'ForInStatement':
      case 'SwitchStatement': {
        const own = inner(scope);
        // A `var` was declared with its function.
        if (node.type === 'BlockStatement') declare(node.body, bind(own), undefined);
        else if (node.type === 'SwitchStatement')
          declare(
            node.cases.flatMap(({ consequent }) => consequent),
            bind(own),
            undefined,
          );
        else declare([node.type === 'ForStatement' ? node.init : node.left], bind(own), undefined);
        return statements(childrenOf(node), node, own);
      }
      case 'CatchClause': {
        // No `let` of the block may be named like the parameter: they are one scope here.
        const own = inner(scope);
        if (node.param) namesOf(node.param as AnyNode, bind(own));
        declare(node.body.body, bind(own), undefined);
        if (node.param) enter(node.param as AnyNode, node, own);
        parents.set(node.body, node);
        return statements(node.body.body as AnyNode[], node.body, own);
      }
      default:
        return statements(childrenOf(node), node, scope);
    }
  }

  declare(program.body, bind(top), bind(top));
  statements(program.body as AnyNode[], program, top);
  const bindings = all.sort((a, b) => (a.places[0]?.start ?? 0) - (b.places[0]?.start ?? 0));
  return { program, top, bindings, free, parents, identifiers };
}

type Bind = (name: string) => void;

/** The names that statements declare: in their own scope, and, where they are a whole function's, its hoisted `var`s. */
function declare(list: readonly (Node | null | undefined)[], bind: Bind, bindVar: Bind | undefined): void {
  for (const node of list as (AnyNode | null | undefined)[]) {
    if (node?.type === 'VariableDeclaration' && node.kind !== 'var')
      for (const { id } of node.declarations) namesOf(id as AnyNode, bind);
    else if (node?.type === 'FunctionDeclaration') bind(node.id?.name ?? '');
    else if (node?.type === 'ImportDeclaration') for (const { local } of node.specifiers) bind(local.name);
    if (node && bindVar) hoist(node, bindVar);
  }
}

function hoist(node: AnyNode, bind: Bind): void {
  if (isFunctionNode(node)) return;
  if (node.type === 'VariableDeclaration' && node.kind === 'var')
    for (const { id } of node.declarations) namesOf(id as AnyNode, bind);
  for (const child of childrenOf(node)) hoist(child, bind);
}

/** The names that a binding makes; the edge's language has no patterns but a rest parameter. */
function namesOf(node: AnyNode, bind: Bind): void {
  if (node.type === 'Identifier') bind(node.name);
  else if (node.type === 'RestElement') namesOf(node.argument as AnyNode, bind);
}
