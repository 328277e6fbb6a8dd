import type { PlannedModel } from '../../test/fixtures/planning-cases.ts';
import { type DeviceKindName, homeOf, type NetworkName } from './home-devices.ts';
import { planHome, type Simulation, simulate } from './simulate.ts';
import { star, twoLevels } from './topology.ts';

export interface HomeDevices {
  readonly count: number;
  readonly device: DeviceKindName;
}

/** Homes that a model of 70B is simulated in: as people have them, and as in what others published. */
export const HOMES: readonly HomeDevices[] = [
  { count: 4, device: 'desktop' },
  { count: 8, device: 'laptop' },
  { count: 16, device: 'mini' },
  { count: 8, device: 'laptop-3gb' },
  { count: 8, device: 'raspberry-pi-4b' },
];

/** What others measured for a token of a model of 70B; their devices, weights and networks are not those simulated. */
export const PUBLISHED = [
  {
    who: 'TPI-LLM',
    ms: 26_100,
    of: 'Llama 2 70B in FP32, read from disk; 8 devices, 3.1 GB each',
    from: 'arXiv 2410.00531',
  },
  {
    who: 'prima.cpp',
    ms: 674,
    of: '70B; 4 devices at home, Wi-Fi, 18 GiB of memory and GPUs of 8 and 11 GiB',
    from: 'arXiv 2504.08791',
  },
  {
    who: 'distributed-llama 0.1.0',
    ms: 4843,
    of: 'Llama 2 70B in Q4_0; 8 Raspberry Pi 4B, 1 GbE; 2122 ms of computing, 2720 of transfer',
    from: 'its README of early 2024',
  },
  {
    who: 'distributed-llama 0.1.0',
    ms: 293,
    of: 'Llama 2 70B in Q4_0; 4 virtual machines of 30 threads in a data centre',
    from: 'its README of early 2024',
  },
] as const;

export interface HomeRow {
  readonly devices: string;
  readonly network: NetworkName;
  /** Devices that have a share: as the plan has it. */
  readonly used: number;
  /** Bytes that all devices together read for a token. */
  readonly readBytes: number;
  readonly token: Simulation;
  readonly twoLevelsToken: Simulation;
  readonly prompt: Simulation;
}

/** As Starling would plan them: by the devices that make a token fastest. */
export function simulateHomes(
  model: PlannedModel,
  homes: readonly HomeDevices[],
  networks: readonly NetworkName[],
  options: { readonly passes: number; readonly seed: number },
): HomeRow[] {
  return homes.flatMap(({ count, device }) =>
    networks.map((network): HomeRow => {
      const home = homeOf(device, count, network, options.seed);
      const plan = planHome(model, home, 'fastest');
      const { devices } = plan.predicted;
      return {
        devices: `${count} ${device}`,
        network,
        used: devices.filter(({ memory }) => memory.tiles > 0).length,
        readBytes: devices.reduce((sum, { memory }) => sum + memory.streamedBytes, 0),
        token: simulate(model, home, plan, star(count), 'token', options),
        twoLevelsToken: simulate(model, home, plan, twoLevels(count), 'token', options),
        prompt: simulate(model, home, plan, star(count), 'prompt', {
          ...options,
          passes: promptPasses(options.passes),
        }),
      };
    }),
  );
}

/** A step of a prompt takes as long as many tokens, and varies less. */
const promptPasses = (passes: number): number => Math.ceil(passes / 8);
