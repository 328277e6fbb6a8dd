import { StarlingError } from '../../../daemon/errors.ts';
import type { TensorInfo } from '../tensor-info.ts';
import type { Header } from './parser.ts';
import { shown } from './shown.ts';

/**
 * Where the tensors of one file lie.
 * @param file index of the file in a split model; @param size its bytes
 * @returns the tensors in the order of the header
 * @throws StarlingError model_truncated (the file ends before a tensor does), model_invalid (unaligned, overlapping)
 */
export function placeTensors(header: Header, path: string, file: number, size: number): TensorInfo[] {
  const placed = header.tensors.map((tensor): TensorInfo => {
    if (tensor.offset % header.alignment !== 0) {
      throw new StarlingError(
        'model_invalid',
        `${path}: tensor ${shown(tensor.name)} is at offset ${tensor.offset}, no multiple of the alignment ${header.alignment}; the file is damaged`,
      );
    }
    const offset = header.dataStart + tensor.offset;
    if (offset + tensor.byteLength > size) {
      throw new StarlingError(
        'model_truncated',
        `${path}: tensor ${shown(tensor.name)} would end at byte ${offset + tensor.byteLength}, but the file has ${size}; the download is probably incomplete, so download it again`,
      );
    }
    const { name, type, dims, byteLength } = tensor;
    return { name, type: type.name, dims, file, offset, byteLength };
  });

  const byOffset = placed.toSorted((a, b) => a.offset - b.offset);
  byOffset.forEach((tensor, i) => {
    const before = byOffset[i - 1];
    if (before !== undefined && before.offset + before.byteLength > tensor.offset) {
      throw new StarlingError(
        'model_invalid',
        `${path}: tensors ${shown(before.name)} and ${shown(tensor.name)} overlap at byte ${tensor.offset}; the file is damaged`,
      );
    }
  });
  return placed;
}
