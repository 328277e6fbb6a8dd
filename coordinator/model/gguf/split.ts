import { basename, dirname, join } from 'node:path';
import { StarlingError } from '../../../daemon/errors.ts';
import { LIMITS } from './limits.ts';
import { Metadata, type MetadataValue } from './metadata.ts';

/** A file's place in a split model, by its metadata. */
export interface SplitPlace {
  /** From 0. */
  readonly part: number;
  readonly parts: number;
  /** Tensors of all parts together, where the file says so. */
  readonly tensors: number | null;
}

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * The place that a file's metadata gives it; null when the file is a whole model.
 * @throws StarlingError model_invalid
 */
export function splitPlace(path: string, values: ReadonlyMap<string, MetadataValue>): SplitPlace | null {
  const metadata = new Metadata(path, values);
  const parts = metadata.number('split.count', 1);
  if (parts === 0 || parts === 1) return null;
  const part = metadata.number('split.no');
  if (!Number.isInteger(parts) || parts < 0 || parts > LIMITS.parts || !Number.isInteger(part) || part < 0) {
    throw new StarlingError(
      'model_invalid',
      `${path}: the metadata says part ${part} of ${parts} (split.no, split.count); at most ${LIMITS.parts} parts are possible, so the file is damaged`,
    );
  }
  return { part, parts, tensors: metadata.number('split.tensors.count', null) };
}

/**
 * The paths of all parts of a split model, from the path and place of one of them.
 * @throws StarlingError model_invalid when the file's name does not agree with its metadata
 */
export function partPaths(path: string, place: SplitPlace): string[] {
  const name = PART_NAME.exec(basename(path));
  const [, prefix, part, parts] = name ?? [];
  if (prefix === undefined || Number(part) !== place.part + 1 || Number(parts) !== place.parts) {
    throw new StarlingError(
      'model_invalid',
      `${path} is part ${place.part + 1} of ${place.parts} of a split model, so its name must end in ${partSuffix(place.part, place.parts)}; give the parts their original names`,
    );
  }
  return Array.from({ length: place.parts }, (_, i) => join(dirname(path), `${prefix}${partSuffix(i, place.parts)}`));
}

/** The end of a part's file name. @param part from 0 */
export function partSuffix(part: number, parts: number): string {
  return `-${String(part + 1).padStart(5, '0')}-of-${String(parts).padStart(5, '0')}.gguf`;
}

/** @throws StarlingError model_invalid unless the file at `path` is part `part` of the same split as `first` */
export function checkPart(path: string, place: SplitPlace | null, part: number, first: SplitPlace): void {
  if (place?.part === part && place.parts === first.parts && place.tensors === first.tensors) return;
  throw new StarlingError(
    'model_invalid',
    `${path} does not belong with the other parts (its split.no, split.count or split.tensors.count disagree); download all ${first.parts} parts from one place`,
  );
}
