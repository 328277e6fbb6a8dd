import { StarlingError } from '../../daemon/errors.ts';
import { TileStore } from '../../daemon/store/tile-store.ts';
import { Cluster } from '../cluster/cluster.ts';
import { DraftModel } from '../drafts/draft-model.ts';
import type { OpenModel } from '../model/open-model.ts';
import { readVocabulary } from '../model/tokenizer/vocabulary.ts';
import { openKnownModel } from './open-known-model.ts';
import { resolveModel, storeOptions } from './options.ts';
import type { StartClusterOptions } from './start-cluster.ts';

/** A draft model that runs in this process. */
export interface RunningDraft {
  readonly model: DraftModel;
  stop(): Promise<void>;
}

type DraftOptions = Omit<StartClusterOptions, 'peers'> & { readonly contentsFile: string };

/**
 * Loads a model that guesses for another: all of it in this process, with an engine of its own.
 * @param file as for `resolveModel`
 * @param options of the large model's cluster
 * @throws StarlingError invalid_argument when the vocabularies differ; those of opening and loading a model
 */
export async function startDraft(file: string, options: DraftOptions): Promise<RunningDraft> {
  const model = await openKnownModel(await resolveModel(file), options);
  try {
    checkVocabularies(file, model, options.model);
    const store = new TileStore(options.storeDir, storeOptions(options));
    const contextLength = Math.min(options.contextLength, model.spec.contextLength);
    const cluster = await Cluster.start({ ...options, model, contextLength, ranks: [], ownShare: true, store });
    const stop = async (): Promise<void> => {
      await cluster.stop();
      await model.gguf.close();
    };
    return { model: await DraftModel.start(cluster), stop };
  } catch (error) {
    await model.gguf.close();
    throw error;
  }
}

/** A token id has to mean the same to both models. */
function checkVocabularies(file: string, draft: OpenModel, model: OpenModel): void {
  const [own, theirs] = [draft, model].map(({ gguf }) => readVocabulary(gguf.metadata).tokens) as [string[], string[]];
  const differs = own.length === theirs.length ? own.findIndex((token, id) => token !== theirs[id]) : own.length;
  if (differs < 0) return;
  const how =
    own.length === theirs.length
      ? `token ${differs} differs`
      : `it has ${own.length} tokens, the model ${theirs.length}`;
  throw new StarlingError(
    'invalid_argument',
    `--draft ${file}: its vocabulary is not that of the model (${how}); take a smaller model of the same family`,
  );
}
