// Measures what a phase of the star costs beyond computing, without kernels, beside a star in C of the same bytes:
// npm run -s bench:star -- --devices 1,2,4 --bytes 2600:7200,10000:29000
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { decimal, integer } from '../coordinator/cli/options.ts';
import { SECRET_BYTES } from '../daemon/protocol/channel.ts';
import { type BenchMachine, benchMachine, isaOption, machineLine } from './bench-machine.ts';
import { percentile, rounded } from './bench-statistics.ts';
import { coreCount, onCores, requirePinning } from './cores.ts';
import { CHANNEL_NAMES, type StarCentreTask, type StarDeviceTask } from './star-bench-work.ts';
import { measureReferenceStar } from './star-reference.ts';

/** Bytes of an input, and of an answer. */
export interface Payload {
  readonly out: number;
  readonly back: number;
}

export interface BenchStarOptions {
  readonly devices: readonly number[];
  readonly payloads: readonly Payload[];
  /** For which each device and the centre are busy in a round. */
  readonly computeMs: number;
  readonly rounds: number;
}

/** Microseconds of a round beyond computing. */
interface Overhead {
  readonly p50_us: number;
  readonly p90_us: number;
}

export interface StarRow {
  readonly devices: number;
  readonly out_bytes: number;
  readonly back_bytes: number;
  /** There are more processes than cores: they take turns. */
  readonly shared_cores: boolean;
  readonly native: Overhead | null;
  /**
   * With devices that answer at once, while the centre still computes: what only the centre takes, whose cost grows
   * with devices.
   */
  readonly native_centre: Overhead | null;
  readonly js: Overhead;
  readonly c_polling: Overhead;
  readonly c_blocking: Overhead;
}

export interface StarReport extends Omit<BenchStarOptions, 'devices' | 'payloads'>, BenchMachine {
  readonly results: readonly StarRow[];
}

const DEVICE = fileURLToPath(new URL('./star-bench-device.js', import.meta.url));
const CENTRE = fileURLToPath(new URL('./star-bench-centre.js', import.meta.url));

/** The centre is pinned to core 0, the devices to the others in turn. @throws Error without taskset or a C compiler */
export async function benchStar(options: BenchStarOptions): Promise<StarReport> {
  await requirePinning();
  const results: StarRow[] = [];
  const { machine, instruction_set } = benchMachine();
  for (const devices of options.devices) {
    for (const payload of options.payloads) {
      const { computeMs, rounds } = options;
      const star = (channel: StarCentreTask['channel'], deviceMs = computeMs) =>
        measureStar({ devices, payload, computeMs, deviceMs, rounds, channel });
      const reference = async (mode: 'polling' | 'blocking'): Promise<Overhead> => {
        const bytes = { outBytes: payload.out, backBytes: payload.back };
        const { p50Us, p90Us } = await measureReferenceStar({ devices, ...bytes, computeMs, rounds, mode });
        return { p50_us: rounded(p50Us, 1), p90_us: rounded(p90Us, 1) };
      };
      results.push({
        devices,
        out_bytes: payload.out,
        back_bytes: payload.back,
        shared_cores: devices + 1 > coreCount(),
        native: instruction_set === null ? null : await star('native'),
        native_centre: instruction_set === null ? null : await star('native', 0),
        js: await star('js'),
        c_polling: await reference('polling'),
        c_blocking: await reference('blocking'),
      });
    }
  }
  const { computeMs, rounds } = options;
  return { machine, instruction_set, computeMs, rounds, results };
}

interface StarMeasurement extends Pick<StarCentreTask, 'channel' | 'computeMs' | 'rounds'> {
  readonly devices: number;
  readonly payload: Payload;
  /** For which each device computes. */
  readonly deviceMs: number;
}

