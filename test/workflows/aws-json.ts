import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers one operation; throws {@link AwsJsonError} for a documented error. */
export type Operation = (input: Record<string, unknown>) => unknown;

export class AwsJsonError extends Error {
  constructor(
    readonly code: string,
    readonly status = 400,
  ) {
    super(code);
  }
}

export interface AwsJsonService {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** A loopback service that speaks AWS's JSON protocol: `X-Amz-Target: <Service>.<Operation>`. */
export async function startAwsJson(operations: Readonly<Record<string, Operation>>): Promise<AwsJsonService> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const name =
        String(request.headers['x-amz-target'] ?? '')
          .split('.')
          .pop() ?? '';
      const answer = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
        response.end(JSON.stringify(body));
      };
      try {
        const operation = operations[name];
        if (!operation) throw new AwsJsonError(`UnknownOperationException:${name}`);
        const input = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
        answer(200, operation(input) ?? {});
      } catch (error) {
        const { code, status } = error instanceof AwsJsonError ? error : { code: 'InternalFailure', status: 500 };
        answer(status, { __type: code, message: String(error) });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
