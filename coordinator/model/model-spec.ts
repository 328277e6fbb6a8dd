import { basename } from 'node:path';
import { StarlingError } from '../../daemon/errors.ts';
import type { GgufFile } from './gguf/reader.ts';
import { shown } from './gguf/shown.ts';
import { type Hyperparameters, readHyperparameters } from './hyperparameters.ts';
import { checkKeys } from './metadata-keys.ts';
import { readRope } from './rope-spec.ts';
import type { LayerWeights, ModelSpec } from './spec.ts';
import { TensorCatalog } from './tensor-catalog.ts';

/**
 * Reads what a model is from its file, and checks it against the tensors' names, shapes and types.
 * @throws StarlingError model_unsupported_architecture, model_unsupported_tensor_type, model_invalid, and those of reading
 */
export async function readModelSpec(gguf: GgufFile): Promise<ModelSpec> {
  const h = readHyperparameters(gguf);
  checkKeys(gguf.path, gguf.metadata);
  const tensors = new TensorCatalog(gguf);

  const embedding = tensors.weight('token_embd.weight', null, h.dim);
  const vocabSize = embedding.dims[1] ?? 0;
  checkVocabulary(gguf, vocabSize);
  const outputNorm = tensors.vector('output_norm.weight', h.dim);
  const head = tensors.has('output.weight') ? tensors.weight('output.weight', vocabSize, h.dim) : embedding;
  const layers = Array.from({ length: h.layers }, (_, layer) => readLayer(tensors, layer, h));
  const rope = await readRope(gguf, tensors, h.headDim);
  tensors.expectNoOthers();

  return {
    architecture: 'llama',
    name: modelName(gguf),
    dim: h.dim,
    heads: h.heads,
    kvHeads: h.kvHeads,
    headDim: h.headDim,
    ffDim: h.ffDim,
    vocabSize,
    contextLength: h.contextLength,
    rmsEps: h.rmsEps,
    rope,
    embedding,
    outputNorm,
    head,
    layers,
  };
}

/** What the file calls itself, else its file name. */
function modelName(gguf: GgufFile): string {
  const name = gguf.metadata.get('general.name');
  return shown(name?.kind === 'string' && name.value.trim() !== '' ? name.value : basename(gguf.path, '.gguf'));
}

function readLayer(tensors: TensorCatalog, layer: number, h: Hyperparameters): LayerWeights {
  const name = (part: string) => `blk.${layer}.${part}.weight`;
  const qRows = h.heads * h.headDim;
  const kvRows = h.kvHeads * h.headDim;
  return {
    attentionNorm: tensors.vector(name('attn_norm'), h.dim),
    ffnNorm: tensors.vector(name('ffn_norm'), h.dim),
    q: tensors.weight(name('attn_q'), qRows, h.dim),
    k: tensors.weight(name('attn_k'), kvRows, h.dim),
    v: tensors.weight(name('attn_v'), kvRows, h.dim),
    o: tensors.weight(name('attn_output'), h.dim, qRows),
    gate: tensors.weight(name('ffn_gate'), h.ffDim, h.dim),
    up: tensors.weight(name('ffn_up'), h.ffDim, h.dim),
    down: tensors.weight(name('ffn_down'), h.dim, h.ffDim),
  };
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
