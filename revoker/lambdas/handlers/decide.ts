import { decide } from '../decide.js';
import { judgeOf, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('Decide', () => {
  const given = settings();
  return decide({ runs: runsOf(given), judge: judgeOf(given) });
});
