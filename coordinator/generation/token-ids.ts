import { StarlingError } from '../../daemon/errors.ts';

/**
 * The token ids that came with a request, which must be the model's.
 * @param param the field that they came from
 * @throws StarlingError invalid_request
 */
export function checkTokenIds(tokens: readonly number[], vocabSize: number, param: string): readonly number[] {
  const strange = tokens.find((token) => token < 0 || token >= vocabSize);
  if (strange === undefined) return tokens;
  throw new StarlingError(
    'invalid_request',
    `'${param}' has the token id ${strange}, which is outside this model's vocabulary: 0 to ${vocabSize - 1}`,
    { param },
  );
}
