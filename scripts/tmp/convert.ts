import { readFileSync } from 'node:fs';
import { buildNetwork, detectionLoss, detectorOf } from '../../src/training/index.js';
import { buildTraining } from '../../src/training/step/graph.js';
import { startState } from '../../src/training/step/state.js';
import { saveRun } from '../../src/training/loop/checkpoint.js';
import * as r from '../shipped/recipe.js';
const [file = '', out = ''] = process.argv.slice(2);
const bytes = readFileSync(file); const body = bytes.subarray('bitlane training 1\n'.length + 32);
const end = 4 + body.readUInt32LE(0); const header = JSON.parse(body.toString('utf8', 4, end)); let at = end;
const arrays = new Map<string, Float32Array>();
for (const [name, length] of header.arrays as [string, number][]) { arrays.set(name, new Float32Array(new Uint8Array(body.subarray(at, at + 4 * length)).buffer)); at += 4 * length; }
const detector = detectorOf(r.NETWORK, r.CLASSES);
const graph = buildTraining(buildNetwork(r.NETWORK, r.CLASSES, r.SEED), { batch: 16, normalization: 'batch', loss: detectionLoss({ detector, objects: r.OBJECTS, weights: r.LOSS_PARTS }) });
const state = startState(graph, r.OPTIMIZER); state.step = header.step;
for (const s of state.slots) { s.value.set(arrays.get('value ' + s.name)!); s.first.set(arrays.get('first ' + s.name)!); s.second.set(arrays.get('second ' + s.name)!); s.average.set(arrays.get('average ' + s.name)!); }
for (const s of state.statistics) { s.value.set(arrays.get('statistic ' + s.name)!); s.average.set(arrays.get('statistic average ' + s.name)!); }
saveRun(out, 'bitlane-scene', { state, history: header.history, best: undefined } as any);
console.log('step', header.step, header.history.validations);
