import type { Logger } from '../../daemon/log.ts';
import type { ClusterProgress } from '../cluster/cluster.ts';
import { KnownContents } from '../model/known-contents.ts';
import { type OpenModel, openModel } from '../model/open-model.ts';

export interface OpenKnownModelOptions {
  /** See HomePaths. */
  readonly contentsFile: string;
  readonly log: Logger;
  readonly onProgress: (progress: ClusterProgress) => void;
  readonly signal: AbortSignal;
}

/** As openModel, for files of this computer: one that was read through at an earlier start is not again. */
export async function openKnownModel(path: string, options: OpenKnownModelOptions): Promise<OpenModel> {
  const { contentsFile, log, onProgress, signal } = options;
  const model = await openModel(path, (gguf) =>
    new KnownContents(contentsFile).of(gguf, {
      onProgress: (bytes) => onProgress({ stage: 'checking', ...bytes }),
      signal,
    }),
  );
  if (model.warning !== null) log.warn(model.warning);
  return model;
}
