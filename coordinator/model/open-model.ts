import { type TileTable, tileTable } from '../tiles/tile-table.ts';
import { ARCHITECTURES } from './architectures/known.ts';
import { type Contents, readContents } from './contents.ts';
import { EmbeddingReader } from './dequantize.ts';
import { modelFingerprint } from './fingerprint.ts';
import { type FrameVectors, readFrameVectors } from './frame-vectors.ts';
import { type GgufFile, openGguf } from './gguf/reader.ts';
import { noticeOfKeys } from './metadata-keys.ts';
import { readModelSpec } from './model-spec.ts';
import type { ModelSpec } from './spec.ts';

/** A model file, understood: what it is, how it is cut, and the weights that stay with the coordinator. */
export interface OpenModel {
  /** 32 hex digits; see modelFingerprint. */
  readonly id: string;
  readonly gguf: GgufFile;
  /** Something about the file that a user should know; null when all is well. */
  readonly warning: string | null;
  readonly spec: ModelSpec;
  readonly table: TileTable;
  readonly embedding: EmbeddingReader;
  readonly vectors: FrameVectors;
}

/**
 * @param contents tells what is in the files; by default they are read through
 * @throws StarlingError model_… for a file that is missing, damaged or not supported; cancelled
 */
export async function openModel(
  path: string,
  contents: (gguf: GgufFile) => Promise<Contents> = readContents,
): Promise<OpenModel> {
  const gguf = await openGguf(path);
  try {
    const spec = await readModelSpec(gguf);
    const notice = noticeOfKeys(gguf.path, gguf.metadata, {
      architecture: spec.architecture,
      keys: ARCHITECTURES[spec.architecture]!.keys,
    });
    const vectors = await readFrameVectors(gguf, spec);
    const table = tileTable(spec);
    // Last, as it is dear: all else that may be wrong with the file is known by then.
    const { sha256, warning } = await contents(gguf);
    return {
      id: modelFingerprint(sha256),
      gguf,
      warning: [notice, warning].filter((each) => each !== null).join('; ') || null,
      spec,
      table,
      embedding: new EmbeddingReader(gguf, spec.embedding),
      vectors,
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}
