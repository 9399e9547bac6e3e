import { athenaClient, judgeOf, runsOf, settings } from '../environment.js';
import { observed } from '../observe.js';
import { readPage } from '../read-page.js';

export const handler = observed('ReadPage', () => {
  const given = settings();
  return readPage({ runs: runsOf(given), athena: athenaClient(), judge: judgeOf(given) });
});
