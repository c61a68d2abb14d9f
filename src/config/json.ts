// JSON values from outside: bounded, compared, merged.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether nothing in `value` is nested deeper than `limit`; does not recurse, so that hostile nesting cannot exhaust the stack. */
export const isWithinDepth = (value: unknown, limit: number): boolean => {
  const stack: [unknown, number][] = [[value, 0]];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const [node, depth] = entry;
    if (typeof node !== 'object' || node === null) continue;
    if (depth >= limit) return false;
    for (const child of Object.values(node)) stack.push([child, depth + 1]);
  }
  return true;
};

/** JSON text in which keys are sorted: equal values give equal text. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, node: unknown) =>
    isObject(node) ? Object.fromEntries(Object.entries(node).toSorted(([a], [b]) => (a < b ? -1 : 1))) : node,
  ) ?? 'null';

/** `target` with `patch` laid over it: a JSON merge patch (RFC 7396). `null` takes a key away; lists are replaced whole. */
export const mergePatch = (target: JsonObject, patch: JsonObject): JsonObject => {
  const merged = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else if (!isObject(value)) merged.set(key, value);
    else {
      const below = merged.get(key);
      merged.set(key, mergePatch(isObject(below) ? below : {}, value));
    }
  }
  // fromEntries makes own properties, also of a key like "__proto__".
  return Object.fromEntries(merged);
};
