// The page: a field for each column, the answer, how long it takes, and the golden rows replayed.

import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';
import { makeFeeds, readAnswers, write } from './rows.mjs';

const CALLS = 50;
const BLOCKS = 20; // the clock of a browser is coarse: calls are timed in blocks
const MS_PER_DAY = 86400000;
const MOST_DAYS = 1e8; // of JavaScript's dates
const $ = (id) => document.getElementById(id);
const load = async (name) => (await fetch(name)).json();

ort.env.wasm.numThreads = 1;
const columns = await load('columns.json');
const [rows, expected] = [await load('golden/rows.json'), await load('golden/answers.json')];
const session = await ort.InferenceSession.create('model.onnx');
const names = [...columns.numeric, ...columns.categorical];

async function answer(asked) {
  return readAnswers(columns, await session.run(makeFeeds(ort, columns, asked)));
}

function readForm() {
  const { elements } = $('row');
  return Object.fromEntries(names.map((name, i) => [name, elements[i].value || null]));
}

async function measure(row) {
  const feeds = makeFeeds(ort, columns, [row]);
  const means = [];
  for (let block = 0; block < BLOCKS; block += 1) {
    const start = performance.now();
    for (let call = 0; call < CALLS; call += 1) await session.run(feeds);
    means.push((1000 * (performance.now() - start)) / CALLS);
  }
  return means.sort((a, b) => a - b)[BLOCKS / 2];
}

async function show(event) {
  event?.preventDefault();
  try {
    const row = readForm();
    $('answer').textContent = write((await answer([row]))[0]);
    const microseconds = await measure(row);
    $('latency').textContent = `${microseconds.toFixed(1)} us an answer, median of ${BLOCKS} blocks of ${CALLS} calls`;
  } catch (error) {
    $('answer').textContent = `error: ${error.message}`;
  }
}

function compare(given) {
  let [difference, flips] = [0, 0];
  given.forEach((mine, i) => {
    const theirs = expected[i];
    const label = typeof mine.label === 'bigint' ? Number(mine.label) : mine.label;  // as read
    if (label !== theirs.label) flips += 1;
    const pairs = mine.probabilities
      ? Object.keys(theirs.probabilities).map((key) => [mine.probabilities[key], theirs.probabilities[key]])
      : [[mine.prediction, theirs.prediction]];
    for (const [a, b] of pairs) {
      const apart = mine.probabilities ? Math.abs(a - b) : Math.abs(a - b) / Math.max(1, Math.abs(b));
      difference = Math.max(difference, Number.isFinite(apart) ? apart : Infinity);
    }
  });
  return { rows: given.length, difference, flips };
}

// A cell of a golden row as a person types it: their dates are days since 1970.
function fill(cell, kind) {
  if (kind !== 'date' || Math.abs(cell) > MOST_DAYS) return String(cell);
  return new Date(cell * MS_PER_DAY).toISOString().replace('T00:00:00.000Z', '');
}

names.forEach((name, i) => {
  const label = document.createElement('label');
  const input = document.createElement('input');
  const cell = rows[0][name];
  label.textContent = name;
  input.value = cell === null ? '' : fill(cell, columns.kinds[name]);
  input.placeholder = columns.kinds[name] ?? (i < columns.numeric.length ? 'number' : 'text');
  label.append(input);
  $('row').insertBefore(label, $('row').lastElementChild);
});
document.title = columns.model;
$('title').textContent = `${columns.model}: ${columns.target}`;
$('row').addEventListener('submit', show);
export const answers = await answer(rows);
const replayed = compare(answers);
$('golden').textContent = `${replayed.rows} golden rows: largest difference ${replayed.difference.toExponential(1)}, ${replayed.flips} of another class`;
Object.assign($('golden').dataset, replayed);
await show();
document.body.dataset.ready = 'true';
