// The house: imports go one way, and only through a room's door.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';
import { packageRoot } from '../src/system/index.js';

const ROOMS = [
  'cli',
  'daemon',
  // It compares what the loop makes with everything else.
  'experiment',
  'adaptation',
  'web',
  'telemetry',
  'detector',
  'tracking',
  'examples',
  'camera',
  'scene',
  'allocation',
  'significance',
  'training',
  'autodiff',
  'quantization',
  'evaluation',
  'vision',
  'runtime',
  'onnx',
  'store',
  'config',
  'registry',
  'system',
  'errors.ts',
] as const;

const source = join(packageRoot, 'src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const roomOf = (path: string): string => path.split('/')[0] ?? '';
const importsOf = (path: string): string[] =>
  [...readFileSync(join(source, path), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) =>
    normalize(join(dirname(path), match[1] ?? '')).replace(/\.js$/, '.ts'),
  );

t.test('every file lives in a room of the house', async (t) => {
  const known: ReadonlySet<string> = new Set(ROOMS);
  t.same(
    files.filter((path) => !known.has(roomOf(path))),
    [],
  );
});

t.test('imports go down the list and through the door', async (t) => {
  const order = new Map<string, number>(ROOMS.map((room, index) => [room, index]));
  const wrong: string[] = [];
  for (const path of files) {
    for (const target of importsOf(path)) {
      const [from, to] = [roomOf(path), roomOf(target)];
      if (from === to) continue;
      if ((order.get(to) ?? -1) < (order.get(from) ?? 0)) wrong.push(`${path} imports upwards: ${target}`);
      else if (to !== 'errors.ts' && target !== `${to}/index.ts`) {
        wrong.push(`${path} goes past the door: ${relative('.', target)}`);
      }
    }
  }
  t.same(wrong, []);
});
