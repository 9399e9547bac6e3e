/** A key or value found in a JSON body. */
export interface JsonElement {
  readonly kind: 'key' | 'value';
  readonly text: string;
  /** JSON pointer of the value, or of the value that the key names. */
  readonly pointer: string;
}

/** The elements of a JSON body in order, and whether it could be read to its end. */
export interface JsonElements {
  readonly elements: readonly JsonElement[];
  readonly complete: boolean;
}

const blank = /[ \t\r\n]*/y;
const literal = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const stringForm = /"(?:[^"\\]|\\[^])*"/y;

/**
 * Reads a JSON body as WAF does: element by element, up to the first thing that is not JSON. Of duplicate keys every
 * value is found.
 */
export function readJsonBody(text: string): JsonElements {
  const elements: JsonElement[] = [];
  let at = 0;
  const skip = (): void => {
    blank.lastIndex = at;
    blank.exec(text);
    at = blank.lastIndex;
  };
  const take = (form: RegExp): string | undefined => {
    form.lastIndex = at;
    const found = form.exec(text);
    if (found) at = form.lastIndex;
    return found?.[0];
  };
  const unescape = (quoted: string): string => {
    try {
      return Buffer.from(JSON.parse(Buffer.from(quoted, 'latin1').toString('utf8')) as string, 'utf8').toString(
        'latin1',
      );
    } catch {
      return quoted.slice(1, -1);
    }
  };
  const value = (pointer: string, depth: number): boolean => {
    skip();
    if (depth > 512) return false;
    const sign = text[at];
    if (sign === '{' || sign === '[') {
      const close = sign === '{' ? '}' : ']';
      at++;
      skip();
      if (text[at] === close) {
        at++;
        return true;
      }
      for (let index = 0; ; index++) {
        let name = String(index);
        skip();
        if (sign === '{') {
          const quoted = take(stringForm);
          if (quoted === undefined) return false;
          name = unescape(quoted);
          const escaped = name.replace(/~/g, '~0').replace(/\//g, '~1');
          elements.push({ kind: 'key', text: name, pointer: `${pointer}/${escaped}` });
          name = escaped;
          skip();
          if (text[at] !== ':') return false;
          at++;
        }
        if (!value(`${pointer}/${name}`, depth + 1)) return false;
        skip();
        if (text[at] === close) {
          at++;
          return true;
        }
        if (text[at] !== ',') return false;
        at++;
      }
    }
    if (sign === '"') {
      const quoted = take(stringForm);
      if (quoted === undefined) return false;
      elements.push({ kind: 'value', text: unescape(quoted), pointer });
      return true;
    }
    const plain = take(literal);
    if (plain === undefined) return false;
    elements.push({ kind: 'value', text: plain, pointer });
    return true;
  };
  const read = value('', 0);
  skip();
  return { elements, complete: read && at === text.length };
}

/** Whether an element lies at one of the pointers, or below it. */
export const atPointer = (element: JsonElement, pointers: readonly string[]): boolean =>
  pointers.some((pointer) => element.pointer === pointer || element.pointer.startsWith(`${pointer}/`));
