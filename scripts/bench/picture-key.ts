// Tells the pictures of one folder apart by their bytes.
/** FNV-1a over some bytes of a picture. */
export const keyOf = (data: Uint8Array): string => {
  let hash = 0x811c9dc5;
  const step = Math.max(1, Math.floor(data.length / 512));
  for (let at = 0; at < data.length; at += step) hash = Math.imul(hash ^ (data[at] ?? 0), 0x01000193) >>> 0;
  return `${data.length}:${hash}`;
};
