import type { PlannedModel } from '../../test/fixtures/planning-cases.ts';
import { type DeviceKindName, homeOf, type NetworkName } from './home-devices.ts';
import { type LineChart, lineChart, type Series } from './line-chart.ts';
import { type PassName, planHome, type Simulation, simulate } from './simulate.ts';
import { star, twoLevels } from './topology.ts';

/** So many devices on a network, as one star and as two levels of stars. */
export interface ScalingRow {
  readonly network: NetworkName;
  readonly devices: number;
  readonly pass: PassName;
  readonly star: Simulation;
  readonly twoLevels: Simulation;
}

export interface ScalingOptions {
  readonly model: PlannedModel;
  readonly device: DeviceKindName;
  readonly networks: readonly NetworkName[];
  readonly devices: readonly number[];
  readonly passes: number;
  readonly seed: number;
}

/** All of the devices have a share, as long as there are tiles: so it shows where one more makes a token slower. */
export function scaling({ model, device, networks, devices, passes, seed }: ScalingOptions): ScalingRow[] {
  return networks.flatMap((network) =>
    devices.flatMap((count) => {
      const home = homeOf(device, count, network, seed);
      const planned = planHome(model, home, 'all');
      return (['token', 'prompt'] as const).map((pass): ScalingRow => {
        const run = (topology: ReturnType<typeof star>): Simulation =>
          simulate(model, home, planned, topology, pass, { passes, seed });
        return { network, devices: count, pass, star: run(star(count)), twoLevels: run(twoLevels(count)) };
      });
    }),
  );
}

/** A chart of each kind of pass, by the name of its file. */
export function scalingCharts(rows: readonly ScalingRow[], what: string): Record<string, string> {
  const chart = (pass: PassName, title: string): LineChart => ({
    title: `${title}: ${what}`,
    x: 'devices',
    y: 'ms, mean, simulated',
    series: [...new Set(rows.map(({ network }) => network))].flatMap((network) => {
      const own = rows.filter((row) => row.network === network && row.pass === pass);
      const line = (name: string, of: (row: ScalingRow) => number, dashed = false): Series => ({
        ...{ name: `${network}, ${name}`, dashed },
        points: own.map((row) => [row.devices, of(row)]),
      });
      return [
        line('one star', (row) => row.star.meanMs),
        line('two levels', (row) => row.twoLevels.meanMs),
        line('star, predicted', (row) => row.star.predictedMs, true),
      ];
    }),
  });
  return {
    'scaling-tokens.svg': lineChart(chart('token', 'A token')),
    'scaling-prompts.svg': lineChart(chart('prompt', 'A token of a prompt')),
  };
}
