import { analyse, edited, type Binding, type Edit, type Scope, type Script } from './scopes.js';

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ$_';
const words = new Set(['as', 'do', 'if', 'in', 'is', 'of']);

/** Names, shortest first: the 54 of one character, then those of two. */
const names: readonly string[] = [
  ...letters,
  ...[...letters].flatMap((first) => [...`${letters}0123456789`].map((second) => first + second)),
].filter((name) => !words.has(name));

/** A script with its new names, and how long the name is that each variable at its top got. */
export interface Named {
  readonly code: string;
  readonly lengths: ReadonlyMap<string, number>;
}

/**
 * Gives every variable of a script a name as short as can be: what is named most often chooses first, and has one
 * character unless all 54 are taken where it is seen.
 *
 * The language lets an inner name hide an outer one that is not used there. njs does not always follow: in an async
 * function, a closure that means the outer one can be given the inner one, before that has a value. What a gate takes for
 * its mode is then undefined, and it refuses nobody. So no name hides another: a variable at the top has a name of its own
 * in the whole of every outermost function that uses it, and only blocks and functions beside each other share names.
 *
 * @param reserved Names at the top that a caller knows.
 */
export function shortNames(source: string, reserved: ReadonlySet<string>): Named {
  const script = analyse(source);
  const given = orders
    .map((order) => allocate(script, reserved, order))
    .reduce((best, other) => (sizeOf(other) < sizeOf(best) ? other : best));
  const edits: Edit[] = [];
  for (const [{ places }, name] of given)
    for (const { start, end, key } of places)
      if (!key) edits.push({ start, end, text: name });
      else edits.push({ start: key.start, end, text: key.name === name ? name : `${key.name}:${name}` });
  const lengths = new Map([...script.top.bindings.values()].map((it) => [it.name, given.get(it)?.length ?? 0]));
  return { code: edited(source, edits), lengths };
}

/** The names given out so far, as the scopes see them. */
class Taken {
  readonly #top = new Set<string>();
  /** By scope, its own names; by scope, those of all within it too; by outermost scope, those it uses from the top. */
  readonly #own = new Map<Scope, Set<string>>();
  readonly #within = new Map<Scope, Set<string>>();
  readonly #used = new Map<Scope, Set<string>>();

  isFree(name: string, { scope, places }: Binding): boolean {
    if (!scope.parent)
      return !this.#top.has(name) && !places.some((place) => this.#within.get(outermost(place.scope))?.has(name));
    for (let up: Scope = scope; up.parent; up = up.parent) if (this.#own.get(up)?.has(name)) return false;
    return !this.#within.get(scope)?.has(name) && !this.#used.get(outermost(scope))?.has(name);
  }

  take(name: string, { scope, places }: Binding): void {
    if (!scope.parent) {
      this.#top.add(name);
      for (const place of places) add(this.#used, outermost(place.scope), name);
      return;
    }
    add(this.#own, scope, name);
    for (let up: Scope = scope; up.parent; up = up.parent) add(this.#within, up, name);
  }
}

function add(sets: Map<Scope, Set<string>>, scope: Scope, name: string): void {
  const set = sets.get(scope) ?? new Set();
  sets.set(scope, set.add(name));
}

/** The scope at the top that a scope is in, the top itself for what stands there. */
function outermost(scope: Scope): Scope {
  let found = scope;
  while (found.parent?.parent) found = found.parent;
  return found;
}

type Order = (a: Binding, b: Binding) => number;

const byUses: Order = (a, b) => b.places.length - a.places.length;
const depth = ({ scope }: Binding): number => (scope.parent ? 1 : 0);

/** Who chooses first: none is best for every script. Sorting is stable, so that one script always gets the same names. */
const orders: readonly Order[] = [
  byUses,
  (a, b) => byUses(a, b) || depth(b) - depth(a),
  (a, b) => byUses(a, b) || depth(a) - depth(b),
  (a, b) => b.places.length * (2 - depth(b)) - a.places.length * (2 - depth(a)),
  (a, b) => b.places.length * (1 + depth(b)) - a.places.length * (1 + depth(a)),
];

function sizeOf(given: ReadonlyMap<Binding, string>): number {
  let size = 0;
  for (const [{ places }, name] of given)
    for (const { key } of places) size += key && key.name !== name ? key.name.length + 1 + name.length : name.length;
  return size;
}

function allocate({ bindings, free }: Script, reserved: ReadonlySet<string>, order: Order): Map<Binding, string> {
  const given = new Map<Binding, string>();
  const taken = new Taken();
  const give = (binding: Binding, name: string): void => {
    given.set(binding, name);
    taken.take(name, binding);
  };
  const isReserved = ({ name, scope }: Binding): boolean => !scope.parent && reserved.has(name);
  for (const binding of bindings) if (isReserved(binding)) give(binding, binding.name);
  for (const binding of [...bindings].sort(order)) {
    if (isReserved(binding)) continue;
    const fits = (name: string): boolean =>
      !free.has(name) && !reserved.has(name) && !words.has(name) && taken.isFree(name, binding);
    const first = names.find(fits) ?? '';
    // A value that is named like its key says both at once.
    const keys = binding.places.flatMap(({ key }) => (key && key.name.length <= first.length ? [key.name] : []));
    give(binding, keys.find(fits) ?? first);
  }
  return given;
}
