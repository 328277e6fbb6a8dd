import { openJsChannel } from '../../daemon/protocol/open-channel.ts';
import { checkNamed } from '../cluster/find-devices.ts';
import { Replanner } from '../cluster/replanner.ts';
import { TextService } from '../generation/text-service.ts';
import { HttpServer } from '../http/server.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import { modelFacts } from '../model-facts.ts';
import { openTextTools } from '../text-model.ts';
import { type RunningDraft, startDraft } from './draft.ts';
import { openKnownModel } from './open-known-model.ts';
import { resolveModel } from './options.ts';
import type { OwnDevice } from './own-device.ts';
import { progressBar } from './progress.ts';
import { startBatches } from './start-batches.ts';
import { contextLength, type StartClusterOptions, startCluster } from './start-cluster.ts';

export interface ServeModelOptions
  extends Omit<StartClusterOptions, 'model' | 'contextLength' | 'onProgress' | keyof OwnDevice> {
  readonly path: string;
  /** Of Starling. */
  readonly version: string;
  /** See HomePaths. */
  readonly contentsFile: string;
  /** See HomePaths; null serves without files and batches. */
  readonly batchesDir: string | null;
  /** The model's name for clients. */
  readonly name: string;
  readonly context?: number;
  /** Takes the device of this process, which computes a model of this name with it. */
  readonly device: (modelName: string) => Promise<OwnDevice>;
  /** Model that guesses for it; see startDraft. */
  readonly draft?: string;
  readonly host: string;
  readonly port: number;
  readonly ollamaPort?: number;
  readonly allowHost: readonly string[];
  readonly allowOrigin: readonly string[];
  /** Of which clients must show one; null lets everybody in. */
  readonly keys: ApiKeys | null;
  readonly onReady: (served: { url: string; name: string; devices: number }) => Promise<void>;
}

/** An endpoint that tells clients to wait. */
export interface Listening {
  readonly server: HttpServer;
  readonly url: string;
  /** Of the second port, where there is one. */
  readonly secondUrl?: string;
}

/** Opens the endpoint of a command: a port that is taken is found before anything that takes long. */
export async function listen(
  options: Pick<ServeModelOptions, 'host' | 'port' | 'ollamaPort' | 'allowHost' | 'allowOrigin' | 'keys' | 'log'>,
): Promise<Listening> {
  const { host, port, ollamaPort, allowHost, allowOrigin, keys, log } = options;
  const server = new HttpServer({
    host,
    port,
    secondPort: ollamaPort ?? null,
    allowedHosts: allowHost,
    allowedOrigins: allowOrigin,
    keys,
    log,
  });
  return { server, ...(await server.start()) };
}

/** Serves one model until the signal aborts; then stops in order. */
export async function serveModel(options: ServeModelOptions): Promise<void> {
  const endpoint = await listen(options);
  try {
    await serveModelAt(endpoint, options);
  } finally {
    await endpoint.server.stop();
  }
}

/** As serveModel, at an endpoint that listens already, and that the caller stops. */
export async function serveModelAt({ server, url, secondUrl }: Listening, options: ServeModelOptions): Promise<void> {
  const { log, signal } = options;
  // What is wrong with a name or a device is found before the model is read through, which may take minutes.
  if (options.draft !== undefined) await resolveModel(options.draft);
  await checkNamed(options.peers, { ...options, openChannel: openJsChannel });
  const bar = progressBar();
  const model = await openKnownModel(options.path, { ...options, onProgress: bar.onProgress }).finally(bar.stop);
  const tools = openTextTools(model);
  let device: OwnDevice | undefined;
  let draft: RunningDraft | undefined;
  try {
    for (const warning of tools.warnings) log.warn(warning);
    device = await options.device(model.spec.name);
    const clusterOptions = {
      ...options,
      ...device,
      model,
      contextLength: contextLength(model, options.context),
      onProgress: bar.onProgress,
    };
    // First, so that the model's share is planned beside what the draft model takes.
    if (options.draft !== undefined) draft = await startDraft(options.draft, clusterOptions).finally(bar.stop);
    const cluster = await startCluster(clusterOptions).finally(bar.stop);
    try {
      for (const rank of [...cluster.ranks, ...cluster.spare]) {
        rank.onLost((error) => {
          const level = cluster.ranks.includes(rank) ? 'error' : 'info';
          if (!signal.aborted) log[level]({ device: rank.name, id: rank.id }, error.message);
        });
      }
      const service = new TextService({
        modelId: options.name,
        created: Math.floor(Date.now() / 1000),
        model: cluster,
        ...tools,
        log,
        ...(draft === undefined ? {} : { draft: draft.model }),
      });
      const replanner = new Replanner({ cluster, texts: service, log });
      const { batchesDir } = options;
      const batches = batchesDir === null ? null : await startBatches({ folder: batchesDir, server, service, log });
      server.open({
        service,
        facts: modelFacts(model, tools, clusterOptions),
        batches,
        devices: () => cluster.health(),
        plan: () => cluster.planHealth(),
        usage: () => ({ account: cluster.account(), overlap: cluster.overlap() }),
      });
      if (secondUrl !== undefined) log.info(`clients of Ollama find it at ${secondUrl}`);
      try {
        replanner.start();
        await options.onReady({ url, name: options.name, devices: cluster.devices });
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      } finally {
        replanner.stop();
        // Before requests are aborted, which would be results.
        await batches?.stop();
        service.stop();
        await server.stop();
      }
    } finally {
      await cluster.stop();
    }
  } finally {
    await draft?.stop();
    device?.release();
    tools.template.close();
    await model.gguf.close();
  }
}
