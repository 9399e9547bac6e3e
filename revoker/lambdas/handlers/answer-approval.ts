import { answerApproval } from '../approval.js';
import { runsOf, settings, stepsClient } from '../environment.js';
import { observed } from '../observe.js';

export const handler = observed('AnswerApproval', () => {
  return answerApproval({ runs: runsOf(settings()), steps: stepsClient(), now: Date.now });
});
