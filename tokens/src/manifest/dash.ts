import {
  createReferenceRewriter,
  type ManifestTokenOptions,
  type ReferenceBase,
  type ReferenceRewriter,
} from './reference.js';
import type { TextRewriter } from './stream.js';

/** Attributes that hold URLs or URL templates (ISO/IEC 23009-1 5.3.9), by element. */
const urlAttributes: Readonly<Record<string, readonly string[]>> = {
  SegmentTemplate: ['media', 'initialization', 'index', 'bitstreamSwitching'],
  SegmentURL: ['media', 'index'],
  Initialization: ['sourceURL'],
  RepresentationIndex: ['sourceURL'],
  BitstreamSwitching: ['sourceURL'],
};

const attributePatterns: Readonly<Record<string, RegExp>> = Object.fromEntries(
  ['media', 'initialization', 'index', 'bitstreamSwitching', 'sourceURL'].map((name) => [
    name,
    new RegExp(`(\\s${name}\\s*=\\s*)(?:"[^"]*"|'[^']*')`),
  ]),
);

/** Elements whose text is a URL. */
const urlElements = new Set(['BaseURL', 'Location', 'PatchLocation', 'ContentSteering']);

/** What walks along an MPD: `tag` may replace a tag, `text` the text of an element. */
export interface MpdVisitor {
  /** A start tag, its local name and depth; the MPD itself has depth 1. */
  start?(tag: string, name: string, depth: number, empty: boolean): string;
  end?(tag: string, name: string, depth: number): string;
  /** The text of an element listed in `texts`, entities still in it. */
  text?(text: string, name: string): string;
}

/** Tokenises XML piece by piece; comments, CDATA, declarations and everything else pass untouched. */
export function createMpdWalker(visitor: MpdVisitor): TextRewriter {
  let rest = '';
  let depth = 0;
  let open = '';

  function run(source: string, last: boolean): string {
    let output = '';
    let at = 0;
    for (;;) {
      const tagStart = source.indexOf('<', at);
      if (tagStart < 0) break;
      const end = markupEnd(source, tagStart);
      if (end < 0) {
        rest = source.slice(at);
        return output;
      }
      const between = source.slice(at, tagStart);
      output += open === '' || between === '' ? between : (visitor.text?.(between, open) ?? between);
      output += markup(source.slice(tagStart, end));
      at = end;
    }
    if (last || open === '') {
      rest = '';
      return output + source.slice(at);
    }
    // The text of an element is rewritten whole.
    rest = source.slice(at);
    return output;
  }

  function markup(tag: string): string {
    const second = tag.charCodeAt(1);
    if (second === 33 || second === 63) return tag;
    if (second === 47) {
      const name = localName(tag, 2);
      open = '';
      const replaced = visitor.end?.(tag, name, depth) ?? tag;
      depth--;
      return replaced;
    }
    // <S …/>, the entries of a timeline, are most of a long manifest.
    if (second === 83 && tag.charCodeAt(2) === 32) {
      if (tag.charCodeAt(tag.length - 2) !== 47) depth++;
      return tag;
    }
    const empty = tag.charCodeAt(tag.length - 2) === 47;
    const name = localName(tag, 1);
    depth++;
    const replaced = visitor.start?.(tag, name, depth, empty) ?? tag;
    if (empty) depth--;
    else open = urlElements.has(name) ? name : '';
    return replaced;
  }

  return {
    write: (chunk) => run(rest + chunk, false),
    end: () => run(rest, true),
  };
}

/** Index behind the markup that starts at `start`, or -1 when it is not all there. */
function markupEnd(source: string, start: number): number {
  if (source.startsWith('<!--', start)) return after(source, '-->', start + 4);
  if (source.startsWith('<![CDATA[', start)) return after(source, ']]>', start + 9);
  if (source.startsWith('<?', start)) return after(source, '?>', start + 2);
  if (start + 9 > source.length && '<![CDATA['.startsWith(source.slice(start))) return -1;
  // A ">" inside a quoted value does not end the tag.
  let quote = 0;
  for (let at = start + 1; at < source.length; at++) {
    const code = source.charCodeAt(at);
    if (quote !== 0) {
      if (code === quote) quote = 0;
    } else if (code === 62) {
      return at + 1;
    } else if (code === 34 || code === 39) {
      quote = code;
    }
  }
  return -1;
}

function after(source: string, mark: string, from: number): number {
  const at = source.indexOf(mark, from);
  return at < 0 ? -1 : at + mark.length;
}

