// Rows as objects of column name to cell, into what model.onnx takes, and its answers back.
// A missing cell is null. Works with onnxruntime-node and onnxruntime-web, given as `ort`.

const MS_PER_DAY = 86400000;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const FLAG = /^(true|false)$/i;
const HOUR = '(?:[01]\\d|2[0-3])';
const TIME = `(${HOUR}:[0-5]\\d)(?::([0-5]\\d(?:\\.\\d{1,9})?))?(?:Z|([+-])(${HOUR})(?::?([0-5]\\d))?)?`;
const DATE = new RegExp(`^(?!0000)(\\d{4}-\\d\\d-\\d\\d)(?:[ T]${TIME})?$`);

function read(row, name) {
  if (!Object.hasOwn(row, name)) throw new Error(`no column ${JSON.stringify(name)}`);
  return row[name];
}

function toText(cell, name) {
  if (cell === null || cell === undefined) return '';
  if (typeof cell === 'string') return cell;
  throw new Error(`column ${JSON.stringify(name)} takes a text`);
}

function toNumber(cell, name, kind) {
  if (cell === null) return NaN;
  if (typeof cell === 'number' || typeof cell === 'boolean') return Number(cell);
  const number = typeof cell === 'string' ? readText(cell.trim(), kind) : undefined;
  if (number !== undefined) return number;
  throw new Error(`column ${JSON.stringify(name)} takes a ${kind ?? 'number'}`);
}

// What a text says, without the blanks around it; undefined where it says nothing of that kind.
function readText(text, kind) {
  if (text === '') return NaN;
  if (kind === 'date') return toDays(text);
  if (kind === 'boolean' && FLAG.test(text)) return Number(text.toLowerCase() === 'true');
  return NUMBER.test(text) ? Number(text) : undefined;
}

// Days since 1970 of a date in ISO form, UTC where it names no zone; undefined where it is another
// form or no such day.
function toDays(text) {
  const [, day, time = '00:00', seconds = '0', sign = '+', hours = 0, minutes = 0] =
    DATE.exec(text) ?? [];
  if (day === undefined) return undefined;
  const midnight = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(day)) return undefined;
  const ahead = Number(`${sign}1`) * (60 * Number(hours) + Number(minutes));
  const ms = Date.parse(`${day}T${time}Z`) + 1000 * Number(seconds.slice(0, '00.000000'.length));
  return (ms - 60000 * ahead) / MS_PER_DAY;
}

export function makeFeeds(ort, columns, rows) {
  if (!Array.isArray(rows) || !rows.every((row) => Object(row) === row)) {
    throw new Error('rows are a list of objects, column name to cell');
  }
  const { numeric, categorical, kinds, codes, unknown } = columns;
  const feeds = {};
  if (numeric.length) {
    const cells = rows.flatMap((row) =>
      numeric.map((name) => toNumber(read(row, name), name, kinds[name])));
    const isDouble = columns.precision === 'float64';
    const numbers = isDouble ? Float64Array.from(cells) : Float32Array.from(cells);
    feeds.numeric = new ort.Tensor(columns.precision, numbers, [rows.length, numeric.length]);
  }
  if (categorical.length) {
    const texts = rows.flatMap((row) =>
      categorical.map((name) => toText(read(row, name), name)));
    const shape = [rows.length, categorical.length];
    const code = (text) => BigInt(Object.hasOwn(codes, text) ? codes[text] : unknown);
    feeds.categorical = codes === null
      ? new ort.Tensor('string', texts, shape)
      : new ort.Tensor('int64', BigInt64Array.from(texts, code), shape);
  }
  return feeds;
}

export function readAnswers(columns, outputs) {
  if (outputs.prediction) return Array.from(outputs.prediction.data, (prediction) => ({ prediction }));
  const { classes, class_names: names, labels } = columns;
  const { data } = outputs.probabilities;
  return Array.from(outputs.label.data, (value, i) => {
    const isExact = Number.isSafeInteger(Number(value));  // beyond, a BigInt stays one
    let label = typeof value === 'bigint' && isExact ? Number(value) : value;
    if (labels !== null) label = labels[label];
    if (typeof classes[0] === 'boolean') label = Boolean(label);
    const shares = names.map((name, k) => [name, data[i * names.length + k]]);
    return { label, probabilities: Object.fromEntries(shares) };
  });
}

// JSON that a person can read; a whole number beyond what JSON's readers hold exactly is text.
export const write = (value) =>
  JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? String(one) : one), 1);
