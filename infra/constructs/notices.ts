import { EventBus, Rule } from 'aws-cdk-lib/aws-events';
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { resourceName, type EnvironmentProps } from './naming.js';

export interface NoticesProps extends EnvironmentProps {
  readonly key: IKey;
  /** Who hears of approvals, faults and alarms. */
  readonly emails?: readonly string[];
}

/** Where the workflows' notices and the alarms go: an event bus for machines, a topic for people. */
export class PortcullisNotices extends Construct {
  readonly bus: EventBus;
  readonly topic: Topic;

  constructor(scope: Construct, id: string, props: NoticesProps) {
    super(scope, id);
    this.topic = new Topic(this, 'Topic', {
      topicName: resourceName(props, 'notices'),
      displayName: `Portcullis ${props.name}`,
      masterKey: props.key,
      enforceSSL: true,
    });
    for (const email of props.emails ?? []) this.topic.addSubscription(new EmailSubscription(email));
    this.bus = new EventBus(this, 'Bus', { eventBusName: resourceName(props, 'notices') });
    new Rule(this, 'ToPeople', {
      eventBus: this.bus,
      description: 'Portcullis notices to people',
      eventPattern: { source: ['portcullis'] },
      targets: [new SnsTopic(this.topic)],
    });
  }
}
