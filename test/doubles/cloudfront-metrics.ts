// Doubles of CloudWatch (metrics) and CloudWatch Logs, as far as the deployment's status reads them; AWS JSON protocols.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MetricsDouble {
  readonly endpoint: string;
  /** By function name, then by metric name: the values of the window. */
  readonly metrics: Map<string, Record<string, number[]>>;
  /** By log group: the messages, oldest first. */
  readonly logs: Map<string, string[]>;
  close(): Promise<void>;
}

interface Query {
  Id: string;
  MetricStat: { Metric: { MetricName: string; Dimensions: { Name: string; Value: string }[] } };
}

const pageSize = 100;

export async function startMetricsDouble(): Promise<MetricsDouble> {
  const metrics: MetricsDouble['metrics'] = new Map();
  const logs: MetricsDouble['logs'] = new Map();

  function answer(target: string, input: Record<string, unknown>): [number, Record<string, unknown>] {
    if (target.endsWith('GetMetricData')) {
      return [
        200,
        {
          MetricDataResults: (input['MetricDataQueries'] as Query[]).map((query) => {
            const { Dimensions: dimensions, MetricName: metric } = query.MetricStat.Metric;
            const name = dimensions.find((item) => item.Name === 'FunctionName')?.Value ?? '';
            const global = dimensions.some((item) => item.Name === 'Region' && item.Value === 'Global');
            const values = global ? (metrics.get(name)?.[metric] ?? []) : [];
            return {
              Id: query.Id,
              Label: metric,
              StatusCode: 'Complete',
              Values: values,
              Timestamps: values.map(() => 0),
            };
          }),
        },
      ];
    }
    if (target.endsWith('FilterLogEvents')) {
      const group = logs.get(String(input['logGroupName']));
      if (!group)
        return [400, { __type: 'ResourceNotFoundException', message: 'The specified log group does not exist.' }];
      const start = Number(input['nextToken'] ?? 0);
      return [
        200,
        {
          events: group.slice(start, start + pageSize).map((message) => ({ message, timestamp: 0 })),
          ...(start + pageSize < group.length ? { nextToken: String(start + pageSize) } : {}),
        },
      ];
    }
    return [400, { __type: 'UnknownOperationException', message: target }];
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const input = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}') as Record<string, unknown>;
      const [status, body] = answer(String(request.headers['x-amz-target']), input);
      response.writeHead(status, { 'content-type': request.headers['content-type'] ?? 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    metrics,
    logs,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
