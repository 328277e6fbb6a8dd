/** One line of a chart: its points from left to right. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dashed?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const SIZE = { width: 760, height: 420 };
const PLOT = { left: 72, right: 520, top: 44, bottom: 366 };
/** Told apart by people who see colours otherwise, too (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

/** A chart with two logarithmic axes, as SVG. @throws RangeError where a coordinate is not above zero, or there is none */
export function lineChart({ title, x, y, series }: LineChart): string {
  const points = series.flatMap((each) => each.points);
  const xs = axis(points.map(([value]) => value));
  const ys = axis(points.map(([, value]) => value));
  const across = (value: number): number => place(value, xs, PLOT.left, PLOT.right);
  const up = (value: number): number => place(value, ys, PLOT.bottom, PLOT.top);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="#fff"/>`,
    text(PLOT.left, 24, title, ' font-size="15"'),
  ];
  const ticksOfX = [...new Set(points.map(([value]) => value))].sort((a, b) => a - b);
  for (const value of ticksOfX) lines.push(...tick(across(value), PLOT.bottom, 'x', value));
  for (const value of decades(ys)) lines.push(...tick(PLOT.left, up(value), 'y', value));
  lines.push(text((PLOT.left + PLOT.right) / 2, SIZE.height - 14, x, ' text-anchor="middle"'));
  const middle = (PLOT.top + PLOT.bottom) / 2;
  lines.push(text(18, middle, y, ` text-anchor="middle" transform="rotate(-90 18 ${middle})"`));
  for (const [i, { name, points, dashed }] of series.entries()) {
    const stroke = `stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ''}`;
    const path = points.map(([px, py]) => `${short(across(px))},${short(up(py))}`).join(' ');
    const key = PLOT.top + 10 + 22 * i;
    lines.push(`<polyline points="${path}" fill="none" ${stroke}/>`);
    lines.push(`<line x1="${PLOT.right + 14}" y1="${key}" x2="${PLOT.right + 44}" y2="${key}" ${stroke}/>`);
    lines.push(text(PLOT.right + 50, key + 4, name));
  }
  return `${lines.join('\n')}\n</svg>\n`;
}

interface Axis {
  readonly least: number;
  readonly most: number;
}

function axis(values: readonly number[]): Axis {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (!(least > 0) || !Number.isFinite(most)) throw new RangeError('logarithmic axes need values above zero');
  return least === most ? { least: least / 2, most: most * 2 } : { least, most };
}

const place = (value: number, { least, most }: Axis, from: number, to: number): number =>
  from + ((to - from) * Math.log(value / least)) / Math.log(most / least);

/** 1, 2 and 5 times powers of ten. */
function decades({ least, most }: Axis): number[] {
  const found: number[] = [];
  for (let power = Math.floor(Math.log10(least)); 10 ** power <= most; power++) {
    for (const step of [1, 2, 5]) {
      const value = step * 10 ** power;
      if (value >= least && value <= most) found.push(value);
    }
  }
  return found;
}

function tick(x: number, y: number, of: 'x' | 'y', value: number): string[] {
  const label = String(Number(value.toPrecision(3)));
  const [x2, y2] = of === 'x' ? [x, PLOT.top] : [PLOT.right, y];
  const grid = `<line x1="${short(x)}" y1="${short(y)}" x2="${short(x2)}" y2="${short(y2)}" stroke="#ddd"/>`;
  const at =
    of === 'x' ? text(x, y + 18, label, ' text-anchor="middle"') : text(x - 6, y + 4, label, ' text-anchor="end"');
  return [grid, at];
}

const text = (x: number, y: number, words: string, attributes = ''): string =>
  `<text x="${short(x)}" y="${short(y)}"${attributes}>${escaped(words)}</text>`;

const escaped = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

const short = (value: number): string => String(Math.round(value * 10) / 10);
