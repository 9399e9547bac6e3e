import { parse, type AnyNode, type Node } from 'acorn';

/** A scope's names, and what a function or block encloses. */
interface Scope {
  readonly names: Set<string>;
  readonly parent: Scope | undefined;
  readonly isFunction: boolean;
}

/** Where an identifier stands, and whether it is short for `name: name`. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly shorthand: boolean;
}

/**
 * Renames what stands at the top of a script and is hidden by a name within a function that uses both.
 *
 * A minifier hands out short names anew in every block, as the language allows. njs does not always follow: in an async
 * function, a closure that means the outer one can be given the inner one, before that has a value. What a gate takes for
 * its mode is then undefined, and it refuses nobody. So no two names that meet in one function are alike.
 */
export function unshadow(source: string): string {
  const program = parse(source, { ecmaVersion: 2022, sourceType: 'module' });
  const top: Scope = { names: new Set(), parent: undefined, isFunction: true };
  const uses = new Map<string, Place[]>();
  const hidden = new Set<string>();
  const everything = new Set<string>();
  declare(program.body as AnyNode[], top, top);

  /** Names used from the top, and names declared within, of one outermost function. */
  let meets: { readonly used: Set<string>; readonly declared: Set<string> } | undefined;

  function enter(node: AnyNode, scope: Scope): void {
    const outermost = scope === top && isFunctionNode(node);
    if (outermost) meets = { used: new Set(), declared: new Set() };
    walk(node, scope);
    if (!outermost || !meets) return;
    for (const name of meets.used) if (meets.declared.has(name)) hidden.add(name);
    meets = undefined;
  }

  function inner(scope: Scope, isFunction: boolean): Scope {
    return { names: new Set(), parent: scope, isFunction };
  }

  function finish(scope: Scope): void {
    for (const name of scope.names) meets?.declared.add(name);
  }

  function refer(name: string, place: Place, scope: Scope): void {
    everything.add(name);
    let found: Scope | undefined = scope;
    while (found && !found.names.has(name)) found = found.parent;
    if (found !== top) return;
    meets?.used.add(name);
    const places = uses.get(name) ?? [];
    uses.set(name, places);
    places.push(place);
  }

  function children(node: AnyNode, scope: Scope): void {
    for (const value of Object.values(node) as unknown[])
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) enter(child as AnyNode, scope);
  }

  function walk(node: AnyNode, scope: Scope): void {
    switch (node.type) {
      case 'Identifier':
        return refer(node.name, { start: node.start, end: node.end, shorthand: false }, scope);
      case 'MemberExpression':
        enter(node.object as AnyNode, scope);
        if (node.computed) enter(node.property as AnyNode, scope);
        return;
      case 'Property':
        if (node.computed) enter(node.key as AnyNode, scope);
        if (node.shorthand && node.value.type === 'Identifier')
          return refer(node.value.name, { start: node.value.start, end: node.value.end, shorthand: true }, scope);
        return enter(node.value as AnyNode, scope);
      case 'LabeledStatement':
        return enter(node.body as AnyNode, scope);
      case 'BreakStatement':
      case 'ContinueStatement':
        return;
      case 'ImportDeclaration':
        for (const specifier of node.specifiers) enter(specifier.local as AnyNode, scope);
        return;
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression': {
        const own = inner(scope, true);
        if (node.type === 'FunctionExpression' && node.id) own.names.add(node.id.name);
        else if (node.id) walk(node.id as AnyNode, scope);
        for (const parameter of node.params) namesOf(parameter as AnyNode, own.names);
        if (node.body.type === 'BlockStatement') declare(node.body.body as AnyNode[], own, own);
        finish(own);
        for (const parameter of node.params) enter(parameter as AnyNode, own);
        if (node.body.type === 'BlockStatement') for (const child of node.body.body) enter(child as AnyNode, own);
        else enter(node.body as AnyNode, own);
        return;
      }
      case 'BlockStatement':
      case 'ForStatement':
      case 'ForInStatement':
      case 'SwitchStatement': {
        const own = inner(scope, false);
        if (node.type === 'BlockStatement') declare(node.body as AnyNode[], own, own);
        else if (node.type === 'SwitchStatement')
          for (const { consequent } of node.cases) declare(consequent as AnyNode[], own, own);
        else declare([(node.type === 'ForStatement' ? node.init : node.left) as AnyNode], own, own);
        finish(own);
        return children(node, own);
      }
      case 'CatchClause': {
        const own = inner(scope, false);
        if (node.param) namesOf(node.param as AnyNode, own.names);
        finish(own);
        return children(node, own);
      }
      default:
        return children(node, scope);
    }
  }

  for (const statement of program.body) enter(statement as AnyNode, top);
  for (const name of top.names) everything.add(name);
  // What the platform calls keeps its name.
  hidden.delete('handler');

  const fresh = freshNames(everything);
  const edits = [...hidden].flatMap((name) => {
    const renamed = fresh();
    return (uses.get(name) ?? []).map((place) => ({
      ...place,
      text: place.shorthand ? `${name}:${renamed}` : renamed,
    }));
  });
  let result = source;
  for (const { start, end, text } of edits.sort((a, b) => b.start - a.start))
    result = result.slice(0, start) + text + result.slice(end);
  return result;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';
}

function isFunctionNode(node: AnyNode): boolean {
  return /Function/.test(node.type);
}

/** The names that statements declare in their scope; `var` goes to the function's. Nested functions keep theirs. */
function declare(statements: readonly (AnyNode | null | undefined)[], scope: Scope, ofFunction: Scope): void {
  for (const node of statements) {
    if (!node) continue;
    if (node.type === 'VariableDeclaration') {
      const into = node.kind === 'var' ? ofFunction : scope;
      for (const { id } of node.declarations) namesOf(id as AnyNode, into.names);
    } else if (node.type === 'FunctionDeclaration') scope.names.add(node.id?.name ?? '');
    else if (node.type === 'ImportDeclaration') for (const { local } of node.specifiers) scope.names.add(local.name);
  }
  if (scope === ofFunction) for (const node of statements) if (node) hoist(node, ofFunction);
}

/** Adds the `var`s of nested blocks. */
function hoist(node: AnyNode, scope: Scope): void {
  if (isFunctionNode(node)) return;
  if (node.type === 'VariableDeclaration' && node.kind === 'var')
    for (const { id } of node.declarations) namesOf(id as AnyNode, scope.names);
  for (const value of Object.values(node) as unknown[])
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) hoist(child as AnyNode, scope);
}

/** The names that a binding makes; the edge's language has no patterns but a rest parameter. */
function namesOf(node: AnyNode, into: Set<string>): void {
  if (node.type === 'Identifier') into.add(node.name);
  else if (node.type === 'RestElement') namesOf(node.argument as AnyNode, into);
}

/** Names of two characters that nothing else has. */
function freshNames(taken: ReadonlySet<string>): () => string {
  const first = '$_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const second = `${first}0123456789`;
  const words = new Set(['as', 'do', 'if', 'in', 'is', 'of']);
  let at = 0;
  return () => {
    for (;;) {
      const name = `${first[Math.floor(at / second.length) % first.length] ?? ''}${second[at % second.length] ?? ''}`;
      at += 1;
      if (!taken.has(name) && !words.has(name)) return name;
    }
  };
}
