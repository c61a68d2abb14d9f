import {
  encodeJpeg,
  decodeJpeg,
  placeFrame,
  Preprocessor,
  type Picture,
  type YuvColour,
} from '../../src/vision/index.js';
import fc from 'fast-check';
import t from 'tap';
import type { InputSpec } from '../../src/registry/index.js';

const spec = (width: number, height: number, changes: Partial<InputSpec> = {}): InputSpec => ({
  name: 'images',
  width,
  height,
  colourOrder: 'rgb',
  mean: [0, 0, 0],
  scale: [1, 1, 1],
  letterbox: 'centre',
  pad: 114,
  ...changes,
});

const bytesOf = (count: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(count);
  for (let at = 0, state = seed + 1; at < count; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
};

const pictureOf = (
  format: 'rgb24' | 'yuv420',
  width: number,
  height: number,
  seed: number,
  colour?: YuvColour,
): Picture => {
  const count =
    format === 'rgb24'
      ? 3 * width * height
      : width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
  return { format, width, height, data: bytesOf(count, seed), ...(colour === undefined ? {} : { colour }) };
};

/** Bilinear with half-pixel centres, clamped, in doubles: of the plane `get` at (x, y). */
const bilinear = (
  get: (x: number, y: number) => number,
  width: number,
  height: number,
  x: number,
  y: number,
): number => {
  const cx = Math.min(Math.max(x, 0), width - 1);
  const cy = Math.min(Math.max(y, 0), height - 1);
  const [x0, y0] = [Math.floor(cx), Math.floor(cy)];
  const [x1, y1] = [Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)];
  const [wx, wy] = [cx - x0, cy - y0];
  return (
    (get(x0, y0) * (1 - wx) + get(x1, y0) * wx) * (1 - wy) + (get(x0, y1) * (1 - wx) + get(x1, y1) * wx) * wy
  );
};

const LUMA: Readonly<Record<string, readonly [number, number]>> = {
  bt601: [0.299, 0.114],
  bt709: [0.2126, 0.0722],
};

/** The tensor as the words of the manifest define it, pixel by pixel. */
const naive = (picture: Picture, input: InputSpec): Float64Array => {
  const { width, height, data } = picture;
  const ratio = Math.min(input.width / width, input.height / height);
  const whole = input.letterbox === 'top-left' ? (v: number) => Math.floor(v + 1e-6) : Math.round;
  const w = input.letterbox === 'stretch' ? input.width : Math.max(1, whole(width * ratio));
  const h = input.letterbox === 'stretch' ? input.height : Math.max(1, whole(height * ratio));
  const left = input.letterbox === 'centre' ? Math.floor((input.width - w) / 2) : 0;
  const top = input.letterbox === 'centre' ? Math.floor((input.height - h) / 2) : 0;
  const [family = 'bt601', range = 'full'] = (picture.colour ?? 'bt601-full').split('-');
  const [kr, kb] = LUMA[family] ?? [0, 0];
  const [cw, ch] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const rgbAt = (x: number, y: number): number[] => {
    const [sx, sy] = [((x + 0.5) * width) / w - 0.5, ((y + 0.5) * height) / h - 0.5];
    if (picture.format === 'rgb24') {
      return [0, 1, 2].map((c) =>
        bilinear((px, py) => data[3 * (py * width + px) + c] ?? NaN, width, height, sx, sy),
      );
    }
    const [ux, uy] = [((x + 0.5) * width) / w / 2 - 0.5, ((y + 0.5) * height) / h / 2 - 0.5];
    const chroma = (start: number): number =>
      bilinear((px, py) => data[start + py * cw + px] ?? NaN, cw, ch, ux, uy);
    let luma = bilinear((px, py) => data[py * width + px] ?? NaN, width, height, sx, sy);
    let [u, v] = [chroma(width * height) - 128, chroma(width * height + cw * ch) - 128];
    if (range === 'limited') {
      luma = ((luma - 16) * 255) / 219;
      [u, v] = [(u * 255) / 224, (v * 255) / 224];
    }
    const red = luma + 2 * (1 - kr) * v;
    const blue = luma + 2 * (1 - kb) * u;
    const green = luma - (kr * 2 * (1 - kr) * v + kb * 2 * (1 - kb) * u) / (1 - kr - kb);
    return [red, green, blue].map((value) => Math.min(255, Math.max(0, value)));
  };
  const out = new Float64Array(3 * input.width * input.height);
  for (let y = 0; y < input.height; y += 1) {
    for (let x = 0; x < input.width; x += 1) {
      const inside = x >= left && x < left + w && y >= top && y < top + h;
      const rgb = inside ? rgbAt(x - left, y - top) : [input.pad, input.pad, input.pad];
      const ordered = input.colourOrder === 'rgb' ? rgb : rgb.toReversed();
      ordered.forEach((value, c) => {
        out[(c * input.height + y) * input.width + x] =
          (value - (input.mean[c] ?? 0)) * (input.scale[c] ?? 1);
      });
    }
  }
  return out;
};

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let worst = a.length === b.length ? 0 : Infinity;
  for (let at = 0; at < a.length; at += 1) worst = Math.max(worst, Math.abs((a[at] ?? NaN) - (b[at] ?? NaN)));
  return worst;
};

