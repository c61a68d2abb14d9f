// The contract for both libcamera drivers, on the stand-in.
import type { Subject } from './contract.js';
import { type Plan, standIn } from './stand-in-rpicam-vid.js';

export const libcameraSubject = (driver: 'rpicam-vid' | 'node-libcamera', cycles: number): Subject => {
  const size = { width: 384, height: 200 };
  const config = { kind: 'libcamera', driver, ...size, fps: 100 };
  const rigWith = (folder: string, mark: string, plans: readonly Plan[]) => ({
    config,
    environment: standIn(folder, plans, mark).environment,
  });
  return {
    name: driver,
    skip: false,
    size,
    format: 'yuv420',
    cycles,
    steady: async (folder, mark) => rigWith(folder, mark, ['steady']),
    stall: async (folder, mark) => ({ rig: rigWith(folder, mark, ['stall-after:5', 'steady']) }),
    exit: async (folder, mark) => ({ rig: rigWith(folder, mark, ['exit-after:5', 'steady']) }),
    torn: async (folder, mark) => ({
      rig: rigWith(folder, mark, ['torn-after:3', 'torn-after:3', 'torn-after:3', 'steady']),
    }),
    checkData: (t, frame) => {
      const luma = size.width * size.height;
      t.equal(frame.data.length, (luma * 3) / 2);
      t.equal(frame.colour, 'bt601-full');
      const value = frame.data[0] ?? -1;
      t.ok(
        frame.data.subarray(0, luma).every((byte) => byte === value),
        'the luma is that of one frame',
      );
      t.ok(frame.data.subarray(luma).every((byte) => byte === 128));
    },
  };
};
