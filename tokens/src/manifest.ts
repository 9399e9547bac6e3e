/** HLS and DASH manifests that carry tokens: rewritten for one viewer, or made cacheable for all of them. */
export { createDashRewriter, rewriteDash } from './manifest/dash.js';
export { createHlsRewriter, rewriteHls } from './manifest/hls.js';
export { rewriteStream, type TextRewriter } from './manifest/stream.js';
export { cacheableDash, cacheableHls, type CacheableHlsOptions } from './manifest/cacheable.js';
export type { ManifestTokenOptions, UrlPlacement } from './manifest/reference.js';
