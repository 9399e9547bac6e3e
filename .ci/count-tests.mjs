// Prints "passed failed skipped" of one vitest JSON report. A test file that failed as a whole counts as one failure.
import { existsSync, readFileSync } from 'node:fs';

const file = process.argv[2];
const none = { testResults: [], numPassedTests: 0, numFailedTests: 0 };
if (!existsSync(file)) console.error('no test report was written');
const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : none;
const files = report.testResults ?? [];
const brokenFiles = files.filter(
  (one) => one.status === 'failed' && !one.assertionResults.some((test) => test.status === 'failed'),
);
const skipped = (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0);
console.log(`${report.numPassedTests} ${report.numFailedTests + brokenFiles.length} ${skipped}`);
