/** What a configuration compiles into the functions; written by the build (`scripts/build/functions.ts`). */
declare module 'portcullis:settings' {
  import type { FunctionSettings } from './settings.js';
  import type { GatePolicy } from '@portcullis/tokens/core/gate';
  export const policy: GatePolicy;
  export const settings: FunctionSettings;
  /** The user's own viewer-request code; undefined where there is none. */
  export const before: ((event: import('./event.js').ViewerEvent) => void) | undefined;
  export const after: ((event: import('./event.js').ViewerEvent) => unknown) | undefined;
}
declare module 'cloudfront' {
  const cf: {
    kvs(): { get(key: string, options?: { format: 'string' }): Promise<string>; exists(key: string): Promise<boolean> };
  };
  export default cf;
}
/** The runtime's crypto module; the build puts `require('crypto')` before the bundle, which esbuild would wrap. */
declare const runtimeCrypto: {
  createHmac(algorithm: 'sha256', key: Buffer): { update(data: string | Buffer): void; digest(): Buffer };
  createHash(algorithm: 'sha256'): { update(data: string): { digest(): Buffer } };
};
