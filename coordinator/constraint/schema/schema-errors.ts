import { StarlingError } from '../../../daemon/errors.ts';

/** A keyword, or a use of it, that is not supported. */
export function unsupported(pointer: string, keyword: string, which: string): StarlingError {
  const joint = which.startsWith(';') ? '' : ' ';
  return new StarlingError(
    'unsupported_parameter',
    `the keyword ${JSON.stringify(keyword)} at ${pointer} of the schema is not supported${joint}${which}`,
    { param: `${pointer}/${keyword}` },
  );
}

/** What is no schema. */
export function invalid(pointer: string, problem: string): StarlingError {
  return new StarlingError('invalid_request', `${pointer} of the schema ${problem}`, { param: pointer });
}
