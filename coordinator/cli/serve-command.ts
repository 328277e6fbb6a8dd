import { basename } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { loadOrCreateKey } from '../../daemon/cluster-key.ts';
import { loadIdentity } from '../../daemon/identity.ts';
import { createLogger } from '../../daemon/log.ts';
import type { HomePaths } from '../../daemon/paths.ts';
import type { Endpoint } from '../cluster/find-devices.ts';
import { isHostName } from '../http/access.ts';
import { originPattern } from '../http/origin-pattern.ts';
import { DEFAULT_HTTP_HOST, DEFAULT_HTTP_PORT } from '../http/server.ts';
import { ApiKeys } from '../keys/api-keys.ts';
import { checkApiKey, loadKeyFile } from '../keys/key-file.ts';
import { listenHost } from './endpoint.ts';
import {
  addComputeOptions,
  type ComputeOptions,
  devicesOption,
  draftOption,
  endpoints,
  type HeadOptions,
  headOption,
  integer,
  type KvOptions,
  kvOption,
  type PlanOptions,
  resolveCompute,
  resolveModel,
  storeLimitOption,
  usersOption,
} from './options.ts';
import { takeOwnDevice } from './own-device.ts';
import { serveModel } from './serve-model.ts';

interface ServeOptions extends ComputeOptions, KvOptions, HeadOptions, PlanOptions {
  readonly host: string;
  readonly port: number;
  readonly ollamaPort?: number;
  readonly peer: Endpoint[];
  readonly discovery: boolean;
  readonly wait: number;
  readonly context?: number;
  readonly draft?: string;
  readonly alias?: string;
  readonly storeLimit?: number;
  readonly allowHost: string[];
  readonly allowOrigin: string[];
  readonly apiKey?: string;
  readonly apiKeyFile?: string;
}

export interface ServeCommandDeps {
  readonly paths: HomePaths;
  /** Of Starling. */
  readonly version: string;
  readonly stdout: (text: string) => void;
  readonly signal: AbortSignal;
}

const SECOND = 1000;

export function serveCommand(deps: ServeCommandDeps): Command {
  const command = new Command('serve')
    .description('serve a model, computed by all devices of the cluster, at a local HTTP endpoint')
    .argument(
      '<model>',
      'a .gguf file (of a split model, any part), or "tiny-chat" for the small model that comes with Starling',
    )
    .option(
      '--host <address>',
      'address of the endpoint; other computers reach it only if you change this',
      listenHost,
      DEFAULT_HTTP_HOST,
    )
    .option('--port <n>', 'port of the endpoint; 0 for any free one', integer(0, 65_535), DEFAULT_HTTP_PORT)
    .option(
      '--ollama-port <n>',
      'a second port of the endpoint, such as 11434, where clients of Ollama look for it',
      integer(0, 65_535),
    )
    .option('--peer <host:port>', 'use this device, found or not; may be repeated', endpoints, [])
    .option('--no-discovery', 'use only this device and those named with --peer')
    .option('--wait <seconds>', 'how long to listen for devices on the LAN', integer(0, 600), 3)
    .option('--context <n>', "most tokens of a conversation (default: the model's, at most 4096)", integer(1, 2 ** 20))
    .addOption(kvOption())
    .addOption(devicesOption())
    .addOption(usersOption())
    .addOption(headOption())
    .addOption(storeLimitOption())
    .addOption(draftOption())
    .option('--alias <name>', "the model's name for clients (default: its file name)", alias)
    .option(
      '--allow-host <name>',
      'a host name under which clients may address the endpoint; may be repeated',
      allowedHosts,
      [],
    )
    .option(
      '--allow-origin <origin>',
      'a web origin whose pages may use the endpoint, such as https://chat.example or chrome-extension://*; may be repeated',
      allowedOrigins,
      [],
    )
    .addOption(
      new Option(
        '--api-key <key>',
        'the key that clients must show; a file keeps it from those who list the processes of this computer',
      ).conflicts('apiKeyFile'),
    )
    .option('--api-key-file <file>', 'keys that clients may show, a line each: NAME KEY');
  addComputeOptions(command);
  command.addHelpText(
    'after',
    `
Devices on the LAN that run "starling daemon" with the same key are found by themselves. They see activations, no text, and
where the head is shared how likely next tokens are; a public model's activations can be looked up, so this is no protection
from a device you do not trust.

Examples:
  $ starling serve llama-3.2-1b-instruct-q8_0.gguf
  $ starling serve model.gguf --peer 192.168.1.20:7828 --port 8080
  $ curl http://127.0.0.1:7827/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model": "starling", "messages": [{"role": "user", "content": "Tell me a story about a dog."}]}'`,
  );
  return command.action(async (modelArgument: string, options: ServeOptions) => {
    const log = createLogger(options.logLevel, 'serve');
    const keys = await clientKeys(options);
    const path = await resolveModel(modelArgument);
    // Settled only when the own device is taken; but what cannot be computed with is found now.
    await resolveCompute(options);
    const identity = await loadIdentity(deps.paths.identityFile);
    if (identity.warning !== undefined) log.warn(identity.warning);
    const { key, created } = await loadOrCreateKey(deps.paths.keyFile);
    if (created) {
      log.info(
        `made a new cluster key (${key.keyId}); give it to your other devices with "starling key show" and "starling key import"`,
      );
    }
    await serveModel({
      ...options,
      path,
      version: deps.version,
      contentsFile: deps.paths.contentsFile,
      profiles: { file: deps.paths.profileFile, version: deps.version },
      batchesDir: deps.paths.batchesDir,
      name: options.alias ?? modelName(modelArgument),
      identity,
      key,
      peers: options.peer,
      keys,
      waitMs: options.discovery ? options.wait * SECOND : 0,
      device: (model) => takeOwnDevice({ ...deps, asked: options, identity, key, modelName: model, log }),
      log,
      signal: deps.signal,
      onReady: async ({ url, name, devices }) => {
        deps.stdout(`${name} is served at ${url}/v1 by ${devices} ${devices === 1 ? 'device' : 'devices'}\n`);
      },
    });
  });
}

/** The keys of clients; null for none. @throws StarlingError key_invalid */
async function clientKeys({ apiKey, apiKeyFile }: ServeOptions): Promise<ApiKeys | null> {
  if (apiKeyFile !== undefined) return new ApiKeys(await loadKeyFile(apiKeyFile));
  if (apiKey === undefined) return null;
  return new ApiKeys([{ name: 'default', key: checkApiKey(apiKey, '--api-key') }]);
}

/** @throws InvalidArgumentError */
function allowedOrigins(text: string, previous: string[]): string[] {
  if (originPattern(text) !== null) return [...previous, text];
  throw new InvalidArgumentError(
    'an origin is expected, as browsers name it: https://chat.example, http://localhost:3000, chrome-extension://* or http://localhost:* for any of them, or * for every page there is.',
  );
}

/** @throws InvalidArgumentError */
function allowedHosts(text: string, previous: string[]): string[] {
  if (isHostName(text)) return [...previous, text];
  throw new InvalidArgumentError('a host name or an address is expected, without http:// and without a port.');
}

/** @throws InvalidArgumentError */
function alias(text: string): string {
  if (/^[^\p{Cc}]{1,256}$/u.test(text) && text.trim() === text) return text;
  throw new InvalidArgumentError('a name of 1 to 256 characters is expected, without spaces around it.');
}

/** A model's name for clients: that of its file, without what says which part of a split one it is. */
const modelName = (model: string): string => basename(model).replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '');
