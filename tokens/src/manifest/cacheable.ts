import { PlacementError } from '../errors.js';
import { defaultTokenName } from '../placement.js';
import { createMpdWalker } from './dash.js';
import { createHlsTextRewriter } from './hls.js';
import { createReferenceRewriter } from './reference.js';

export interface CacheableHlsOptions {
  /** URL of the playlist; only its host's URLs carry the parameter. */
  readonly manifestUrl: string;
  /** Query parameter with the viewer's token. Default `CAT`. */
  readonly parameter?: string;
  /** Hosts that get the token. Default: the playlist's own. */
  readonly hosts?: readonly string[];
}

/** RFC 8216bis 8: `EXT-X-DEFINE` with `QUERYPARAM` needs this version. */
const queryParameterVersion = 11;

/**
 * An HLS playlist that is the same for all viewers and still carries each one's token: it takes the value from the
 * query of its own URL (`EXT-X-DEFINE:QUERYPARAM`, RFC 8216bis 4.4.2.3) and hands it to every URL on our hosts.
 * For hls.js 1.7, Shaka 5.2 and AVPlayer; others ignore the definition and would send the variable's name.
 *
 * @throws PlacementError `invalid_placement` for a parameter that is no variable name.
 */
export function cacheableHls(playlist: string, options: CacheableHlsOptions): string {
  const { parameter = defaultTokenName, manifestUrl, hosts } = options;
  if (!/^[A-Za-z0-9_-]+$/.test(parameter))
    throw new PlacementError('invalid_placement', 'parameter: expected letters, digits, - and _ (RFC 8216bis 4.2).');
  const references = createReferenceRewriter({
    manifestUrl,
    token: `{$${parameter}}`,
    placement: { kind: 'query', name: parameter },
    ...(hosts ? { hosts } : {}),
  });
  const definition = `#EXT-X-DEFINE:QUERYPARAM="${parameter}"`;
  const rewriter = createHlsTextRewriter((uri) =>
    uri.startsWith('{$') ? uri : references.rewrite(uri, references.root),
  );
  const rewritten = rewriter.write(playlist) + rewriter.end();
  return withVersion(
    rewritten.includes(definition)
      ? rewritten
      : rewritten.replace(/^(\ufeff?#EXTM3U[^\r\n]*(\r?\n))/, `$1${definition.replaceAll('$', '$$$$')}$2`),
  );
}

function withVersion(playlist: string): string {
  const version = /^#EXT-X-VERSION:(\d+)/m.exec(playlist);
  if (!version)
    return playlist.replace(/^(\ufeff?#EXTM3U[^\r\n]*(\r?\n))/, `$1#EXT-X-VERSION:${queryParameterVersion}$2`);
  if (Number(version[1]) >= queryParameterVersion) return playlist;
  return playlist.replace(/^#EXT-X-VERSION:\d+/m, `#EXT-X-VERSION:${queryParameterVersion}`);
}

const queryInformation =
  '<EssentialProperty schemeIdUri="urn:mpeg:dash:urlparam:2016">' +
  '<up:ExtUrlQueryInfo xmlns:up="urn:mpeg:dash:schema:urlparam:2016" queryTemplate="$querypart$" useMPDUrlQuery="true" ' +
  'sameOriginOnly="true" includeInRequests="segment steering"/></EssentialProperty>';

/** Elements of an MPD that come before its properties (ISO/IEC 23009-1 5.3.1.3). */
const beforeProperties = new Set([
  'ProgramInformation',
  'BaseURL',
  'Location',
  'PatchLocation',
  'ServiceDescription',
  'InitializationSet',
  'InitializationGroup',
  'InitializationPresentation',
  'ContentProtection',
  'Period',
  'Metrics',
]);

/**
 * An MPD that is the same for all viewers: players take the token from the query of its URL and put it on each segment
 * of the same origin (ISO/IEC 23009-1 annex I, `ExtUrlQueryInfo`). For dash.js 5.2; as an essential property, players
 * that do not know it refuse to play rather than ask without a token.
 */
export function cacheableDash(manifest: string): string {
  if (manifest.includes('urn:mpeg:dash:urlparam:')) return manifest;
  let placed = false;
  const insert = (tag: string): string => {
    placed = true;
    return queryInformation + tag;
  };
  const walker = createMpdWalker({
    start: (tag, name, depth) => (!placed && depth === 2 && !beforeProperties.has(name) ? insert(tag) : tag),
    end: (tag, name, depth) => (!placed && depth === 1 && name === 'MPD' ? insert(tag) : tag),
  });
  return walker.write(manifest) + walker.end();
}
