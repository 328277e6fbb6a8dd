/** Texts of a format that every validator takes, as regular expressions; not all that its standard allows. */
const DAY = '(((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01]))|((0[469]|11)-(0[1-9]|[12]\\d|30))|(02-(0[1-9]|1\\d|2[0-8])))';
const DATE = `\\d{4}-${DAY}`;
const TIME = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)';
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?';
const HOST = `${LABEL}(\\.${LABEL}){0,6}`;
const OCTET = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const GROUP = '[0-9a-f]{1,4}';
/** Eight groups, or fewer around a double colon. */
const IPV6 = [
  `(${GROUP}:){7}${GROUP}`,
  `::(${GROUP}:){0,5}${GROUP}`,
  ...[1, 2, 3, 4, 5, 6].map((before) => `(${GROUP}:){${before}}(:${GROUP}){1,${7 - before}}`),
].join('|');

/**
 * Formats of numbers, with their bounds; null where every number that is written is one. They say nothing of strings.
 */
export const NUMBER_FORMATS: ReadonlyMap<string, readonly [lowest: number, highest: number] | null> = new Map([
  ['int32', [-(2 ** 31), 2 ** 31 - 1]],
  ['int64', null],
  ['float', null],
  ['double', null],
]);

export const FORMATS: ReadonlyMap<string, string> = new Map([
  ['date', DATE],
  ['time', TIME],
  ['date-time', `${DATE}T${TIME}`],
  ['duration', 'P(\\d{1,4}W|(\\d{1,4}Y)?(\\d{1,4}M)?\\d{1,4}D|(\\d{1,4}D)?T(\\d{1,4}H)?(\\d{1,4}M)?\\d{1,4}S)'],
  ['email', `[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,30}){0,3}@${LABEL}(\\.${LABEL}){1,4}`],
  ['hostname', HOST],
  ['ipv4', `${OCTET}(\\.${OCTET}){3}`],
  ['ipv6', IPV6],
  ['password', '[^"]*'],
  ['byte', '([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'],
  ['json-pointer', '(/[A-Za-z0-9_-]{0,40}){0,20}'],
  ['uuid', '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'],
  ['uri', `https?://${HOST}(:[1-9]\\d{0,3})?(/[A-Za-z0-9._~-]{1,40}){0,8}/?(\\?[A-Za-z0-9._~=&-]{1,80})?`],
]);
