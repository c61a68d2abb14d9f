import { decodeJpeg } from '../../src/vision/index.js';
import { contract, type Rig, type Subject } from './contract.js';
import { marked, type Seen, until } from './watch.js';

// Large enough that a frame of the best quality is sent in pieces: the kernel takes up to about 100 kB at once.
const size = { width: 640, height: 384 };

const rig = (mark: string, more: Record<string, unknown> = {}): Rig => ({
  config: { kind: 'scene', ...size, fps: 25, seed: 4, ...more },
  environment: { ...process.env, CAMERA_TEST_MARK: mark },
});
const signalAll = (mark: string, signal: NodeJS.Signals): void => {
  for (const pid of marked(mark)) process.kill(pid, signal);
};

const subject: Subject = {
  name: 'the simulated road',
  skip: false,
  size,
  format: 'jpeg',
  cycles: 10,
  steady: async (_, mark) => rig(mark),
  stall: async (_, mark) => ({ rig: rig(mark), provoke: async () => signalAll(mark, 'SIGSTOP') }),
  exit: async (_, mark) => ({ rig: rig(mark), provoke: async () => signalAll(mark, 'SIGKILL') }),
  // At pace `fast` without a consumer it stands in the middle of writing a frame.
  torn: async (_, mark) => ({
    rig: rig(mark, { pace: 'fast', jpegQuality: 100 }),
    provoke: async (seen: Seen, source) => {
      for (let kill = 0; kill < 20 && source.counters.bad === 0; kill += 1) {
        const [frames, problems] = [seen.frames.length, seen.problems.length];
        await until('a frame', () => {
          source.ready();
          return seen.frames.length > frames;
        });
        await new Promise((resolve) => setTimeout(resolve, 500));
        signalAll(mark, 'SIGKILL');
        await until('its end', () => {
          source.ready();
          return seen.problems.length > problems;
        });
      }
    },
  }),
  checkData: (t, frame) => {
    const { width, height, data } = decodeJpeg(frame.data);
    t.same({ width, height }, size);
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    t.ok(mean > 40 && mean < 230, `a picture by day has a mean of ${mean}`);
    t.ok(new Set(data).size > 60, 'and many shades');
  },
};

contract(subject);
