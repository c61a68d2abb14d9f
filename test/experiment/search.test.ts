// HAQ's agent: gradients against finite differences, the budget, and bits that end up where they are worth most.
import fc from 'fast-check';
import t from 'tap';
import { Ddpg, truncatedNormal } from '../../src/experiment/search/ddpg.js';
import { searchBits, withinBudget } from '../../src/experiment/search/haq.js';
import { Adam, Mlp } from '../../src/experiment/search/mlp.js';
import { numbers } from '../onnx/bits.js';

t.test("a network's gradients are those of finite differences", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom('linear', 'sigmoid'), (seed, output) => {
      const random = numbers(seed);
      const net = new Mlp([3, 5, 4, 2], output, random);
      net.parameters.values.forEach((_, i) => (net.parameters.values[i] = 2 * random() - 1));
      const input = Float64Array.from({ length: 3 }, () => 2 * random() - 1);
      const weights = [0.7, -1.3];
      const loss = (): number => {
        const result = net.forward(input).at(-1);
        return weights.reduce((sum, weight, i) => sum + weight * (result?.[i] ?? NaN), 0);
      };
      const toInput = net.backward(net.forward(input), Float64Array.from(weights));
      const check = (values: Float64Array, gradients: Float64Array): boolean =>
        values.every((value, i) => {
          const slope = (by: number): number => {
            values[i] = value + by;
            const up = loss();
            values[i] = value - by;
            const down = loss();
            values[i] = value;
            return (up - down) / (2 * by);
          };
          const [rough, fine] = [slope(1e-5), slope(1e-6)];
          // At a kink there is no one slope.
          if (Math.abs(rough - fine) > 1e-5) return true;
          return Math.abs(fine - (gradients[i] ?? NaN)) < 1e-5;
        });
      return check(net.parameters.values, net.parameters.gradients) && check(input, toInput);
    }),
    { numRuns: 50 },
  );
  t.end();
});

t.test('Adam finds the least of a bowl', (t) => {
  const net = new Mlp([1, 1], 'linear', numbers(1));
  const adam = new Adam(net, 0.05);
  const { values, gradients } = net.parameters;
  for (let i = 0; i < 2_000; i++) {
    [gradients[0], gradients[1]] = [2 * ((values[0] ?? 0) - 3), 20 * ((values[1] ?? 0) + 2)];
    adam.step();
  }
  t.ok(Math.abs((values[0] ?? 0) - 3) < 1e-3 && Math.abs((values[1] ?? 0) + 2) < 1e-3, String(values));
  t.end();
});

t.test('noise stays where actions are', (t) => {
  const random = numbers(5);
  const values = Array.from({ length: 2_000 }, () => truncatedNormal(0.2, 0.5, random));
  t.ok(values.every((value) => value >= 0 && value <= 1));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  t.ok(mean > 0.3 && mean < 0.5, `the mean of what is left is ${mean}`);
  t.end();
});

t.test('a policy learns which state wants which action', (t) => {
  const random = numbers(9);
  const agent = new Ddpg({ states: 1, random });
  const wanted = (x: number): number => (x < 0.5 ? 0.8 : 0.3);
  for (let episode = 0; episode < 1_000; episode++) {
    const state = Float64Array.of(random());
    const action = episode < 200 ? random() : agent.act(state, 0.3);
    const reward = 1 - 4 * (action - wanted(state[0] ?? 0)) ** 2;
    agent.learn([{ state, action, reward, next: undefined }]);
  }
  const [low, high] = [agent.act(Float64Array.of(0.1)), agent.act(Float64Array.of(0.9))];
  t.ok(low > 0.65 && high < 0.45, `${low}, ${high}`);
  t.end();
});

t.test('the budget holds, and no layer loses more than it must', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 0, max: 30 }),
      (chosen, most) => {
        const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);
        const made = withinBudget(chosen, (each) => sum(each) <= most);
        return (
          sum(made) === Math.min(sum(chosen), most) && made.every((index, i) => index <= (chosen[i] ?? 0))
        );
      },
    ),
  );
  t.end();
});

t.test('bits go to the layers that are worth them', async (t) => {
  const layers = Array.from({ length: 8 }, (_, i) => ({
    name: `layer ${i}`,
    isDepthwise: i % 2 === 1,
    inputChannels: 16,
    outputChannels: 16,
    kernel: i % 2 === 1 ? 3 : 1,
    stride: 1,
    size: 32,
    weights: 256,
  }));
  const choices = [2, 4, 8] as const;
  // Depthwise layers need bits, the others do not.
  const accuracy = (bits: readonly number[]): number =>
    bits.reduce((sum, width, i) => sum - (i % 2 === 1 ? 1 : 0.02) * 4 ** -(width / 2), 1);
  const cost = (bits: readonly number[]): number => bits.reduce((sum, width) => sum + width, 0) / 8 / 5;
  let seen = 0;
  const options = {
    layers,
    choices,
    cost,
    episodes: 120,
    evaluate: (bits: readonly number[]) => Promise.resolve(accuracy(bits)),
  };
  const found = await searchBits({ ...options, random: numbers(3), onEpisode: (done) => (seen = done) });
  t.equal(seen, 120);
  t.ok(cost(found.bits) <= 1);
  const best = accuracy([2, 8, 2, 8, 2, 8, 2, 8]);
  t.ok(found.accuracy > best - 0.06, `${found.accuracy} of ${best}: ${found.bits.join(' ')}`);
  const first = found.history.slice(0, 15);
  const last = found.history.slice(-15);
  const mean = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0) / of.length;
  t.ok(mean(last) > mean(first) + 0.1, `${mean(first)} became ${mean(last)}`);
  const runs = [1, 2].map(() => searchBits({ ...options, episodes: 20, random: numbers(3) }));
  const [one, other] = await Promise.all(runs);
  t.same(one, other, 'the same numbers give the same bits');
});
