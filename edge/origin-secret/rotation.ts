/** A version of a secret, as ListSecretVersionIds tells. */
export interface SecretVersion {
  readonly id: string;
  readonly stages: readonly string[];
}

/** The part of Secrets Manager that a rotation needs. */
export interface SecretVersions {
  /** The versions that have a stage. */
  list(): Promise<readonly SecretVersion[]>;
  read(versionId: string): Promise<string>;
  /** Stores a value, which becomes `AWSCURRENT`; what was current becomes `AWSPREVIOUS`. */
  put(value: string, versionId: string): Promise<void>;
  /** Moves a staging label to a version. */
  label(stage: string, to: string, from: string | undefined): Promise<void>;
}

/** Where a rotation stands: told by the labels, so that one that was broken off goes on where it was. */
export type RotationState =
  /** What is current is what is sent, and nothing older is accepted. */
  | 'settled'
  /** A new value is current, and the old one is sent. */
  | 'published'
  /** The new value is sent, and the old one still accepted. */
  | 'switched';

/** Seconds that the steps of a rotation wait. */
export interface RotationWaits {
  /** Until the origin knows the new value: MediaPackage takes up to 10 minutes (v1), 5 (v2). */
  readonly publish: number;
  /** Until every Lambda sends it: its refresh interval, and the requests that were under way. */
  readonly switch: number;
}

export interface RotationPorts {
  readonly versions: SecretVersions;
  /** The version that is sent has this label; without it, the current one is. */
  readonly stage: string;
  /** The new secret's text, made from the old one. */
  readonly renew: (text: string) => string;
  /** A new version's id: 32 to 64 characters. */
  readonly newVersionId: () => string;
  readonly wait: (seconds: number, why: string) => Promise<void>;
  readonly note?: ((line: string) => void) | undefined;
}

interface Labelled {
  readonly current: SecretVersion;
  readonly previous: SecretVersion | undefined;
  /** The version with our own label. */
  readonly sent: SecretVersion | undefined;
}

async function labelled({ versions, stage }: Pick<RotationPorts, 'versions' | 'stage'>): Promise<Labelled> {
  const all = await versions.list();
  const withStage = (name: string): SecretVersion | undefined => all.find(({ stages }) => stages.includes(name));
  const current = withStage('AWSCURRENT');
  if (!current) throw new Error('The secret has no current version.');
  return { current, previous: withStage('AWSPREVIOUS'), sent: withStage(stage) };
}

/** Where a rotation stands. */
export async function rotationState(ports: Pick<RotationPorts, 'versions' | 'stage'>): Promise<RotationState> {
  const { current, previous, sent } = await labelled(ports);
  // Never rotated here: whatever came before is not ours to retire.
  if (!sent) return 'settled';
  const text = await ports.versions.read(current.id);
  if (sent.id !== current.id && (await ports.versions.read(sent.id)) !== text) return 'published';
  const older = previous && previous.id !== current.id ? await ports.versions.read(previous.id) : text;
  return older === text ? 'settled' : 'switched';
}

/**
 * Rotates an origin's secret in the order that the origin needs, for origins that accept the current value and the one
 * before it, as MediaPackage does: publish the new value (the first time, once every Lambda goes by the label), wait until
 * the origin knows it, switch to it, wait until everybody sends it, and retire the old one by storing the new value once
 * more. Broken off, it goes on where it was.
 *
 * @throws whatever Secrets Manager throws; nothing is switched before it was published, nor retired before it was switched.
 */
export async function rotateOriginSecret(ports: RotationPorts, waits: RotationWaits): Promise<void> {
  const { versions, stage, note = () => undefined } = ports;
  let state = await rotationState(ports);
  if (state === 'settled') {
    const { current, sent } = await labelled(ports);
    // The label first: what is sent must stay what it was when the new value becomes current.
    if (sent?.id !== current.id) await versions.label(stage, current.id, sent?.id);
    // Without one, Lambdas look for it and then for what is current: between the two, that must not change.
    if (!sent) await ports.wait(waits.switch, 'until every Lambda goes by the label');
    await versions.put(ports.renew(await versions.read(current.id)), ports.newVersionId());
    note('published: the origin is given the new value, and the old one is sent');
    state = 'published';
  }
  if (state === 'published') {
    await ports.wait(waits.publish, 'until the origin knows the new value');
    const { current, sent } = await labelled(ports);
    await versions.label(stage, current.id, sent?.id);
    note('switched: the new value is sent, and the old one is still accepted');
  }
  await ports.wait(waits.switch, 'until every Lambda sends the new value');
  const { current } = await labelled(ports);
  const id = ports.newVersionId();
  await versions.put(await versions.read(current.id), id);
  await versions.label(stage, id, current.id);
  note('retired: the old value is accepted no more');
}
