import { carry, servesStores } from '../carry.js';
import { announcedTargets, connected, settings } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('Project', async () => {
  const given = settings();
  const { ledger, targets } = await connected(given);
  const others = announcedTargets(given).filter((target) => !servesStores(target));
  return carry({ ledger, targets: [...targets, ...others], serves: servesStores, now: Date.now });
});
