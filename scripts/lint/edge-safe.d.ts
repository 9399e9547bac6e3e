/** ESLint rules for code that is compiled into CloudFront Functions. */
export declare const edgeSafe: {
  readonly rules: {
    readonly 'no-restricted-syntax': readonly ('error' | { readonly selector: string; readonly message: string })[];
    readonly [rule: string]: unknown;
  };
};
