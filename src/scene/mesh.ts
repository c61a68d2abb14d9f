// Bodies as flat, convex faces with a material each.
import { cross, dot, type Vec3 } from './exact.js';

/** What a face is made of. The order is that of a vehicle's palette. */
export const MATERIALS = [
  'paint',
  'second',
  'glass',
  'black',
  'tyre',
  'rim',
  'chrome',
  'head',
  'tail',
  'blinker',
  'plate',
  'cargo',
  'cloth',
  'skin',
  'light',
] as const;
export type Material = (typeof MATERIALS)[number];

/** Faces of a body, in metres: x forward from the middle, y to the left, z up from the road. */
export interface Mesh {
  readonly faces: number;
  /** Of face i: the points from `starts[i]` to `starts[i + 1]`. */
  readonly starts: Uint32Array;
  /** x, y, z of each point. */
  readonly points: Float64Array;
  /** Unit normals, outwards. */
  readonly normals: Float64Array;
  readonly materials: Uint8Array;
  /** How much of the sky's light reaches the face, 0..1. */
  readonly open: Float32Array;
  /** 1 where the face is left out from afar. */
  readonly detail: Uint8Array;
}

export interface FaceOptions {
  readonly detail?: boolean;
  readonly open?: number;
}

/** Collects faces. A face is turned outwards, away from a point that lies inside its part. */
export class MeshBuilder {
  readonly #starts: number[] = [0];
  readonly #points: number[] = [];
  readonly #normals: number[] = [];
  readonly #materials: number[] = [];
  readonly #open: number[] = [];
  readonly #detail: number[] = [];

  /** @param inside a point behind the face */
  face(material: Material, points: readonly Vec3[], inside: Vec3, options: FaceOptions = {}): void {
    const normal: [number, number, number] = [0, 0, 0];
    const middle: [number, number, number] = [0, 0, 0];
    points.forEach((a, index) => {
      const b = points[(index + 1) % points.length] ?? a;
      const [nx, ny, nz] = cross(a, b);
      normal[0] += nx;
      normal[1] += ny;
      normal[2] += nz;
      for (const axis of [0, 1, 2] as const) middle[axis] += a[axis] / points.length;
    });
    const length = Math.sqrt(dot(normal, normal));
    if (length < 1e-9) return;
    const outwards: Vec3 = [middle[0] - inside[0], middle[1] - inside[1], middle[2] - inside[2]];
    const turned = dot(normal, outwards) < 0;
    const sign = (turned ? -1 : 1) / length;
    for (const point of turned ? points.toReversed() : points) this.#points.push(...point);
    this.#starts.push(this.#points.length / 3);
    this.#normals.push(normal[0] * sign, normal[1] * sign, normal[2] * sign);
    this.#materials.push(MATERIALS.indexOf(material));
    // The lower a face, the less of the sky it sees between the road and other cars.
    this.#open.push(options.open ?? Math.min(1, 0.45 + 0.55 * middle[2]));
    this.#detail.push(options.detail === true ? 1 : 0);
  }

  /** The face, and its mirror image on the other side. */
  pair(material: Material, points: readonly Vec3[], inside: Vec3, options: FaceOptions = {}): void {
    this.face(material, points, inside, options);
    this.face(
      material,
      points.map(([x, y, z]): Vec3 => [x, -y, z]),
      [inside[0], -inside[1], inside[2]],
      options,
    );
  }

  build(): Mesh {
    return {
      faces: this.#materials.length,
      starts: Uint32Array.from(this.#starts),
      points: Float64Array.from(this.#points),
      normals: Float64Array.from(this.#normals),
      materials: Uint8Array.from(this.#materials),
      open: Float32Array.from(this.#open),
      detail: Uint8Array.from(this.#detail),
    };
  }
}
