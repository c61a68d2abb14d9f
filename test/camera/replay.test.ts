import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJpeg, encodeJpeg } from '../../src/vision/index.js';
import { contract, type Rig, type Subject } from './contract.js';

const size = { width: 64, height: 48 };

const picture = (shade: number): Uint8Array =>
  encodeJpeg(
    { format: 'rgb24', ...size, data: new Uint8Array(size.width * size.height * 3).fill(shade) },
    90,
  );

const names = ['frame2.jpg', 'frame10.JPG', 'frame1.jpeg'] as const;
const fill = (folder: string): string => {
  const path = join(folder, 'pictures');
  mkdirSync(path);
  names.forEach((name, index) => writeFileSync(join(path, name), picture(60 * (index + 1))));
  return path;
};
const rig = (path: string, mark: string): Rig => ({
  config: { kind: 'replay', path, fps: 100, pace: 'realtime', loop: true },
  environment: { ...process.env, CAMERA_TEST_MARK: mark },
});

const subject: Subject = {
  name: 'replay of a folder',
  skip: false,
  size,
  format: 'jpeg',
  cycles: 100,
  steady: async (folder, mark) => rig(fill(folder), mark),
  stall: async () => 'nothing is between it and its files that could fall silent',
  exit: async (folder, mark) => {
    const path = fill(folder);
    return {
      rig: rig(path, mark),
      provoke: async () => rmSync(path, { recursive: true }),
      repair: () => void fill(folder),
    };
  },
  torn: async (folder, mark) => {
    const path = fill(folder);
    const whole = readFileSync(join(path, 'frame2.jpg'));
    writeFileSync(join(path, 'frame3.jpg'), whole.subarray(0, whole.length - 20));
    return { rig: rig(path, mark) };
  },
  checkData: (t, frame) => {
    const { data, width } = decodeJpeg(frame.data);
    t.equal(width, size.width);
    t.ok([60, 120, 180].some((shade) => Math.abs((data[0] ?? 0) - shade) <= 3));
  },
};

contract(subject);

contract({
  ...subject,
  name: 'replay of an MJPEG file',
  steady: async (folder, mark) => {
    const path = join(folder, 'film.mjpeg');
    writeFileSync(path, Buffer.concat([60, 120, 180].map(picture)));
    return rig(path, mark);
  },
  exit: async (folder, mark) => {
    const path = join(folder, 'film.mjpg');
    const copy = join(folder, 'copy');
    writeFileSync(copy, Buffer.concat([60, 120, 180].map(picture)));
    copyFileSync(copy, path);
    return {
      rig: rig(path, mark),
      provoke: async () => rmSync(path),
      repair: () => copyFileSync(copy, path),
    };
  },
  torn: async (folder, mark) => {
    const path = join(folder, 'film.mjpeg');
    writeFileSync(
      path,
      Buffer.concat([picture(60), picture(90).subarray(0, 600), picture(120), picture(180)]),
    );
    return { rig: rig(path, mark) };
  },
});
