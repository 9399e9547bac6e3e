import { createReferenceRewriter, type ManifestTokenOptions } from './reference.js';
import type { TextRewriter } from './stream.js';

/** Attributes that hold URIs (RFC 8216bis 4.4, appendix D; `EXT-X-IMAGE-STREAM-INF` by its `URI`). */
const uriAttribute = /([,:](?:URI|SERVER-URI|X-ASSET-URI|X-ASSET-LIST)=")([^"\r\n]*)(")/g;

/**
 * Text rewriting of one playlist: gives each URI to `rewrite`, leaves every other byte as it is.
 *
 * @param define Told of each `EXT-X-DEFINE` before the lines behind it.
 */
export function createHlsTextRewriter(rewrite: (uri: string) => string, define?: (tag: string) => void): TextRewriter {
  let rest = '';

  function line(source: string, start: number, end: number): string | undefined {
    let last = end;
    if (source.charCodeAt(last - 1) === 13) last--;
    if (last === start) return undefined;
    if (source.charCodeAt(start) !== 35) {
      const uri = source.slice(start, last);
      // A byte order mark, or blanks alone, are no URI.
      if (uri.charCodeAt(0) === 0xfeff || uri.trim() === '') return undefined;
      const rewritten = rewrite(uri);
      return rewritten === uri ? undefined : rewritten + source.slice(last, end);
    }
    // #EXTINF, by far the most frequent, and comments have no URI.
    if (source.charCodeAt(start + 4) !== 45 || !source.startsWith('#EXT-X-', start)) return undefined;
    const tag = source.slice(start, end);
    if (!tag.includes('="')) return undefined;
    if (define && tag.startsWith('#EXT-X-DEFINE')) define(tag);
    return tag.replace(uriAttribute, (_, before: string, uri: string, after: string) => before + rewrite(uri) + after);
  }

  function run(source: string, limit: number): string {
    let output = '';
    let copied = 0;
    let start = 0;
    while (start < limit) {
      let end = source.indexOf('\n', start);
      if (end < 0) end = source.length;
      const replaced = line(source, start, end);
      if (replaced !== undefined) {
        output += source.slice(copied, start) + replaced;
        copied = end;
      }
      start = end + 1;
    }
    return output + source.slice(copied, limit);
  }

  return {
    write(chunk) {
      const source = rest === '' ? chunk : rest + chunk;
      const limit = source.lastIndexOf('\n') + 1;
      rest = source.slice(limit);
      return limit === 0 ? '' : run(source, limit);
    },
    end() {
      const source = rest;
      rest = '';
      return run(source, source.length);
    },
  };
}

/** Expands `{$name}` of variables that the playlist itself defines (RFC 8216bis 4.3); unknown ones stay. */
function createVariables(): { learn(tag: string): void; expand(uri: string): string } {
  const values = new Map<string, string>();
  return {
    learn(tag) {
      const name = /[,:]NAME="([^"]*)"/.exec(tag)?.[1];
      const value = /[,:]VALUE="([^"]*)"/.exec(tag)?.[1];
      if (name !== undefined && value !== undefined) values.set(name, value);
    },
    expand: (uri) => uri.replace(/\{\$([\w-]+)\}/g, (reference, name: string) => values.get(name) ?? reference),
  };
}

/**
 * Rewrites an HLS playlist piece by piece so that every request to our hosts carries the token: absolute URLs, paths
 * from the root, and relative ones where they would not inherit it. See {@link rewriteHls}.
 */
export function createHlsRewriter(options: ManifestTokenOptions): TextRewriter {
  const references = createReferenceRewriter(options);
  const variables = createVariables();
  const rewriteUri = (uri: string): string => {
    if (!uri.includes('{$')) return references.rewrite(uri, references.root);
    const expanded = variables.expand(uri);
    // What an unknown variable begins could be any host.
    if (expanded.startsWith('{$')) return uri;
    const rewritten = references.rewrite(expanded, references.root);
    return rewritten === expanded ? uri : rewritten;
  };
  return createHlsTextRewriter(rewriteUri, variables.learn);
}

/**
 * A whole HLS playlist with the token in every URL that needs it.
 *
 * @example
 * ```ts
 * rewriteHls(playlist, { manifestUrl: 'https://cdn.example/live/ch1/main.m3u8', token, placement: { kind: 'query' } });
 * ```
 */
export function rewriteHls(playlist: string, options: ManifestTokenOptions): string {
  const rewriter = createHlsRewriter(options);
  return rewriter.write(playlist) + rewriter.end();
}
