// A plan as people read it: what will change, what was proved, what is wrong.
import type { BehaviourChange } from './behaviour-changes.js';
import { nameOfArn } from './behaviour-changes.js';
import { blockingFindings, type Finding } from './findings.js';
import type { Plan, Step } from './plan.js';

/** The whole plan as text. */
export function renderPlan(plan: Plan): string {
  const blocking = blockingFindings(plan.findings);
  const sections = [
    `Distribution ${plan.distribution}, environment ${plan.name}`,
    plan.steps.length === 0
      ? 'Nothing to change.'
      : ['Steps', ...plan.steps.flatMap((step, i) => renderStep(step, i + 1))].join('\n'),
    plan.proofs.length === 0
      ? ''
      : [
          'Signed URLs',
          ...plan.proofs.map(
            (proof) =>
              `  ${proof.guarded ? '✓' : '✗'} ${proof.placement}: ${proof.signedPath} → ${proof.selected}${proof.guarded ? '' : ' (not guarded)'}`,
          ),
        ].join('\n'),
    plan.findings.length === 0 ? '' : ['Findings', ...plan.findings.flatMap(renderFinding)].join('\n'),
    blocking.length === 0
      ? plan.steps.length === 0
        ? ''
        : 'Ready: npx portcullis deploy apply'
      : `${blocking.length} error${blocking.length === 1 ? '' : 's'}: apply will refuse.`,
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

function renderStep(step: Step, number: number): string[] {
  const line = (text: string): string => `  ${String(number).padStart(2)}. ${text}`;
  switch (step.kind) {
    case 'createStore':
      return [line(`create KeyValueStore ${step.name}`)];
    case 'waitForStore':
      return [line(`wait: KeyValueStore ${step.name} READY`)];
    case 'createPolicy':
      return [
        line(`create origin request policy ${step.name}`),
        ...step.headers.map((name) => `      + ${name}`),
        `      for ${step.behaviours.join(', ')}`,
      ];
    case 'publishFunction': {
      const why = { new: 'new', code: 'code changes', association: 'KeyValueStore association lost' }[step.reason];
      const hashes =
        step.liveSha256 === undefined || step.reason === 'association'
          ? step.sha256.slice(0, 12)
          : `${step.liveSha256.slice(0, 12)} → ${step.sha256.slice(0, 12)}`;
      return [
        line(`${step.uploaded ? 'test, publish' : 'upload, test, publish'} function ${step.name}`),
        `      ${step.event}, stage ${step.stage}, ${step.bytes} bytes, ${hashes} (${why})`,
      ];
    }
    case 'updateDistribution':
      return [
        line(
          step.phase === 'headers'
            ? 'update distribution: headers first, for functions that run already'
            : 'update distribution',
        ),
        ...step.changes.flatMap(renderChange),
      ];
    case 'waitForDistribution':
      return [line('wait: distribution Deployed')];
  }
}

function renderChange(change: BehaviourChange): string[] {
  const place = change.pattern ?? 'distribution';
  const before = shortValue(change.before);
  const after = shortValue(change.after);
  return [`      ${place}  ${change.field}`, `        - ${before}`, `        + ${after}`];
}

interface Association {
  readonly EventType?: string;
  readonly FunctionARN?: string;
  readonly LambdaFunctionARN?: string;
}

function shortValue(value: unknown): string {
  if (value === null || value === '') return '(none)';
  if (typeof value === 'string') {
    const pending = /^\{\{\w+:(.*)\}\}$/.exec(value);
    return pending ? `${pending[1]} (new)` : value;
  }
  const items = (value as { Items?: Association[] }).Items ?? [];
  if (items.length === 0) return '(none)';
  return items
    .map((item) => {
      const arn = item.FunctionARN ?? item.LambdaFunctionARN ?? '';
      const pending = /^\{\{\w+:(.*)\}\}$/.exec(arn);
      const name = pending
        ? pending[1]
        : item.FunctionARN === undefined
          ? arn.replace(/^.*:function:/, '')
          : nameOfArn(arn);
      return `${item.EventType}: ${name}`;
    })
    .join(', ');
}

const marks = { error: '✗', warning: '!', info: 'i' } as const;

function renderFinding(finding: Finding): string[] {
  const mark = finding.accepted === undefined ? marks[finding.severity] : '~';
  return [
    `  ${mark} ${finding.code}${finding.accepted === undefined ? '' : ' (accepted)'}: ${finding.message}`,
    ...(finding.accepted === undefined
      ? finding.fix === undefined
        ? []
        : [`      → ${finding.fix}`]
      : [`      because ${finding.accepted}`]),
  ];
}
