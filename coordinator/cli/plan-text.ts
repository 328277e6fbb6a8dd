import { milliseconds } from '../cluster/planner/left-out.ts';
import type { PlanReport, ReportedDevice, ReportedPlan, ReportedTimes } from '../cluster/planner/plan-report.ts';

/** Cells of a bar. */
const BAR = 20;

/**
 * Words a report for people.
 * @param bars whether each device's share is drawn
 */
export function planText({ model, context, users, plan, alternatives }: PlanReport, bars: boolean): string {
  const asked = `${model}, ${users === 1 ? '1 user' : `${users} users`}, ${context} tokens of context`;
  const titles = Math.max(0, ...alternatives.map(({ title }) => title.length));
  const others = alternatives.map(
    ({ title, times, why }) => `${title.padEnd(titles)}  ${times === null ? `impossible: ${why}` : timesText(times)}`,
  );
  return [
    `${asked}: ${plan === null ? 'these devices cannot hold it' : timesText(plan)}`,
    ...(plan === null ? [] : planLines(plan, bars)),
    ...(others.length === 0 ? [] : ['', 'Others would take:', ...others]),
  ]
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

const timesText = ({ token_ms, prompt_ms, prompt_tokens }: ReportedTimes): string =>
  `${milliseconds(token_ms)} a token, ${milliseconds(prompt_ms)} for a prompt of ${prompt_tokens} tokens`;

function planLines({ binding, head, devices, left_out }: ReportedPlan, bars: boolean): string[] {
  const rows = [
    ['device', 'share', 'memory', 'read a token', 'compute', 'disk', 'network'],
    ...devices.map((device) => cells(device)),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row, i) => {
    const device = bars ? devices[i - 1] : undefined;
    const line = row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  ');
    return device === undefined ? line : `${line}  ${bar(device.share)}`;
  });
  return [
    `${binding} binds; the head is ${head === 'shared' ? 'shared by devices' : 'computed by this device'}`,
    '',
    ...lines,
    ...(left_out.length === 0 ? [] : ['', ...left_out.map(({ why }) => why)]),
  ];
}

function cells(device: ReportedDevice): string[] {
  const { name, share, memory_bytes, budget_bytes, read_bytes, compute_ms, disk_ms, network_ms } = device;
  const times = [compute_ms, disk_ms, network_ms].map((ms) => (ms === 0 ? '' : milliseconds(ms)));
  const memory = `${megabytes(memory_bytes)} of ${megabytes(budget_bytes)} MB`;
  return [
    name,
    `${(share * 100).toFixed(0)}%`,
    memory,
    read_bytes === 0 ? '' : `${megabytes(read_bytes)} MB`,
    ...times,
  ];
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

const bar = (part: number): string => {
  const full = Math.min(BAR, Math.round(part * BAR));
  return '█'.repeat(full) + '░'.repeat(BAR - full);
};
