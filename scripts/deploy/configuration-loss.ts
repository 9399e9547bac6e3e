// What an update would silently drop: UpdateDistribution replaces the whole configuration, so a setting that this SDK
// does not know is lost by reading and writing it back.
import { UpdateDistributionCommand, type CloudFrontClient, type DistributionConfig } from '@aws-sdk/client-cloudfront';

interface HttpMessage {
  body?: unknown;
}

async function bodyText(body: unknown): Promise<string> {
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  const chunks: Buffer[] = [];
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

/** Adds to a command a listener for the answer's body as it came over the wire. */
export function captureBody(
  stack: { add(middleware: never, options: never): void },
  listener: (text: string) => void,
): void {
  const middleware =
    (next: (args: unknown) => Promise<{ response: HttpMessage }>) =>
    async (args: unknown): Promise<{ response: HttpMessage }> => {
      const result = await next(args);
      const text = await bodyText(result.response.body);
      result.response.body = Buffer.from(text, 'utf8');
      listener(text);
      return result;
    };
  stack.add(middleware as never, { step: 'deserialize', priority: 'low', name: 'portcullisCaptureBody' } as never);
}

class NotSent extends Error {}

/** The body that this SDK would send for a configuration. Nothing is sent. */
export async function updateBody(client: CloudFrontClient, config: DistributionConfig): Promise<string> {
  const command = new UpdateDistributionCommand({ Id: 'E', IfMatch: 'E', DistributionConfig: config });
  let text = '';
  const middleware = () => async (args: { request: HttpMessage }) => {
    text = await bodyText(args.request.body);
    throw new NotSent();
  };
  command.middlewareStack.add(middleware as never, { step: 'build', priority: 'low', name: 'portcullisDoNotSend' });
  try {
    await client.send(command);
  } catch (error) {
    if (!(error instanceof NotSent)) throw error;
  }
  return text;
}

/** How often each element appears, by its path. An empty `Items` says the same as none. */
function elementCounts(xml: string): Map<string, number> {
  const counts = new Map<string, number>();
  const stack: string[] = [];
  const add = (path: string, by: number): void => void counts.set(path, (counts.get(path) ?? 0) + by);
  const text = xml.replace(/<(Items)\s*\/>|<(Items)\s*><\/Items>/g, '');
  for (const match of text.matchAll(/<(\/?)([\w:.-]+)[^>]*?(\/?)>/g)) {
    const [, closing, name, selfClosing] = match;
    if (closing) stack.pop();
    else {
      const path = [...stack, name].join('/');
      add(path, 1);
      if (!selfClosing) stack.push(name as string);
    }
  }
  return counts;
}

/** Paths of the elements that are in the answer and would not be in the update. */
export function lostElements(answerXml: string, updateXml: string): string[] {
  const kept = elementCounts(updateXml);
  return [...elementCounts(answerXml)]
    .filter(([path, count]) => count > (kept.get(path) ?? 0))
    .map(([path]) => path)
    .filter((path, i, all) => !all.slice(0, i).some((other) => path.startsWith(`${other}/`)));
}
