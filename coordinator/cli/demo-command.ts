import { Command } from 'commander';
import { ClusterKey } from '../../daemon/cluster-key.ts';
import { loadIdentity } from '../../daemon/identity.ts';
import { createLogger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import { processMemory } from '../../daemon/process-memory.ts';
import { DEFAULT_HTTP_HOST, DEFAULT_HTTP_PORT } from '../http/server.ts';
import { RENDER_PROCESS_BYTES } from '../model/template/render-process.ts';
import { streamChat } from './chat-client.ts';
import { LocalDevices } from './local-devices.ts';
import {
  addComputeOptions,
  type ComputeOptions,
  EMBEDDED_MODEL,
  integer,
  type KvOptions,
  kvOption,
  resolveCompute,
  resolveMemory,
  resolveModel,
} from './options.ts';
import { listen, serveModelAt } from './serve-model.ts';

interface DemoOptions extends ComputeOptions, KvOptions {
  readonly devices: number;
  readonly port: number;
}

export interface DemoCommandDeps {
  readonly paths: HomePaths;
  /** Of Starling. */
  readonly version: string;
  readonly stdout: (text: string) => void;
  readonly signal: AbortSignal;
}

const QUESTION = 'Tell me a story about a dog.';

export function demoCommand(deps: DemoCommandDeps): Command {
  const command = new Command('demo')
    .description('try a whole cluster on this machine: several daemons, and the embedded model served by them')
    .option('--devices <n>', 'daemons to start, each a process of its own', integer(1, 16), 3)
    .option('--port <n>', 'port of the endpoint; 0 for any free one', integer(0, 65_535), DEFAULT_HTTP_PORT)
    .addOption(kvOption());
  addComputeOptions(command, 'warn');
  command.addHelpText('after', '\nExamples:\n  $ starling demo\n  $ starling demo --devices 4 --port 8080');
  return command.action(async (options: DemoOptions) => {
    const log = createLogger(options.logLevel, 'demo');
    const { backend, threads } = await resolveCompute(options);
    const key = ClusterKey.generate();
    const storeDir = deps.paths.storeDir;
    const memory = resolveMemory(options, options.devices + 1);
    const share = { backend, memory, threads: options.threads ?? Math.max(1, Math.floor(threads / options.devices)) };
    const at = { host: DEFAULT_HTTP_HOST, port: options.port, allowHost: [], allowOrigin: [], keys: null, log };
    const endpoint = await listen(at);
    let devices: LocalDevices | undefined;
    try {
      devices = await LocalDevices.start({ count: options.devices, key, storeDir, ...share });
      await serveModelAt(endpoint, {
        ...at,
        path: await resolveModel(EMBEDDED_MODEL),
        version: deps.version,
        contentsFile: deps.paths.contentsFile,
        batchesDir: null,
        name: EMBEDDED_MODEL,
        identity: await loadIdentity(deps.paths.identityFile),
        key,
        peers: devices.endpoints,
        waitMs: 0,
        devices: 'all',
        profiles: null,
        device: async () => ({
          ...share,
          memory: processMemory(memory, RENDER_PROCESS_BYTES),
          storeDir,
          ownShare: false,
          release: () => {},
        }),
        kv: options.kv,
        signal: deps.signal,
        onReady: async ({ url, name, devices: count }) => {
          deps.stdout(`${name} is served at ${url}/v1 by ${count} devices on this machine\n\n> ${QUESTION}\n`);
          const messages = [{ role: 'user' as const, content: QUESTION }];
          for await (const { text } of streamChat({
            url,
            model: name,
            messages,
            temperature: 0,
            signal: deps.signal,
          })) {
            deps.stdout(text);
          }
          deps.stdout(`\n\nAsk more with "starling chat --url ${url}"; Ctrl-C ends the demo.\n`);
        },
      });
    } finally {
      await endpoint.server.stop();
      await devices?.stop();
    }
  });
}
