import { type TileTable, tileTable } from '../tiles/tile-table.ts';
import { EmbeddingReader, readVector } from './dequantize.ts';
import { modelFingerprint } from './fingerprint.ts';
import { type GgufFile, openGguf } from './gguf/reader.ts';
import { readModelSpec } from './model-spec.ts';
import type { ModelSpec } from './spec.ts';

/** A model file, understood: what it is, how it is cut, and the weights that stay with the coordinator. */
export interface OpenModel {
  /** 32 hex digits; see modelFingerprint. */
  readonly id: string;
  readonly gguf: GgufFile;
  readonly spec: ModelSpec;
  readonly table: TileTable;
  readonly embedding: EmbeddingReader;
  readonly norms: readonly { readonly attention: Float32Array; readonly ffn: Float32Array }[];
  readonly outputNorm: Float32Array;
}

/** @throws StarlingError model_… for a file that is missing, damaged or not supported */
export async function openModel(path: string): Promise<OpenModel> {
  const gguf = await openGguf(path);
  try {
    const spec = await readModelSpec(gguf);
    const norms: { attention: Float32Array; ffn: Float32Array }[] = [];
    for (const { attentionNorm, ffnNorm } of spec.layers) {
      norms.push({ attention: await readVector(gguf, attentionNorm), ffn: await readVector(gguf, ffnNorm) });
    }
    return {
      id: await modelFingerprint(gguf),
      gguf,
      spec,
      table: tileTable(spec),
      embedding: new EmbeddingReader(gguf, spec.embedding),
      norms,
      outputNorm: await readVector(gguf, spec.outputNorm),
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}
