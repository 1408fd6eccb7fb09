// Answers rows with model.onnx in Node: node answer.mjs rows.json, or import { answer }.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ort from 'onnxruntime-node';
import { makeFeeds, readAnswers, write } from './rows.mjs';

const find = (name) => fileURLToPath(new URL(name, import.meta.url));
export const columns = JSON.parse(readFileSync(find('columns.json'), 'utf8'));
export const session = await ort.InferenceSession.create(find('model.onnx'), {
  intraOpNumThreads: columns.threads,
  extra: { session: { intra_op: { allow_spinning: '0' } } },
});

export async function answer(rows) {
  return readAnswers(columns, await session.run(makeFeeds(ort, columns, rows)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = JSON.parse(readFileSync(process.argv[2], 'utf8'));
  console.log(write(await answer(rows)));
}
