// The camera of a scene: a pinhole on a pole. World: x to the right of the road's start, y along the road, z up, in metres.
import { cross, dot, unit, type Vec3 } from './exact.js';

/** How many samples a pixel has in each direction: faces are drawn without smoothing, and averaged. */
export const SAMPLES = 2;

export interface View {
  /** Of the frame, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly eye: Vec3;
  readonly right: Vec3;
  readonly down: Vec3;
  readonly forward: Vec3;
  /** Focal length and optical centre in pixels of the frame. */
  readonly focal: number;
  readonly cx: number;
  readonly cy: number;
}

/** @param target a point that is seen in the middle of the frame */
export const lookAt = (
  eye: Vec3,
  target: Vec3,
  focal: number,
  size: { readonly width: number; readonly height: number },
): View => {
  const forward = unit([target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]]);
  const right = unit(cross(forward, [0, 0, 1]));
  const down = cross(forward, right);
  return { ...size, eye, right, down, forward, focal, cx: size.width / 2, cy: size.height / 2 };
};

/** A point in pixels of the frame with its depth in metres; `undefined` behind the camera. */
export const project = (view: View, point: Vec3): Vec3 | undefined => {
  const ray: Vec3 = [point[0] - view.eye[0], point[1] - view.eye[1], point[2] - view.eye[2]];
  const depth = dot(ray, view.forward);
  if (depth < 0.2) return undefined;
  return [
    view.cx + (view.focal * dot(ray, view.right)) / depth,
    view.cy + (view.focal * dot(ray, view.down)) / depth,
    depth,
  ];
};
