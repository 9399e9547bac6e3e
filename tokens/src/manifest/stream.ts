/** Rewrites text that arrives in pieces; pieces may end anywhere. */
export interface TextRewriter {
  write(chunk: string): string;
  end(): string;
}

/**
 * A rewriter as a stream of bytes, for piping a response body through. UTF-8 sequences may be split between chunks.
 *
 * @example
 * ```ts
 * const body = response.body.pipeThrough(rewriteStream(createHlsRewriter(options)));
 * ```
 */
export function rewriteStream(rewriter: TextRewriter): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encoder = new TextEncoder();
  const enqueue = (controller: TransformStreamDefaultController<Uint8Array>, text: string): void => {
    if (text !== '') controller.enqueue(encoder.encode(text));
  };
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      enqueue(controller, rewriter.write(decoder.decode(chunk, { stream: true })));
    },
    flush(controller) {
      enqueue(controller, rewriter.write(decoder.decode()) + rewriter.end());
    },
  });
}
