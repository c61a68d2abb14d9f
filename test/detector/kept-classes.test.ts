import t from 'tap';
import { keptClasses } from '../../src/detector/index.js';

t.test('without a wish: the vehicles of the model, however it spells them', async (t) => {
  t.same(keptClasses(undefined, ['person', 'car', 'Motor-Bike', 'dog', 'Bus', 'trucks']).classes, [
    'car',
    'Motor-Bike',
    'Bus',
    'trucks',
  ]);
});

t.test('a model without vehicles keeps all of its classes', async (t) => {
  t.same(keptClasses(undefined, ['cat', 'dog']), { classes: ['cat', 'dog'], unknown: [] });
});

t.test('with a wish: those, and what is unknown is told', async (t) => {
  t.same(keptClasses(['person', 'CAR', 'tank'], ['person', 'car', 'bus']), {
    classes: ['person', 'car'],
    unknown: ['tank'],
  });
});
