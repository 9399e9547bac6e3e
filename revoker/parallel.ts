/** Cuts a list into pages of at most `size`. */
export function chunks<Value>(list: readonly Value[], size: number): Value[][] {
  const pages: Value[][] = [];
  for (let i = 0; i < list.length; i += size) pages.push(list.slice(i, i + size));
  return pages;
}

/** Runs `work` on every input, at most `workers` at a time; the outputs keep the inputs' order. */
export async function inParallel<Input, Output>(
  inputs: readonly Input[],
  workers: number,
  work: (input: Input) => Promise<Output>,
): Promise<Output[]> {
  const outputs: Output[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < inputs.length) {
      const i = next++;
      outputs[i] = await work(inputs[i] as Input);
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, inputs.length) }, run));
  return outputs;
}
