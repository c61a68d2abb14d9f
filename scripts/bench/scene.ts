// How fast the simulated road is drawn: `npm run bench:scene -- --json`.
import { LIGHTS, sceneSchema, WEATHERS } from '../../src/config/index.js';
import { Scene } from '../../src/scene/index.js';
import { countOption, type Figure, medianFigure, printReport, readOptions, runBench } from './lib.js';

const values = readOptions({
  json: { type: 'boolean', default: false },
  frames: { type: 'string', default: '60' },
  rounds: { type: 'string', default: '3' },
});

/** Vehicles are on the road by then. */
const BEFORE = 300;

await runBench(async () => {
  const frames = countOption(values.frames, '--frames');
  const rounds = countOption(values.rounds, '--rounds');
  const rates = new Map<string, number[]>();
  const encoded: number[] = [];
  const scenes = WEATHERS.flatMap((weather) =>
    LIGHTS.map((light) => {
      const scene = new Scene(sceneSchema.parse({ weather, light }));
      scene.skip(BEFORE);
      scene.next();
      return { name: `${light}-${weather}`, scene };
    }),
  );
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, scene } of scenes) {
      const started = performance.now();
      for (let frame = 0; frame < frames; frame += 1) scene.next();
      rates.set(name, [...(rates.get(name) ?? []), (1000 * frames) / (performance.now() - started)]);
      const frame = scene.next();
      const before = performance.now();
      scene.encode(frame);
      encoded.push(performance.now() - before);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const { width, height } = sceneSchema.parse({});
  const figures: Figure[] = [
    medianFigure('scene.framesPerSecond', 'frames/s', [...rates.values()].flat()),
    ...[...rates].map(([name, each]) => medianFigure(`scene.framesPerSecond.${name}`, 'frames/s', each)),
    medianFigure('scene.jpegMs', 'ms', encoded),
  ];
  printReport(
    { bench: 'scene', model: null, data: { width, height, frames, rounds, threads: 1 }, figures },
    values.json,
  );
});
