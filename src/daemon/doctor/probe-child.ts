// Loads one native part and makes it work, in a process of its own: a crash in there must not be the doctor's.
import { createRequire } from 'node:module';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type * as Jpeg from '@julusian/jpeg-turbo';
import { ortVersion, withSession } from '../../runtime/index.js';

const require = createRequire(import.meta.url);

const field = (number: number, bytes: readonly number[]): number[] => [
  number * 8 + 2,
  bytes.length,
  ...bytes,
];
const text = (value: string): number[] => [...Buffer.from(value)];

/** An ONNX file, y = x + x over one float, field by field (onnx.proto): smaller than any file that could be shipped. */
const tinyModel = (): Uint8Array => {
  const shape = field(2, field(1, [8, 1]));
  const value = (name: string): number[] => [
    ...field(1, text(name)),
    ...field(2, field(1, [8, 1, ...shape])),
  ];
  const node = [
    ...field(1, text('x')),
    ...field(1, text('x')),
    ...field(2, text('y')),
    ...field(4, text('Add')),
  ];
  const graph = [
    ...field(1, node),
    ...field(2, text('g')),
    ...field(11, value('x')),
    ...field(12, value('y')),
  ];
  return Uint8Array.from([8, 8, ...field(7, graph), ...field(8, [16, 13])]);
};

const probes: Readonly<Record<string, (folder: string) => Promise<string> | string>> = {
  onnxruntime: async () => {
    const result = await withSession(tinyModel(), {}, (session) =>
      session.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(21) } }),
    );
    if (result['y']?.data[0] !== 42) throw new Error('it computes wrong results');
    return `onnxruntime ${await ortVersion()}`;
  },
  sqlite: async (folder) => {
    const { default: Database } = await import('better-sqlite3');
    const path = join(folder, `.doctor-${process.pid}.db`);
    try {
      const database = new Database(path);
      database.pragma('journal_mode = WAL');
      database.exec("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('written')");
      const row = database.prepare('SELECT v, sqlite_version() AS version FROM t').get() as {
        version: string;
      };
      database.close();
      return `SQLite ${row.version}`;
    } finally {
      for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
    }
  },
  jpeg: () => {
    const jpeg = require('@julusian/jpeg-turbo') as typeof Jpeg;
    const options = { format: jpeg.FORMAT_RGB, width: 16, height: 16, quality: 90 };
    const packed = jpeg.compressSync(Buffer.alloc(16 * 16 * 3, 128), options);
    const picture = jpeg.decompressSync(packed, { format: jpeg.FORMAT_RGB });
    if (picture.width !== 16 || Math.abs((picture.data[0] ?? 0) - 128) > 4)
      throw new Error('it decodes wrong pixels');
    return 'libjpeg-turbo encodes and decodes';
  },
};

const [name = '', folder = ''] = process.argv.slice(2);
const probe = probes[name];
if (probe === undefined) throw new Error(`no probe is called ${name}`);
process.stdout.write(await probe(folder));