const run = (preprocessor: Preprocessor, picture: Picture, input: InputSpec): Float32Array => {
  const out = new Float32Array(3 * input.width * input.height).fill(NaN);
  preprocessor.preprocess(picture, input, out);
  return out;
};

const simd = new Preprocessor();
const scalar = new Preprocessor({ simd: false });

/** Weights are multiples of 1/2048 and sums are single floats: a fraction of a grey level, far more in YUV's steep directions. */
const TOLERANCE = 0.7;

const side = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 13, max: 90 }));
const inputs = fc
  .record({
    width: fc.integer({ min: 32, max: 70 }),
    height: fc.integer({ min: 32, max: 70 }),
    colourOrder: fc.constantFrom('rgb' as const, 'bgr' as const),
    letterbox: fc.constantFrom('top-left' as const, 'centre' as const, 'stretch' as const),
    pad: fc.nat(255),
    mean: fc.constantFrom<[number, number, number]>([0, 0, 0], [103.53, 116.28, 123.675]),
  })
  .map(({ width, height, ...rest }) => spec(width, height, rest));
const pictures = fc
  .tuple(
    fc.constantFrom('rgb24' as const, 'yuv420' as const),
    side,
    side,
    fc.nat(1_000),
    fc.constantFrom<YuvColour | undefined>(
      undefined,
      'bt601-full',
      'bt601-limited',
      'bt709-full',
      'bt709-limited',
    ),
  )
  .map(([format, width, height, seed, colour]) =>
    pictureOf(format, width, height, seed, format === 'yuv420' ? colour : undefined),
  );

t.test(
  'both engines do what the definition says, for any picture and input, one preprocessor for all sizes',
  async (t) => {
    let yuv = 0;
    fc.assert(
      fc.property(pictures, inputs, (picture, input) => {
        if (picture.format === 'yuv420') yuv += 1;
        const wanted = naive(picture, input);
        const [fast, slow] = [run(simd, picture, input), run(scalar, picture, input)];
        const [fastOff, slowOff, apart] = [largest(fast, wanted), largest(slow, wanted), largest(fast, slow)];
        if (!(fastOff < TOLERANCE && slowOff < TOLERANCE && apart < 2e-3)) {
          throw new Error(`off by ${fastOff} (SIMD), ${slowOff} (scalar); ${apart} from each other`);
        }
      }),
      { numRuns: 120 },
    );
    t.ok(yuv > 20, `${yuv} YUV pictures`);
  },
);

t.test('scale and mean per channel, in the order of the model', async (t) => {
  const input = spec(40, 36, {
    colourOrder: 'bgr',
    mean: [10, 20, 30],
    scale: [0.01, 0.02, 0.5],
    letterbox: 'top-left',
  });
  for (const picture of [pictureOf('rgb24', 33, 47, 3), pictureOf('yuv420', 33, 47, 3, 'bt709-limited')]) {
    const wanted = naive(picture, input);
    t.ok(largest(run(simd, picture, input), wanted) < TOLERANCE * 0.5);
    t.ok(largest(run(scalar, picture, input), wanted) < TOLERANCE * 0.5);
  }
});

t.test('a JPEG is its pixels', async (t) => {
  const pixels = { format: 'rgb24' as const, width: 61, height: 35, data: bytesOf(3 * 61 * 35, 5) };
  const data = encodeJpeg(pixels, 90);
  const input = spec(64, 48);
  const decoded = decodeJpeg(data);
  for (const preprocessor of [simd, scalar]) {
    const out = run(preprocessor, { format: 'jpeg', width: 61, height: 35, data }, input);
    t.ok(largest(out, naive(decoded, input)) < TOLERANCE);
  }
});

t.test(
  "the preprocessor's own tensor is filled without a copy, and a bad frame leaves it alone",
  async (t) => {
    const preprocessor = new Preprocessor();
    const input = spec(32, 32);
    const own = preprocessor.tensor(input);
    const picture = pictureOf('rgb24', 50, 20, 1);
    const transform = preprocessor.preprocess(picture, input, own);
    t.ok(largest(own, naive(picture, input)) < TOLERANCE);
    t.same(transform, { scaleX: 50 / 32, scaleY: 20 / 13, offsetX: 0, offsetY: 9 });
    const before = own.slice();
    for (const bad of [
      { ...picture, data: picture.data.subarray(1) },
      { ...picture, width: 51 },
      { ...picture, width: 0 },
      { ...picture, width: NaN },
      { ...picture, format: 'yuv420' as const },
      { ...picture, format: 'jpeg' as const },
      { ...picture, format: 'jpeg' as const, data: new Uint8Array(0) },
      { ...picture, width: 2 ** 16, height: 2 ** 16, format: 'jpeg' as const },
    ]) {
      t.throws(() => preprocessor.preprocess(bad, input, own), { code: 'BAD_FRAME' });
    }
    t.same(own, before);
    t.throws(() => preprocessor.preprocess(picture, input, new Float32Array(5)), { code: 'INTERNAL' });
    // A picture that needs more memory than there was moves to a larger one; the old tensor is then filled by a copy.
    const large = pictureOf('rgb24', 2_200, 1_100, 9);
    preprocessor.preprocess(large, input, own);
    t.ok(largest(own, naive(large, input)) < TOLERANCE);
    preprocessor.preprocess(picture, input, own);
    t.ok(largest(own, naive(picture, input)) < TOLERANCE);
  },
);

