import type { CloudFrontClient } from '@aws-sdk/client-cloudfront';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyDeployment } from '../../scripts/deploy/apply.js';
import { settingsOf } from '../../scripts/deploy/behaviour-changes.js';
import { expectationOf } from '../../scripts/deploy/status.js';
import { vodDistribution } from '../../test/deploy/distributions.js';
import { startSetting, type Setting } from '../../test/deploy/setting.js';
import { watch } from './handler.js';

let setting: Setting;
let client: CloudFrontClient;

beforeEach(async () => {
  setting = await startSetting({ distribution: vodDistribution() });
  client = setting.client;
  await applyDeployment(setting.access, await setting.desired({}));
});

afterEach(() => setting.close());

async function look(): Promise<{ codes: string[]; lines: Record<string, unknown>[] }> {
  const lines: Record<string, unknown>[] = [];
  const alarms = await watch({
    client,
    expected: expectationOf(await setting.desired({})),
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
    now: () => 1_800_000_000_000,
  });
  return { codes: alarms.map((alarm) => alarm.code), lines };
}

describe('the scheduled watch', () => {
  it('counts nothing while the gate is closed', async () => {
    const { codes, lines } = await look();
    expect(codes).toEqual([]);
    expect(lines).toMatchObject([{ distribution: setting.id, gateAlarms: 0 }]);
  });

  it('counts and names every way in which it was opened', async () => {
    const settings = settingsOf(setting.double.state.distributions.get(setting.id)!.config, '/vod/*')!;
    settings.FunctionAssociations = { Quantity: 0 };
    settings.OriginRequestPolicyId = '';
    setting.double.state.functions.delete('portcullis-test-viewer-request-log');
    const { codes, lines } = await look();
    expect(codes).toEqual(['function_detached', 'headers_detached', 'store_association_lost']);
    expect(lines.at(-1)).toMatchObject({ gateAlarms: 3 });
  });
});