/** The name of a tag without its namespace prefix. */
function localName(tag: string, from: number): string {
  let end = from;
  let start = from;
  for (; end < tag.length; end++) {
    const code = tag.charCodeAt(end);
    if (code === 58) start = end + 1;
    else if (code <= 32 || code === 47 || code === 62) break;
  }
  return tag.slice(start, end);
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6});/gi, (_, name: string) => {
    const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
    if (name.charAt(0) !== '#') return named[name.toLowerCase()] as string;
    const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
    return code <= 0x10ffff ? String.fromCodePoint(code) : '';
  });
}

function encodeEntities(text: string): string {
  if (!/[&<>"']/.test(text)) return text;
  return text.replace(
    /[&<>"']/g,
    (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' })[character] as string,
  );
}

/**
 * Rewrites an MPD piece by piece so that every request to our hosts carries the token. `BaseURL`s are followed down
 * the tree: below a foreign one nothing relative gets the token, also when a second one of ours stands beside it.
 * See {@link rewriteDash}.
 */
export function createDashRewriter(options: ManifestTokenOptions): TextRewriter {
  return createMpdWalker(tokenVisitor(createReferenceRewriter(options)));
}

function tokenVisitor(references: ReferenceRewriter): MpdVisitor {
  /** Base of each open element; an element's `BaseURL`s change its own entry. */
  const bases: (ReferenceBase | undefined)[] = [references.root];
  /** Depths at which a `BaseURL` was seen in the open element: alternatives add to, not build on, each other. */
  let alternatives: number | undefined;
  const baseAt = (depth: number): ReferenceBase => {
    for (let i = Math.min(depth, bases.length - 1); i >= 0; i--) {
      const base = bases[i];
      if (base) return base;
    }
    return references.root;
  };
  const rewriteText = (text: string, base: ReferenceBase): string => {
    const trimmed = text.trim();
    if (trimmed === '') return text;
    const reference = decodeEntities(trimmed);
    const rewritten = references.rewrite(reference, base);
    if (rewritten === reference) return text;
    // What a token adds needs no escaping, unless it follows a query of the reference's own.
    const encoded = reference === trimmed && !reference.includes('?') ? rewritten : encodeEntities(rewritten);
    if (trimmed.length === text.length) return encoded;
    const lead = text.slice(0, text.indexOf(trimmed));
    return lead + encoded + text.slice(lead.length + trimmed.length);
  };
  let currentDepth = 0;

  return {
    start(tag, name, depth, empty) {
      currentDepth = depth;
      bases.length = depth;
      if (!empty) bases[depth] = undefined;
      if (name !== 'BaseURL') alternatives = undefined;
      const base = baseAt(depth);
      const attributes = urlAttributes[name];
      let replaced = tag;
      for (const attribute of attributes ?? []) {
        if (!tag.includes(attribute)) continue;
        const found = attributePatterns[attribute]?.exec(replaced);
        if (!found) continue;
        const start = found.index + (found[1] as string).length + 1;
        const end = found.index + found[0].length - 1;
        replaced = replaced.slice(0, start) + rewriteText(replaced.slice(start, end), base) + replaced.slice(end);
      }
      // Remote elements (XLink), unless they resolve to nothing.
      if (tag.includes(':href=')) {
        replaced = replaced.replace(
          /(\s[\w-]+:href\s*=\s*)("[^"]*"|'[^']*')/g,
          (whole, before: string, quoted: string) => {
            const reference = quoted.slice(1, -1);
            if (reference.startsWith('urn:')) return whole;
            return before + quoted.charAt(0) + rewriteText(reference, base) + quoted.charAt(0);
          },
        );
      }
      return replaced;
    },
    end(tag, name, depth) {
      currentDepth = depth - 1;
      bases.length = depth;
      if (name !== 'BaseURL') alternatives = undefined;
      return tag;
    },
    text(text, name) {
      const parent = currentDepth - 1;
      if (name !== 'BaseURL') return rewriteText(text, references.root);
      const inherited = baseAt(parent - 1);
      const made = references.below(decodeEntities(text.trim()), inherited);
      const known = alternatives === parent ? bases[parent] : undefined;
      bases[parent] = known ? { url: known.url, ours: known.ours && made.ours } : made;
      alternatives = parent;
      return rewriteText(text, inherited);
    },
  };
}

/**
 * A whole MPD with the token in every URL that needs it.
 *
 * @example
 * ```ts
 * rewriteDash(mpd, { manifestUrl: 'https://cdn.example/live/ch1/main.mpd', token, placement: { kind: 'query' } });
 * ```
 */
export function rewriteDash(manifest: string, options: ManifestTokenOptions): string {
  const rewriter = createDashRewriter(options);
  return rewriter.write(manifest) + rewriter.end();
}
