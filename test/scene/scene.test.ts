// The simulated road: the same again by seed, truth that is what the picture shows, everything that can be drawn is drawn.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { sceneSchema, type SceneOptions, VEHICLE_TYPES, WEATHERS, LIGHTS } from '../../src/config/index.js';
import { conditionsAt, makeBody, Scene, type SceneFrame } from '../../src/scene/index.js';
import { Random } from '../../src/system/index.js';
import { packageRoot } from '../../src/system/index.js';

const options = (more: Record<string, unknown> = {}): SceneOptions =>
  sceneSchema.parse({ width: 320, height: 192, fps: 10, seed: 3, vehiclesPerMinute: 20, ...more });

const hashOf = ({ image, objects }: SceneFrame): string =>
  createHash('sha256').update(image.data).update(JSON.stringify(objects)).digest('hex');

const hashes = (more: Record<string, unknown>, frames: number): string[] => {
  const scene = new Scene(options(more));
  scene.skip(100);
  return Array.from({ length: frames }, () => hashOf(scene.next()));
};

t.test('equal options make equal frames, in another process too', async (t) => {
  const own = hashes({ weather: 'rain', light: 'dusk' }, 5);
  const code = `
    import { createHash } from 'node:crypto';
    const [config, scenes] = JSON.parse(process.argv[1]);
    const { sceneSchema } = await import(config);
    const { Scene } = await import(scenes);
    const scene = new Scene(sceneSchema.parse({ width: 320, height: 192, fps: 10, seed: 3, vehiclesPerMinute: 20, weather: 'rain', light: 'dusk' }));
    scene.skip(100);
    const frames = Array.from({ length: 5 }, () => {
      const { image, objects } = scene.next();
      return createHash('sha256').update(image.data).update(JSON.stringify(objects)).digest('hex');
    });
    console.log(JSON.stringify(frames));`;
  const doors = ['config', 'scene'].map(
    (room) => pathToFileURL(join(packageRoot, 'dist', 'src', room, 'index.js')).href,
  );
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code, JSON.stringify(doors)], {
    encoding: 'utf8',
  });
  t.same(JSON.parse(printed), own);
  t.equal(new Set(own).size, own.length, 'and no two frames are alike');
  t.notSame(hashes({ weather: 'rain', light: 'dusk', seed: 4 }, 5), own, 'another seed, other frames');
});

t.test('boxes lie in the frame around what is seen; tracks go on', async (t) => {
  const scene = new Scene(options({ width: 640, height: 384 }));
  scene.skip(200);
  const centres = new Map<number, { x: number; y: number; type: string }>();
  let [followed, hidden, seen] = [0, 0, 0];
  for (let frame = 0; frame < 40; frame += 1) {
    const { objects } = scene.next();
    t.equal(new Set(objects.map(({ trackId }) => trackId)).size, objects.length, 'one box a vehicle');
    for (const { box, trackId, type, visible, inside, pixels } of objects) {
      seen += 1;
      const [w, h] = [box.x2 - box.x1, box.y2 - box.y1];
      const isWithin = box.x1 >= 0 && box.y1 >= 0 && box.x2 <= 640 && box.y2 <= 384 && w > 0 && h > 0;
      if (
        !isWithin ||
        pixels > w * h + 1 ||
        pixels <= 0 ||
        visible <= 0 ||
        visible > 1 ||
        inside <= 0 ||
        inside > 1
      ) {
        t.fail(`${type} ${JSON.stringify({ box, visible, inside, pixels })}`);
      }
      if (visible < 0.9) hidden += 1;
      const before = centres.get(trackId);
      const centre = { x: (box.x1 + box.x2) / 2, y: (box.y1 + box.y2) / 2, type };
      if (before !== undefined) {
        followed += 1;
        t.equal(before.type, type, 'a vehicle stays what it is');
      }
      centres.set(trackId, centre);
    }
  }
  t.ok(seen > 60, `${seen} vehicles seen`);
  t.ok(followed > seen / 2, `${followed} followed`);
  t.ok(hidden > 0, `${hidden} of them partly hidden`);
});

