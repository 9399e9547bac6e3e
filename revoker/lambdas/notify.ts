import { PutEventsCommand, type EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { TransientFault } from './observe.js';

/** What people and other systems hear of. Counts and names of runs only: no session, no account, no address. */
export interface Notice {
  /** The same when the notice is sent again. */
  readonly id: string;
  readonly type: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export type Notify = (notice: Notice) => Promise<void>;

/** Notices as events on a bus; rules take them to e-mail, chat or a ticket through SNS. */
export function eventBridgeNotify(client: EventBridgeClient, bus: string): Notify {
  return async ({ id, type, detail }) => {
    const { FailedEntryCount, Entries } = await client.send(
      new PutEventsCommand({
        Entries: [
          { EventBusName: bus, Source: 'portcullis', DetailType: type, Detail: JSON.stringify({ id, ...detail }) },
        ],
      }),
    );
    if ((FailedEntryCount ?? 0) > 0) {
      const { ErrorCode, ErrorMessage } = Entries?.[0] ?? {};
      throw new TransientFault(`EventBridge did not take the notice: ${ErrorCode ?? ''} ${ErrorMessage ?? ''}`);
    }
  };
}
