import cliProgress from 'cli-progress';
import type { ClusterProgress } from '../cluster/cluster.ts';

const MIB = 2 ** 20;

/** What is shown of each stage, and in which unit. */
const STAGES = {
  checking: { title: 'Reading the model file through', unit: ' MiB', one: MIB },
  measuring: { title: 'Measuring devices', unit: '', one: 1 },
  distributing: { title: 'Cutting and sending tiles', unit: ' MiB', one: MIB },
  loading: { title: 'Loading tiles', unit: ' MiB', one: MIB },
} as const satisfies Record<ClusterProgress['stage'], { title: string; unit: string; one: number }>;

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
    format: '{title} [{bar}] {percentage}% | {value}/{total}{unit} | {eta_formatted}',
    stream,
    hideCursor: true,
    clearOnComplete: true,
  });
  let stage: ClusterProgress['stage'] | undefined;
  return {
    onProgress(progress) {
      const { title, unit, one } = STAGES[progress.stage];
      const [done, total] = [Math.round(progress.done / one), Math.max(1, Math.round(progress.total / one))];
      if (progress.stage !== stage) {
        if (stage !== undefined) bar.stop();
        stage = progress.stage;
        bar.start(total, done, { title, unit });
      }
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
