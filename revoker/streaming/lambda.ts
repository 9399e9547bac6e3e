import { parseDetectionConfig } from '../detection/config.js';
import { connected, databaseOf, settings } from '../lambdas/environment.js';
import { observed } from '../lambdas/observe.js';
import { streamActs } from './act.js';
import { streamingConfigSchema } from './config.js';
import type { KinesisWindowEvent, WindowAnswer } from './handler.js';
import { dynamoAggregates } from './store.js';
import { stream } from './stream.js';

/**
 * The streaming path's Lambda. Environment: as the workflows' functions, and `LOG_FIELDS`, the real-time log's fields in
 * order, by comma; aggregates live in AGGREGATES_TABLE, or in the ledger's table where none is named. A verdict is carried out at once where the ladder says so; what
 * waits for a person, and what is over the hourly ceiling, is logged.
 */
export const handler = observed<KinesisWindowEvent, WindowAnswer>('Stream', async () => {
  const given = settings();
  const { LOG_FIELDS: fields, AGGREGATES_TABLE: aggregates } = given.environment;
  const { client, table } = databaseOf(given);
  return stream({
    config: parseDetectionConfig(given.environment.DETECTION_CONFIG),
    streaming: streamingConfigSchema.parse(fields === undefined ? {} : { fields }),
    store: dynamoAggregates(client, aggregates ?? table),
    act: streamActs(await connected(given), { by: 'detection: stream' }),
  });
});
