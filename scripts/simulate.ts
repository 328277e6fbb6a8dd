import { realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { integer } from '../coordinator/cli/options.ts';
import { plannedModel } from '../test/fixtures/planning-cases.ts';
import { MODEL_SHAPES, type ModelShapeName } from './model-shapes.ts';
import { DEVICE_KINDS, type DeviceKindName, NETWORK_KINDS, type NetworkName } from './simulation/home-devices.ts';
import { HOMES, PUBLISHED, simulateHomes } from './simulation/homes.ts';
import { homesText, scalingText } from './simulation/report-text.ts';
import { scaling, scalingCharts } from './simulation/scaling.ts';

interface SimulateOptions {
  readonly shape: ModelShapeName;
  readonly network: readonly NetworkName[];
  readonly passes: number;
  readonly seed: number;
  readonly json?: boolean;
}

const NETWORKS = Object.keys(NETWORK_KINDS) as NetworkName[];
/** Of mixtures there is no description without a file (shape-model.ts). */
const SHAPES = Object.keys(MODEL_SHAPES).filter((name) => !('experts' in MODEL_SHAPES[name as ModelShapeName]));

function deviceCounts(list: string): number[] {
  const counts = list.split(',').map(Number);
  if (counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 256)) return counts;
  throw new InvalidArgumentError('numbers of devices from 1 to 256 are expected, such as 1,2,4,8.');
}

function networkNames(list: string): NetworkName[] {
  const names = list.split(',');
  if (names.every((name) => (NETWORKS as string[]).includes(name))) return names as NetworkName[];
  throw new InvalidArgumentError(`of ${NETWORKS.join(', ')} some are expected, such as ${NETWORKS.join(',')}.`);
}

/** A command with the options that both have. */
const command = (name: string, description: string, passes: number): Command =>
  new Command(name)
    .description(description)
    .addOption(new Option('--shape <name>', 'a model, in Q4_0').choices(SHAPES).default('llama-3.1-70b'))
    .option('--network <list>', `of ${NETWORKS.join(', ')}`, networkNames, NETWORKS)
    .option('--passes <n>', 'that are simulated', integer(1, 100_000), passes)
    .option('--seed <n>', 'of all that is drawn', integer(0, 2 ** 32 - 1), 1)
    .option('--json', 'print one JSON object');

async function main(args: readonly string[]): Promise<void> {
  const print = (report: object, text: string, json = false): void => {
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : `Simulated, not measured; milliseconds.\n\n${text}`);
  };
  const scalingCommand = command('scaling', 'Where one star stops scaling, and what two levels of stars give.', 20)
    .addOption(new Option('--device <kind>', 'what all are').choices(Object.keys(DEVICE_KINDS)).default('desktop'))
    .option('--devices <list>', 'how many', deviceCounts, [1, 2, 4, 8, 16, 32, 64, 128, 256])
    .option('--plots <folder>', 'write charts there, as SVG')
    .action(async (options: SimulateOptions & { device: DeviceKindName; devices: number[]; plots?: string }) => {
      const { shape, network, device, devices, passes, seed, plots, json } = options;
      const model = plannedModel(MODEL_SHAPES[shape]);
      const rows = scaling({ model, device, networks: network, devices, passes, seed });
      if (plots !== undefined) {
        await mkdir(plots, { recursive: true });
        for (const [name, svg] of Object.entries(scalingCharts(rows, `${shape} Q4_0, ${device}`))) {
          await writeFile(join(plots, name), svg);
        }
      }
      print({ shape, device, passes, seed, rows }, scalingText(rows), json);
    });
  const homesCommand = command('homes', 'A model in typical homes, beside published figures.', 200).action(
    ({ shape, network, passes, seed, json }: SimulateOptions) => {
      const rows = simulateHomes(plannedModel(MODEL_SHAPES[shape]), HOMES, network, { passes, seed });
      print({ shape, passes, seed, rows, published: PUBLISHED }, homesText(rows), json);
    },
  );
  await new Command('simulate')
    .description("Simulate clusters by the planner's model of their cost, event by event.")
    .addCommand(scalingCommand)
    .addCommand(homesCommand)
    .parseAsync(args);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