/** Half-way numbers go to the even one. */
const halfEven = (value: number): number => {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
};

t.test(
  'bytes are the float tensor, rounded half to even, pixel by pixel; both engines give the same',
  async (t) => {
    const run = (preprocessor: Preprocessor, picture: Picture, input: InputSpec): Uint8Array => {
      const out = new Uint8Array(3 * input.width * input.height).fill(77);
      preprocessor.preprocess(picture, input, out);
      return out;
    };
    let [yuv, ties] = [0, 0];
    fc.assert(
      fc.property(pictures, inputs, (picture, given) => {
        if (picture.format === 'yuv420') yuv += 1;
        const floats: InputSpec = { ...given, mean: [0, 0, 0] };
        const input: InputSpec = { ...floats, format: 'bytes' };
        const planes = new Float32Array(3 * input.width * input.height);
        simd.preprocess(picture, floats, planes);
        const [fast, slow] = [run(simd, picture, input), run(scalar, picture, input)];
        const area = input.width * input.height;
        for (let at = 0; at < planes.length; at += 1) {
          const value = planes[(at % 3) * area + Math.floor(at / 3)] ?? NaN;
          if (value % 1 === 0.5) ties += 1;
          if (fast[at] === halfEven(value) && slow[at] === fast[at]) continue;
          // Pictures under four pixels wide go into float tensors in doubles: what is a tie there may be none in single floats.
          const isNarrow = placeFrame(input, picture.width, picture.height).width < 4;
          if (isNarrow && slow[at] === fast[at] && Math.abs((value % 1) - 0.5) < 1e-4) continue;
          throw new Error(`byte ${at} of ${value}: ${fast[at]} (SIMD), ${slow[at]} (scalar)`);
        }
      }),
      { numRuns: 150 },
    );
    t.ok(yuv > 20, `${yuv} YUV pictures`);
    t.ok(ties > 100, `${ties} ties`);
  },
);

t.test("the preprocessor's own tensor is of the input's type, and no other is filled", async (t) => {
  const preprocessor = new Preprocessor();
  const bytes = spec(32, 32, { format: 'bytes' });
  const picture = pictureOf('rgb24', 32, 32, 4);
  const own = preprocessor.tensor(bytes);
  preprocessor.preprocess(picture, bytes, own);
  t.throws(() => preprocessor.preprocess(picture, bytes, new Float32Array(own.length)), {
    code: 'INTERNAL',
    message: 'an input of 32 x 32 needs 3072 bytes, not a Float32Array of 3072',
  });
  t.throws(() => preprocessor.preprocess(picture, spec(32, 32), new Uint8Array(own.length)), {
    code: 'INTERNAL',
  });
  t.ok(preprocessor.tensor(spec(32, 32)) instanceof Float32Array);
});

t.test('bytes of a picture that fits are its own, in their place', async (t) => {
  for (const [width, height, letterbox, left, top] of [
    [48, 40, 'stretch', 0, 0],
    [48, 33, 'top-left', 0, 0],
    [48, 33, 'centre', 0, 3],
    [31, 40, 'centre', 8, 0],
  ] as const) {
    for (const colourOrder of ['rgb', 'bgr'] as const) {
      const input = spec(48, 40, { format: 'bytes', letterbox, colourOrder, pad: 9 });
      const picture = pictureOf('rgb24', width, height, width);
      const wanted = new Uint8Array(3 * 48 * 40).fill(9);
      for (let y = 0; y < height; y += 1) {
        for (let at = 0; at < 3 * width; at += 1) {
          const from = colourOrder === 'rgb' ? at : at - (at % 3) + 2 - (at % 3);
          wanted[3 * ((top + y) * 48 + left) + at] = picture.data[3 * y * width + from] ?? NaN;
        }
      }
      for (const preprocessor of [simd, scalar]) {
        const out = new Uint8Array(wanted.length);
        preprocessor.preprocess(picture, input, out);
        t.ok(Buffer.from(out).equals(wanted), `${width}x${height} ${letterbox} ${colourOrder}`);
      }
    }
  }
});
