import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { contract, type Rig, type Subject } from './contract.js';
import { marked, type Seen, until } from './watch.js';

const ffmpeg = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'ffmpeg')));
const size = { width: 320, height: 240 };

const film = (folder: string): string => {
  const path = join(folder, 'film.mkv');
  execFileSync('ffmpeg', [
    ...['-nostdin', '-loglevel', 'error', '-f', 'lavfi', '-i', 'color=red:size=160x120:rate=25'],
    ...['-frames:v', '100', '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', path],
  ]);
  return path;
};
const rig = (folder: string, mark: string, more: Record<string, unknown> = {}): Rig => ({
  config: { kind: 'ffmpeg', input: film(folder), ...size, loop: true, ...more },
  environment: { ...process.env, CAMERA_TEST_MARK: mark },
});
const signalAll = (mark: string, signal: NodeJS.Signals): void => {
  for (const pid of marked(mark)) process.kill(pid, signal);
};

const subject: Subject = {
  name: 'ffmpeg',
  skip: ffmpeg ? false : 'ffmpeg is not installed',
  size,
  format: 'yuv420',
  cycles: 10,
  steady: async (folder, mark) => rig(folder, mark),
  stall: async (folder, mark) => ({
    rig: rig(folder, mark),
    provoke: async () => signalAll(mark, 'SIGSTOP'),
  }),
  exit: async (folder, mark) => ({
    rig: rig(folder, mark),
    provoke: async () => signalAll(mark, 'SIGKILL'),
  }),
  // At pace `fast` without a consumer ffmpeg stands in the middle of writing a frame, which is larger than the pipe.
  torn: async (folder, mark) => ({
    rig: rig(folder, mark, { pace: 'fast' }),
    provoke: async (seen: Seen, source) => {
      // On a busy machine it may not have come that far: then it is killed once more.
      for (let kill = 0; kill < 20 && source.counters.bad === 0; kill += 1) {
        const [frames, problems] = [seen.frames.length, seen.problems.length];
        await until('a frame', () => {
          source.ready();
          return seen.frames.length > frames;
        });
        await new Promise((resolve) => setTimeout(resolve, 300));
        signalAll(mark, 'SIGKILL');
        await until('its end', () => {
          source.ready();
          return seen.problems.length > problems;
        });
      }
    },
  }),
  checkData: (t, frame) => {
    const luma = size.width * size.height;
    t.equal(frame.data.length, (luma * 3) / 2);
    t.equal(frame.colour, 'bt601-full');
    // Pure red in BT.601, full range: Y 76, Cb 85, Cr 255.
    const middle = [luma / 2 + size.width / 2, luma + luma / 8, luma + luma / 4 + luma / 8];
    [76, 85, 255].forEach((value, index) => {
      const got = frame.data[middle[index] ?? 0] ?? -1;
      t.ok(Math.abs(got - value) <= 3, `plane ${index}: ${got} is about ${value}`);
    });
  },
};

contract(subject);