t.test('a vehicle changes the pixels of its box, and little elsewhere', async (t) => {
  const scene = new Scene(options({ width: 640, height: 384, weather: 'clear', light: 'day' }));
  scene.skip(200);
  let compared = 0;
  for (let pair = 0; pair < 12; pair += 1) {
    const first = scene.next();
    const pixels = first.image.data.slice();
    const before = first.objects;
    scene.skip(30);
    const second = scene.next();
    const covered = (x: number, y: number): boolean =>
      [...before, ...second.objects].some(
        ({ box }) => x >= box.x1 - 40 && x <= box.x2 + 40 && y >= box.y1 - 30 && y <= box.y2 + 30,
      );
    const change = { inside: [0, 0], outside: [0, 0] };
    for (let y = 0; y < 384; y += 4) {
      for (let x = 0; x < 640; x += 4) {
        const at = 3 * (y * 640 + x);
        const difference = Math.abs((pixels[at] ?? 0) - (second.image.data[at] ?? 0));
        const place = covered(x, y) ? change.inside : change.outside;
        place[0] = (place[0] ?? 0) + difference;
        place[1] = (place[1] ?? 0) + 1;
      }
    }
    const mean = ([sum = 0, count = 0]: number[]): number => sum / Math.max(1, count);
    if ((change.inside[1] ?? 0) < 50 || (change.outside[1] ?? 0) < 50) continue;
    compared += 1;
    t.ok(
      mean(change.inside) > mean(change.outside),
      `${mean(change.inside)} against ${mean(change.outside)}`,
    );
  }
  t.ok(compared > 0);
});

t.test('every type has a body of its own, and drives', async (t) => {
  const shapes = VEHICLE_TYPES.map((type) => JSON.stringify(makeBody(type, new Random(1, 1))));
  t.equal(new Set(shapes).size, VEHICLE_TYPES.length);
  for (const type of VEHICLE_TYPES) {
    const scene = new Scene(options({ trafficMix: { [type]: 1 }, seed: 11 }));
    scene.skip(300);
    const types = new Set<string>();
    for (let frame = 0; frame < 60; frame += 1) {
      scene.skip(5);
      for (const object of scene.next().objects) types.add(object.type);
    }
    t.same([...types], [type], `only ${type} on its road`);
  }
});

t.test('weather and light change the picture', async (t) => {
  const looks = new Set<string>();
  for (const weather of WEATHERS) for (const light of LIGHTS) looks.add(hashes({ weather, light }, 1).join());
  t.equal(looks.size, WEATHERS.length * LIGHTS.length);
});

t.test('drift: mix and light change when they are told to', async (t) => {
  const given = options({
    trafficMix: { sedan: 1 },
    light: 'day',
    drift: [{ atSeconds: 60, overSeconds: 0, trafficMix: { bus: 1 }, light: 'night' }],
  });
  t.equal(conditionsAt(given, 59).light, 'day');
  t.equal(conditionsAt(given, 61).light, 'night');
  const scene = new Scene(given);
  const typesAfter = (frames: number): Set<string> => {
    scene.skip(frames);
    return new Set(scene.next().objects.map(({ type }) => type));
  };
  const early = new Set<string>();
  for (let look = 0; look < 20; look += 1) for (const type of typesAfter(20)) early.add(type);
  t.same([...early], ['sedan']);
  scene.skip(3_000);
  const late = new Set<string>();
  for (let look = 0; look < 20; look += 1) for (const type of typesAfter(20)) late.add(type);
  t.same([...late], ['bus']);
});

t.test('options that make no scene are refused', async (t) => {
  const refused: readonly [Record<string, unknown>, string][] = [
    [{ width: 100 }, 'width'],
    [{ width: 321 }, 'width'],
    [{ seed: -1 }, 'seed'],
    [{ weather: 'snow' }, 'weather'],
    [{ trafficMix: {} }, 'trafficMix'],
    [{ trafficMix: { tank: 1 } }, 'trafficMix'],
    [{ fps: 0 }, 'fps'],
  ];
  for (const [more, path] of refused) {
    const result = sceneSchema.safeParse({ width: 320, height: 192, ...more });
    t.equal(result.success, false);
    t.equal(result.error?.issues[0]?.path[0], path);
  }
});
