/** What the build bakes into a Lambda@Edge handler (`scripts/build/lambda.ts`): each handler says what it is. */
declare module 'portcullis:lambda' {
  export const config: unknown;
}
