import { basename } from 'node:path';
import { StarlingError } from '../../daemon/errors.ts';
import { ARCHITECTURES } from './architectures/known.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import { checkKeys } from './metadata-keys.ts';
import { ModelSource } from './model-source.ts';
import type { ModelSpec } from './spec.ts';

/**
 * Reads what a model is from its file, and checks it against the tensors' names, shapes and types.
 * @throws StarlingError model_unsupported_architecture, model_unsupported_tensor_type, model_invalid, and those of
 * reading
 */
export async function readModelSpec(gguf: GgufFile): Promise<ModelSpec> {
  const source = new ModelSource(gguf);
  const { architecture, tensors } = source;
  const known = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined;
  if (known === undefined) {
    throw new StarlingError(
      'model_unsupported_architecture',
      `${gguf.path}: the architecture ${shown(architecture)} is not supported; supported: ${Object.keys(ARCHITECTURES).join(', ')}`,
      { param: 'general.architecture' },
    );
  }
  checkKeys(gguf.path, gguf.metadata, { architecture, keys: known.keys });
  const embedding = tensors.weight('token_embd.weight', null, source.integer('embedding_length', 8, 65_536));
  const { dim, contextLength, rmsEps, ropes, layers, ...scales } = await known.read(source);
  const { embeddingScale = 1, logitScale = 1, logitCap = 0 } = scales;
  const vocabSize = embedding.dims[1] ?? 0;
  checkVocabulary(gguf, vocabSize);
  const outputNorm = tensors.whole('output_norm.weight', dim);
  const head = tensors.matrix(tensors.has('output.weight') ? 'output.weight' : 'token_embd.weight', vocabSize, dim);
  tensors.expectNoOthers();
  return {
    architecture,
    name: modelName(gguf),
    ...{ dim, vocabSize, contextLength, rmsEps, ropes, layers },
    ...{ embeddingScale, logitScale, logitCap },
    ...{ embedding, outputNorm, head },
  };
}

/** What the file calls itself, else its file name. */
function modelName(gguf: GgufFile): string {
  const name = gguf.metadata.get('general.name');
  return shown(name?.kind === 'string' && name.value.trim() !== '' ? name.value : basename(gguf.path, '.gguf'));
}

const MAX_VOCABULARY = 1e6;

function checkVocabulary(gguf: GgufFile, rows: number): void {
  if (rows > MAX_VOCABULARY) {
    throw new StarlingError(
      'model_invalid',
      `${gguf.path}: the embedding has ${rows} rows; vocabularies of up to ${MAX_VOCABULARY} are possible`,
    );
  }
  const key = 'tokenizer.ggml.tokens';
  const tokens = gguf.metadata.strings(key, null);
  if (tokens !== null && tokens.length !== rows) {
    throw new StarlingError(
      'model_invalid',
      `${gguf.path}: the vocabulary (${key}) has ${tokens.length} tokens, but the embedding ${rows} rows; convert the model again`,
      { param: key },
    );
  }
}
