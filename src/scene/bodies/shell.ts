// The painted shell of a car below its windows: cross-sections from nose to tail, joined by faces.
import type { Vec3 } from '../exact.js';
import { cross, mix, unit } from '../exact.js';
import type { FaceOptions, Material, MeshBuilder } from '../mesh.js';

/** A cross-section. */
export interface Station {
  /** Metres forward of the middle of the body. */
  readonly x: number;
  /** Half of the width. */
  readonly half: number;
  /** Heights: lower edge, shoulder, and the middle of the top. */
  readonly sill: number;
  readonly edge: number;
  readonly centre: number;
}

/** The strips of a shell between two stations, from the sill up. */
export const STRIPS = { sill: 0, lower: 1, upper: 2, shoulder: 3, top: 4 } as const;
export type Strip = keyof typeof STRIPS;

const points = ({ x, half, sill, edge, centre }: Station): readonly Vec3[] => [
  [x, 0.93 * half, sill],
  [x, 0.975 * half, sill + 0.2 * (edge - sill)],
  [x, half, sill + 0.52 * (edge - sill)],
  [x, 0.965 * half, edge - 0.06],
  [x, 0.86 * half, edge],
  [x, 0.45 * half, centre],
];

export class Shell {
  readonly #rows: readonly (readonly Vec3[])[];

  /** @param stations from the nose to the tail */
  constructor(stations: readonly Station[]) {
    this.#rows = stations.map(points);
  }

  #at(station: number, point: number): Vec3 {
    return this.#rows[station]?.[point] ?? [0, 0, 0];
  }

  /** Where a strip's cell lies at shares of its length and height. */
  point(station: number, strip: Strip, along: number, up: number): Vec3 {
    const j = STRIPS[strip];
    const corners = [this.#at(station, j), this.#at(station + 1, j)] as const;
    const upper = [this.#at(station, j + 1), this.#at(station + 1, j + 1)] as const;
    const of = (axis: 0 | 1 | 2): number =>
      mix(mix(corners[0][axis], corners[1][axis], along), mix(upper[0][axis], upper[1][axis], along), up);
    return [of(0), of(1), of(2)];
  }

  /** @param top whether the cell between station i and the next is closed above */
  build(b: MeshBuilder, materials: Readonly<Record<Strip, Material>>, top: (i: number) => boolean): void {
    for (let i = 0; i + 1 < this.#rows.length; i += 1) {
      for (const strip of ['sill', 'lower', 'upper', 'shoulder', 'top'] as const) {
        if (strip === 'top' && !top(i)) continue;
        const quad = [
          this.point(i, strip, 0, 0),
          this.point(i, strip, 1, 0),
          this.point(i, strip, 1, 1),
          this.point(i, strip, 0, 1),
        ];
        b.pair(materials[strip], quad, this.#core(i));
      }
      if (!top(i)) continue;
      const [a, c] = [this.#at(i, 5), this.#at(i + 1, 5)];
      b.face(materials.top, [a, c, [c[0], -c[1], c[2]], [a[0], -a[1], a[2]]], this.#core(i));
    }
  }

  /** Closes an end with its whole cross-section. */
  cap(b: MeshBuilder, material: Material, end: 'front' | 'back'): void {
    const row = this.#rows.at(end === 'front' ? 0 : -1) ?? [];
    const outline = [...row, ...row.toReversed().map(([x, y, z]): Vec3 => [x, -y, z])];
    const x = row[0]?.[0] ?? 0;
    b.face(material, outline, [end === 'front' ? x - 1 : x + 1, 0, row[2]?.[2] ?? 0]);
  }

  /** A patch on a cell, a centimetre above it, on both sides of the body. */
  patch(
    b: MeshBuilder,
    material: Material,
    station: number,
    strip: Strip,
    along: readonly [number, number],
    up: readonly [number, number],
    options: FaceOptions = {},
  ): void {
    const quad = [
      this.point(station, strip, along[0], up[0]),
      this.point(station, strip, along[1], up[0]),
      this.point(station, strip, along[1], up[1]),
      this.point(station, strip, along[0], up[1]),
    ] as const;
    const d1: Vec3 = [quad[2][0] - quad[0][0], quad[2][1] - quad[0][1], quad[2][2] - quad[0][2]];
    const d2: Vec3 = [quad[3][0] - quad[1][0], quad[3][1] - quad[1][1], quad[3][2] - quad[1][2]];
    const normal = unit(cross(d1, d2));
    const side = normal[1] < 0 ? -0.012 : 0.012;
    b.pair(
      material,
      quad.map((p): Vec3 => [p[0] + normal[0] * side, p[1] + normal[1] * side, p[2] + normal[2] * side]),
      this.#core(station),
      options,
    );
  }

  /** A point inside the shell beside a cell. */
  #core(station: number): Vec3 {
    const [a, c] = [this.#at(station, 2), this.#at(station + 1, 2)];
    return [(a[0] + c[0]) / 2, 0, (a[2] + c[2]) / 2];
  }
}
