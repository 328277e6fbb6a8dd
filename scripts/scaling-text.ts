import type { Range } from './bench-decode.ts';
import type { ScalingReport } from './bench-scaling.ts';
import type { ConfigurationReport, SpeedRatio } from './scaling-report.ts';
import type { TimeDivision } from './time-division.ts';

/** The report as lines for people. */
export function scalingText(report: ScalingReport): string {
  const { machine, cores, instruction_set, shape, quant, layers, backend, prompt, tokens, runs, network, busy } =
    report;
  const lines = [
    `${machine}, ${cores} cores, ${backend}${instruction_set === null ? '' : ` ${instruction_set}`}`,
    `${shape} ${quant}, ${layers} layers, ${prompt} + ${tokens} tokens, ${runs} runs`,
  ];
  if (network !== null) {
    const mbit = network.mbit === null ? '' : `, ${network.mbit} Mbit/s`;
    lines.push(`network: round trip ${network.round_trip_ms} ms${mbit}`);
  }
  for (const row of report.results) {
    const name = `${row.devices} ${row.devices === 1 ? 'device' : 'devices'}`;
    const shared = row.shared_cores ? ', which are fewer than there are processes' : '';
    lines.push('', `${name}: ${placesText(row)}${shared}`, ...configurationLines(row));
    if (row.devices === 1) continue;
    lines.push(`  speed-up     ${ratioText(row.speed_up)}`);
    // One thread is the one device that all others are compared with.
    if (row.bound.threads === 1) continue;
    lines.push(
      `  one device, ${row.bound.threads} threads: ${placesText(row.bound)}`,
      ...configurationLines(row.bound),
    );
    lines.push(`  of that      ${ratioText(row.of_bound)}`);
  }
  if (busy !== null) {
    lines.push('', `2 devices, core ${busy.busy_core} busy: ${placesText(busy)}`, ...configurationLines(busy));
    lines.push(`  slowed down  ${ratioText(busy.slow_down)}`);
  }
  return `${lines.join('\n')}\n`;
}

const placesText = ({ processes }: ConfigurationReport): string =>
  processes.map(({ name, cores }) => `${name} on ${cores ?? 'any core'}`).join(', ');

function configurationLines(row: ConfigurationReport): string[] {
  return [
    `  decode       ${row.decode_ms} ms ${between(row.decode_ms_spread)}: ${divisionText(row.decode_division)}`,
    `  prefill      ${row.prefill_tokens_per_second} tokens/s ${between(row.prefill_tokens_per_second_spread)}: ` +
      divisionText(row.prefill_division),
  ];
}

const divisionText = ({ own_compute_ms, remote_compute_ms, star_ms, coordinator_ms }: TimeDivision): string =>
  `computing ${own_compute_ms} here, ${remote_compute_ms} there, star ${star_ms}, rest ${coordinator_ms} ms`;

const ratioText = ({ decode, decode_spread, prefill, prefill_spread }: SpeedRatio): string =>
  `decode ${decode} ${between(decode_spread)}  prefill ${prefill} ${between(prefill_spread)}`;

const between = ([least, most]: Range): string => `(${least}..${most})`;
