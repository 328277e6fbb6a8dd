// The coordinator of one measurement of bench-window.ts, in a process of its own.
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from '../coordinator/cli/start-cluster.ts';
import { type Account, accountBetween } from '../coordinator/cluster/accounting.ts';
import type { Endpoint } from '../coordinator/cluster/find-devices.ts';
import { openModel } from '../coordinator/model/open-model.ts';
import { ClusterKey } from '../daemon/cluster-key.ts';
import { loadIdentity } from '../daemon/identity.ts';
import { createLogger } from '../daemon/log.ts';
import { homePaths } from '../daemon/paths.ts';
import { processMemory } from '../daemon/process-memory.ts';
import type { BackendName } from '../kernels/kernels.ts';
import type { DecodeTask, DecodeTimes } from './bench-child.ts';
import { LoneSequence } from './lone-sequence.ts';

export interface WindowTask extends DecodeTask {
  readonly key: string;
  readonly peers: readonly Endpoint[];
  readonly storeDir: string;
  readonly backend: BackendName;
  /** Bytes, of this process. */
  readonly memory: number;
}

export interface WindowTimes extends DecodeTimes {
  readonly logits_sha256: string;
  /** Of the decoded tokens together. */
  readonly account: Account;
}

async function measure(task: WindowTask): Promise<WindowTimes> {
  const home = await mkdtemp(join(tmpdir(), 'starling-bench-home-'));
  process.once('disconnect', () => process.exit(1));
  const model = await openModel(task.model);
  try {
    const cluster = await startCluster({
      model,
      identity: await loadIdentity(homePaths({ STARLING_HOME: home }).identityFile),
      key: ClusterKey.parse(task.key),
      peers: task.peers,
      waitMs: 0,
      ownShare: false,
      storeDir: task.storeDir,
      backend: task.backend,
      threads: task.threads,
      memory: processMemory(task.memory),
      contextLength: task.context,
      kv: 'f16',
      log: createLogger('warn', 'bench'),
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    try {
      const hash = createHash('sha256');
      const sequence = new LoneSequence(cluster.forward);
      const timed = async (tokens: readonly number[]): Promise<number> => {
        const start = performance.now();
        const logits = await sequence.append(tokens);
        const ms = performance.now() - start;
        hash.update(Buffer.from(Float32Array.from(logits).buffer));
        return ms;
      };
      // The first pass over the tiles also verifies their hashes; it is not counted as decoding.
      const prefill_ms = await timed(task.prompt);
      const before = cluster.account();
      const token_ms: number[] = [];
      for (const token of task.next) token_ms.push(await timed([token]));
      const account = accountBetween(before, cluster.account());
      return { prefill_ms, token_ms, logits_sha256: hash.digest('hex'), account };
    } finally {
      await cluster.stop();
    }
  } finally {
    await model.gguf.close();
    await rm(home, { recursive: true, force: true });
  }
}

const times = await measure(JSON.parse(process.argv[2] ?? ''));
process.send?.(times, () => process.exit(0));
