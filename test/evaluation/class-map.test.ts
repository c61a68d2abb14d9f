// Class names: spelling, synonyms, overrides, and what is said about the rest.
import t from 'tap';
import { mapClasses, parseClassOverrides } from '../../src/evaluation/index.js';
import { foldName } from '../../src/registry/index.js';

t.test('spelling: case, spaces, underscores and hyphens do not matter', async (t) => {
  t.equal(foldName('Traffic_Light '), 'trafficlight');
  const map = mapClasses(['Car', 'TRAFFIC LIGHT', 'potted-plant'], ['traffic_light', 'car', 'pottedplant']);
  t.same(map.fromModel, [1, 0, 2]);
  t.same(map.mapped, [true, true, true]);
  t.same(map.notes, []);
});

t.test('the usual synonyms, in either direction', async (t) => {
  for (const [a, b] of [
    ['motorbike', 'motorcycle'],
    ['aeroplane', 'airplane'],
    ['Lorry', 'truck'],
    ['sofa', 'couch'],
    ['tvmonitor', 'tv'],
    ['Pedestrian', 'person'],
    ['cars', 'car'],
  ] as const) {
    t.same(mapClasses([a], [b]).fromModel, [0], `${a} = ${b}`);
    t.same(mapClasses([b], [a]).fromModel, [0], `${b} = ${a}`);
  }
});

t.test('spelled alike goes before meaning the same', async (t) => {
  const map = mapClasses(['people', 'pedestrian'], ['pedestrian', 'people']);
  t.same(map.fromModel, [1, 0]);
  t.same(map.classes, ['pedestrian', 'people'], 'synonyms within a data set stay two classes');
});

t.test(
  'classes the model has no word for are named, those the data has no word for are dropped',
  async (t) => {
    const map = mapClasses(['car', 'zebra'], ['ambulance', 'car', 'tractor']);
    t.same(map.fromModel, [1, -1]);
    t.same(map.mapped, [false, true, false]);
    t.match(map.notes, [/no class for ambulance, tractor: left out of the mean/]);
  },
);

t.test('classes of the data set that are spelled alike are one', async (t) => {
  const map = mapClasses(['car'], ['Car', 'bus', 'car']);
  t.same(map.classes, ['Car', 'bus']);
  t.same(map.fromData, [0, 1, 0]);
  t.match(map.notes, [/Car and car are spelled alike/, /no class for bus/]);
});

t.test('overrides', async (t) => {
  const overrides = parseClassOverrides(' van = car,Pick Up=truck, person= ,');
  t.same(overrides, [
    { from: 'van', to: 'car' },
    { from: 'Pick Up', to: 'truck' },
    { from: 'person', to: '' },
  ]);
  const map = mapClasses(['car', 'van', 'pick_up', 'person'], ['car', 'truck', 'person'], overrides);
  t.same(map.fromModel, [0, 0, 1, -1], 'several classes of the model may be one of the data set');
  t.same(map.mapped, [true, true, false]);
});

t.test('what is refused', async (t) => {
  t.throws(() => parseClassOverrides('car'), { code: 'BAD_USAGE', message: /model-class=data-class/ });
  t.throws(() => parseClassOverrides('=car'), { code: 'BAD_USAGE' });
  t.throws(() => mapClasses(['car'], ['car'], [{ from: 'van', to: 'car' }]), {
    code: 'BAD_USAGE',
    message: /van, which is not a class of the model/,
  });
  t.throws(() => mapClasses(['car'], ['car'], [{ from: 'car', to: 'van' }]), {
    code: 'BAD_USAGE',
    message: /van, which is not a class of the data set/,
  });
  t.throws(() => mapClasses(['dog'], ['car', 'bus']), {
    code: 'BAD_USAGE',
    message: /no class of the model is a class of the data set \(car, bus\)/,
  });
});
