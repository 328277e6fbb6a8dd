import { Command } from 'commander';
import { loadOrCreateKey } from '../../daemon/cluster-key.ts';
import { StarlingError } from '../../daemon/errors.ts';
import { loadIdentity } from '../../daemon/identity.ts';
import { createLogger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import { openJsChannel } from '../../daemon/protocol/open-channel.ts';
import { plannedDevices, planWishes } from '../cluster/bring-up.ts';
import { checkNamed, type Endpoint } from '../cluster/find-devices.ts';
import { OWN_ID, OWN_NAME } from '../cluster/local-rank.ts';
import { planReport } from '../cluster/planner/plan-report.ts';
import type { PlannedDevice } from '../cluster/planner/planned-device.ts';
import { openModel } from '../model/open-model.ts';
import { engineSpec } from '../tiles/tile-table.ts';
import {
  addComputeOptions,
  type ComputeOptions,
  devicesOption,
  endpoints,
  type HeadOptions,
  headOption,
  integer,
  type KvOptions,
  kvOption,
  type PlanOptions,
  resolveCompute,
  resolveModel,
  storeOption,
  usersOption,
} from './options.ts';
import { takeOwnDevice } from './own-device.ts';
import { planText } from './plan-text.ts';
import { progressBar } from './progress.ts';
import { contextLength, findCluster, type StartClusterOptions, wishesOf } from './start-cluster.ts';

interface PlanCommandOptions extends ComputeOptions, KvOptions, HeadOptions, PlanOptions {
  readonly peer: Endpoint[];
  readonly discovery: boolean;
  readonly wait: number;
  readonly context?: number;
  readonly store?: string;
  readonly json?: boolean;
}

export interface PlanCommandDeps {
  readonly paths: HomePaths;
  /** Of Starling. */
  readonly version: string;
  readonly stdout: (text: string) => void;
  /** Whether standard output is one. */
  readonly isTerminal: boolean;
  readonly signal: AbortSignal;
}

export function planCommand(deps: PlanCommandDeps): Command {
  const command = new Command('plan')
    .description('tell who would compute what of a model, and how fast, without loading anything')
    .argument('<model>', 'a .gguf file, or "tiny-chat" for the small model that comes with Starling')
    .option('--peer <host:port>', 'plan for this device too, found or not; may be repeated', endpoints, [])
    .option('--no-discovery', 'plan only for this device and those named with --peer')
    .option('--wait <seconds>', 'how long to listen for devices on the LAN', integer(0, 600), 3)
    .option('--context <n>', "most tokens of a conversation (default: the model's, at most 4096)", integer(1, 2 ** 20))
    .addOption(kvOption())
    .addOption(devicesOption())
    .addOption(usersOption())
    .addOption(headOption())
    .addOption(storeOption('where this device would keep tiles: that disk is measured'))
    .option('--json', 'print one JSON object');
  addComputeOptions(command, 'warn');
  command.addHelpText(
    'after',
    `
Devices are found and measured as by "starling serve", and let go; the model file is not read through. Times are for one step
that gives each user a token, and for one prompt of 1000 tokens.

The object of --json: model, context, users, plan (null where no devices can hold the model) and alternatives. The plan:
token_ms, prompt_ms, prompt_tokens, binding (compute, disk or network), head (local or shared), devices (of each that computes:
id, name, share of the weights from 0 to 1, memory_bytes of budget_bytes, read_bytes, compute_ms, disk_ms and network_ms for a
token) and left_out (id, name, reason, why, token_ms with it). An alternative: kind (all, alone or without), title, devices
(ids), times (as above, or null) and why these devices cannot hold the model, or null.

Examples:
  $ starling plan model.gguf
  $ starling plan model.gguf --devices kitchen,attic --users 4 --json`,
  );
  return command.action(async (modelArgument: string, options: PlanCommandOptions) => {
    const log = createLogger(options.logLevel, 'plan');
    const { paths, signal, version, stdout } = deps;
    const path = await resolveModel(modelArgument);
    await resolveCompute(options);
    const identity = await loadIdentity(paths.identityFile);
    if (identity.warning !== undefined) log.warn(identity.warning);
    const { key } = await loadOrCreateKey(paths.keyFile);
    await checkNamed(options.peer, { key, identity, openChannel: openJsChannel, signal });
    // What is in the file matters to none of this.
    const model = await openModel(path, async () => ({ sha256: [], warning: null }));
    try {
      if (model.warning !== null) log.warn(model.warning);
      const device = await takeOwnDevice({ ...deps, asked: options, identity, key, modelName: model.spec.name, log });
      const bar = progressBar();
      const clusterOptions: StartClusterOptions = {
        ...{ ...options, ...device, model, identity, key, log, signal },
        peers: options.peer,
        waitMs: options.discovery ? options.wait * 1000 : 0,
        storeDir: options.store ?? device.storeDir,
        contextLength: contextLength(model, options.context),
        profiles: { file: paths.profileFile, version },
        onProgress: bar.onProgress,
      };
      const devices = await measuredDevices(clusterOptions).finally(() => {
        bar.stop();
        device.release();
      });
      const { report, error } = planReport({
        model: model.spec.name,
        tiles: model.table.tiles,
        engine: engineSpec(model.table, clusterOptions.contextLength, options.kv),
        devices,
        wishes: planWishes(clusterOptions.contextLength, wishesOf(options)),
      });
      stdout(options.json ? `${JSON.stringify(report)}\n` : planText(report, deps.isTerminal));
      if (error !== null) throw error;
    } finally {
      await model.gguf.close();
    }
  });
}

/** The devices as they are now; all are let go. @throws StarlingError memory_too_small where this one cannot be measured */
async function measuredDevices(options: StartClusterOptions): Promise<PlannedDevice[]> {
  const { model, memory, backend, threads } = options;
  const { ranks, ownShare, measured } = await findCluster(options, true);
  for (const rank of ranks) rank.close();
  if (measured === undefined)
    throw new StarlingError('memory_too_small', 'this device has too little memory to be measured, or to serve');
  const own = { id: OWN_ID, name: OWN_NAME, profile: { memoryBytes: memory.budget(), backend, threads } };
  return plannedDevices(own, { ranks, ownShare, model, measured });
}