async function measureStar({
  devices,
  payload,
  channel,
  computeMs,
  deviceMs,
  rounds,
}: StarMeasurement): Promise<Overhead> {
  const secret = randomBytes(SECRET_BYTES).toString('hex');
  const work = { channel, computeMs, secret };
  const children: ChildProcess[] = [];
  const start = (file: string, core: number, task: StarDeviceTask | StarCentreTask): ChildProcess => {
    const [execPath = '', ...execArgv] = [...onCores(String(core)), process.execPath];
    const child = fork(file, [JSON.stringify(task)], { execPath, execArgv, stdio: ['ignore', 2, 2, 'ipc'] });
    children.push(child);
    return child;
  };
  try {
    const ports: number[] = [];
    const others = Math.max(1, coreCount() - 1);
    for (let device = 0; device < devices; device++) {
      const task = { ...work, computeMs: deviceMs, backBytes: payload.back };
      const child = start(DEVICE, coreCount() === 1 ? 0 : 1 + (device % others), task);
      ports.push(await answerOf<number>(child));
    }
    const centre = start(CENTRE, 0, { ...work, ports, outBytes: payload.out, rounds });
    const overheads = await answerOf<number[]>(centre);
    return { p50_us: rounded(percentile(overheads, 0.5), 1), p90_us: rounded(percentile(overheads, 0.9), 1) };
  } finally {
    for (const child of children) child.kill();
  }
}

/** A child's one message. @throws Error when it ends without */
async function answerOf<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a process of the star ended with ${code}`);
  });
  const [answer] = (await Promise.race([once(child, 'message'), ended])) as [T];
  ended.catch(() => {});
  return answer;
}

/** The report as lines for people. */
function text(report: StarReport): string {
  const { computeMs, results } = report;
  const lines = [`${machineLine(report)}; ${computeMs} ms of computing; µs beyond, p50 (p90)\n`];
  const shown = (overhead: Overhead | null): string =>
    overhead === null ? 'not built' : `${overhead.p50_us} (${overhead.p90_us})`;
  for (const row of results) {
    const shared = row.shared_cores ? ', more processes than cores' : '';
    lines.push(
      `${row.devices} devices, ${row.out_bytes} out, ${row.back_bytes} back${shared}: native ${shown(row.native)}, ` +
        `of which the centre ${shown(row.native_centre)}  ` +
        `JavaScript ${shown(row.js)}  C polling ${shown(row.c_polling)}  C blocking ${shown(row.c_blocking)}\n`,
    );
  }
  return lines.join('');
}

function payloadList(list: string): Payload[] {
  return list.split(',').map((pair) => {
    const [out, back] = pair.split(':').map(Number);
    if (out === undefined || back === undefined || !(out > 0) || !(back > 0)) {
      throw new InvalidArgumentError('pairs of bytes out and back are expected, such as 2600:7200,10000:29000.');
    }
    return { out, back };
  });
}

function deviceList(list: string): number[] {
  const devices = list.split(',').map(Number);
  if (devices.every((count) => Number.isInteger(count) && count >= 1 && count <= 64)) return devices;
  throw new InvalidArgumentError('numbers of devices are expected, such as 1,2,4,8.');
}

async function main(args: readonly string[]): Promise<void> {
  const command = new Command('bench-star')
    .description(
      `Measure what a phase of the star costs beyond computing, over links of either kind (${CHANNEL_NAMES.join(', ')}), beside C.`,
    )
    .option('--devices <list>', 'remote devices', deviceList, [1, 2, 4, 8])
    .option('--bytes <list>', 'bytes out and back', payloadList, [
      { out: 2600, back: 7200 },
      { out: 10_000, back: 29_000 },
    ])
    .option('--compute <ms>', 'for which each device and the centre compute in a phase', decimal(0, 1000), 0.5)
    .option('--rounds <n>', 'phases that are counted', integer(1, 10_000_000), 4000)
    .addOption(isaOption())
    .option('--json', 'print one JSON object')
    .parse(args);
  const { devices, bytes, compute, rounds, json } = command.opts<{
    devices: number[];
    bytes: Payload[];
    compute: number;
    rounds: number;
    json?: boolean;
  }>();
  const report = await benchStar({ devices, payloads: bytes, computeMs: compute, rounds });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv);
}
