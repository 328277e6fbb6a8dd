import { type HomeRow, PUBLISHED } from './homes.ts';
import type { ScalingRow } from './scaling.ts';
import type { Simulation } from './simulate.ts';

const shown = (ms: number): string => (ms < 100 ? ms.toFixed(1) : ms.toFixed(0));
const part = (of: number): string => `${Math.round(100 * of)} %`;
/** What a link that others use too, and then jitter, add to what is predicted. */
const beyond = ({ predictedMs, steadyMs, meanMs }: Simulation): string[] => [
  percent(steadyMs / predictedMs - 1),
  percent(meanMs / steadyMs - 1),
];
const percent = (of: number): string => `${of < 0 ? '' : '+'}${part(of)}`;

export function scalingText(rows: readonly ScalingRow[]): string {
  const header = ['network', 'pass', 'devices', 'star', 'p99', 'predicted', 'links', 'jitter', 'serving', 'link busy'];
  return tableText(
    [...header, 'two levels', 'gain'],
    rows.map(({ network, pass, devices, star, twoLevels }) => [
      ...[network, pass, String(devices), shown(star.meanMs), shown(star.p99Ms), shown(star.predictedMs)],
      ...[...beyond(star), part(star.serving), part(star.link)],
      ...[shown(twoLevels.meanMs), (star.meanMs / twoLevels.meanMs).toFixed(2)],
    ]),
  );
}

export function homesText(rows: readonly HomeRow[]): string {
  const header = ['devices', 'network', 'used', 'GB read', 'token', 'p50', 'p99', 'predicted', 'links', 'jitter'];
  const table = tableText(
    [...header, 'two levels', 'prompt token'],
    rows.map(({ devices, network, used, readBytes, token, twoLevelsToken, prompt }) => [
      ...[devices, network, String(used), (readBytes / 1e9).toFixed(1)],
      ...[token.meanMs, token.p50Ms, token.p99Ms, token.predictedMs].map(shown),
      ...[...beyond(token), shown(twoLevelsToken.meanMs), shown(prompt.meanMs)],
    ]),
  );
  const published = PUBLISHED.map(({ who, ms, of, from }) => `${who}: ${ms} ms (${of}; ${from})\n`);
  return `${table}\nPublished by others, measured:\n${published.join('')}`;
}

/** Rows of cells in columns that are as wide as they need: the first ones to the left, numbers to the right. */
function tableText(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const isNumber = header.map((_, column) => rows.every((row) => /^[-+]?\d/.test(row[column] ?? '') && column > 0));
  return all
    .map((row) =>
      row.map((cell, column) => (isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))),
    )
    .map((cells) => `${cells.join('  ').trimEnd()}\n`)
    .join('');
}
