import cliProgress from 'cli-progress';
import type { ClusterProgress } from '../cluster/cluster.ts';

const TITLES = {
  checking: 'Reading the model file through',
  distributing: 'Cutting and sending tiles',
  loading: 'Loading tiles',
};
const MIB = 2 ** 20;

/**
 * Shows bring-up on stderr: a bar on a terminal, nothing elsewhere. Call `stop` when the cluster is up, or was given
 * up.
 */
export function progressBar(stream: NodeJS.WriteStream = process.stderr): {
  onProgress: (progress: ClusterProgress) => void;
  stop: () => void;
} {
  if (!stream.isTTY) return { onProgress: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar({
    format: '{title} [{bar}] {percentage}% | {value}/{total} MiB | {eta_formatted}',
    stream,
    hideCursor: true,
    clearOnComplete: true,
  });
  let stage: ClusterProgress['stage'] | undefined;
  return {
    onProgress(progress) {
      const [done, total] = [Math.round(progress.done / MIB), Math.max(1, Math.round(progress.total / MIB))];
      if (progress.stage !== stage) {
        if (stage !== undefined) bar.stop();
        stage = progress.stage;
        bar.start(total, done, { title: TITLES[stage] });
      }
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
