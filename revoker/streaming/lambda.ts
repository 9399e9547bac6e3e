import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { decide } from '../detection/actions.js';
import { parseDetectionConfig } from '../detection/config.js';
import { connected, settings } from '../lambdas/environment.js';
import { observed } from '../lambdas/observe.js';
import { streamingConfigSchema } from './config.js';
import { type KinesisWindowEvent, streamHandler, type WindowState } from './handler.js';
import { dynamoAggregates } from './store.js';

const hour = 3600;

/**
 * The streaming path's Lambda. Environment: as the workflows' functions, and `LOG_FIELDS`, the real-time log's fields in
 * order, by comma. Aggregates live in the ledger's table. A verdict is carried out at once where the ladder says so; what
 * waits for a person, and what is over the hourly ceiling, is logged.
 */
export const handler = observed<KinesisWindowEvent, { state: WindowState }>('Stream', async () => {
  const given = settings();
  const config = parseDetectionConfig(given.environment.DETECTION_CONFIG);
  const { region, endpoint, table } = given.revoker.ledger;
  const client = new DynamoDBClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  const store = dynamoAggregates(client, table);
  const { revoker } = await connected(given);
  const fields = process.env['LOG_FIELDS']?.split(',').filter((field) => field !== '');
  return async (event, scope) => {
    const handle = streamHandler({
      config,
      streaming: streamingConfigSchema.parse(fields === undefined ? {} : { fields }),
      store,
      count: (metric, value) => scope.count(metric, value),
      setAside: (records) => Promise.resolve(scope.log('records set aside', { records })),
      async convict({ session, score, decidedAt, verdict }) {
        const plan = decide([verdict], config, { now: decidedAt, sessions: Number.MAX_SAFE_INTEGER });
        const period = String(Math.floor(decidedAt / hour));
        const acts = plan.ready.length === 0 ? 0 : await store.countAct(period, decidedAt + 2 * hour);
        const waits = acts > config.ceilings.revokeSession ? 'over the ceiling of the hour' : plan.held[0]?.why;
        scope.log('session convicted', { session, score, reasons: verdict.reasons, waits });
        if (plan.ready.length === 0 || acts > config.ceilings.revokeSession) return;
        await revoker.revoke(
          plan.ready.map(({ request }) => request),
          { by: 'detection: stream' },
        );
      },
    });
    return handle(event);
  };
});
